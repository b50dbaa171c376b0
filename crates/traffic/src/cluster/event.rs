//! What observers are told.

use std::sync::Arc;
use std::time::Duration;

use regatta_core::{Instance, ServiceName};
use regatta_resilience::breaker::Change;

/// Told of each change exactly once, in order.
///
/// It runs on the thread that caused the change, outside of every lock, and may use the cluster.
/// It must be quick: a call waits for it.
pub type Observer = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// One change of a cluster's state.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The service.
    pub service: &'a ServiceName,
    /// The instance; none when it concerns the service as a whole.
    pub instance: Option<&'a Instance>,
    /// What changed.
    pub what: What,
}

/// What changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum What {
    /// A breaker went into another state, or an operator took it over.
    Breaker(Change),
    /// The instance gets no calls for a time.
    Ejected {
        /// For how long.
        time: Duration,
        /// Ejections of late, this one included.
        times: u32,
        /// Why.
        cause: EjectionCause,
    },
    /// An ejected instance gets calls again.
    Returned,
    /// Whether so few instances can be used that those are used again that were ejected, or whose
    /// breakers opened by themselves.
    Panic(bool),
}

/// Why an instance was ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EjectionCause {
    /// Too many failures in a row.
    FailuresInARow,
    /// Its success rate is too far below its peers'.
    SuccessRate,
}

impl EjectionCause {
    /// The name in logs and metrics, such as `success_rate`.
    pub fn name(self) -> &'static str {
        match self {
            Self::FailuresInARow => "failures_in_a_row",
            Self::SuccessRate => "success_rate",
        }
    }
}
