//! Why no instance can take a call.

use std::time::Duration;

/// No instance can take the call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickError {
    /// The set is empty.
    #[error("there is no instance; start one, or look at why it is not passing its check")]
    Empty,
    /// All instances, or their versions, have weight 0 or none.
    #[error("every instance, or its version, has weight 0; give one a weight of 1 or more")]
    NoWeight,
    /// The call asks for a version of which there is no instance.
    #[error("there is no instance of version `{subset}`; start one, or ask for another version")]
    NoSubset {
        /// The version asked for.
        subset: String,
    },
    /// Instances could take the call, but each was tried for it already.
    #[error("every instance that can be used was tried; look at why they fail")]
    AllTried,
    /// Every instance is out: its breaker is open, or it was ejected.
    #[error("the circuit breaker of every instance is open; retry in {retry_after:?}")]
    AllOpen {
        /// How long until one takes a call; while a probe is in flight, until another is let
        /// through although it says nothing.
        retry_after: Duration,
    },
    /// The breaker of the service as a whole is open.
    #[error("the circuit breaker of the service is open; retry in {retry_after:?}")]
    ServiceOpen {
        /// How long until it admits a probe; while one is in flight, until another is let
        /// through although it says nothing.
        retry_after: Duration,
    },
}

impl PickError {
    /// How long to wait before asking again, when time will help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::AllOpen { retry_after } | Self::ServiceOpen { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// The name in metrics and logs, such as `breaker_open`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Empty => "no_instance",
            Self::NoWeight => "no_weight",
            Self::NoSubset { .. } => "no_subset",
            Self::AllTried => "all_tried",
            Self::AllOpen { .. } => "breaker_open",
            Self::ServiceOpen { .. } => "service_breaker_open",
        }
    }
}
