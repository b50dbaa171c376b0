//! The error of a call that found no room.

use std::time::Duration;

/// The call was not made because too many are in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// As many wait as may, and none of them is less urgent.
    #[error("`{limit}` calls are in flight and no more may wait; call less, or raise the limit")]
    Full {
        /// Calls at a time.
        limit: u32,
    },
    /// It waited, and none of the calls before it ended in time.
    #[error("waited {waited:?} for one of `{limit}` calls to end; call less, or raise the limit")]
    TimedOut {
        /// Calls at a time.
        limit: u32,
        /// How long it waited.
        waited: Duration,
    },
    /// It waited, and a more urgent call took its place.
    #[error("gave its place to a more urgent call while `{limit}` were in flight; call less")]
    Shed {
        /// Calls at a time.
        limit: u32,
    },
}

impl Rejected {
    /// The name in logs and metrics, such as `timed_out`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Full { .. } => "full",
            Self::TimedOut { .. } => "timed_out",
            Self::Shed { .. } => "shed",
        }
    }
}
