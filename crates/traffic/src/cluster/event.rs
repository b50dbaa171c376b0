//! What observers are told.

use std::sync::Arc;

use regatta_core::{Instance, ServiceName};
use regatta_resilience::breaker::Change;

/// Told of each change exactly once, in order for each instance.
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
    /// A breaker went into another state.
    Breaker(Change),
}
