//! Keeps a call from doing harm: breaker, deadline, retry, hedge, limits.
//!
//! Each folder holds rules that take `now` and randomness as arguments and know neither tokio nor
//! tower, and a thin [`tower_service::Service`] around them. Nothing here knows HTTP: what counts
//! as a failure, what may be repeated and who a client is are told by whoever wraps a call.
//!
//! ```
//! use std::time::Duration;
//! use regatta_resilience::breaker::{Breaker, BreakerLayer, Settings};
//!
//! let breaker = Breaker::try_new(Settings::default().with_open_for(Duration::from_secs(10)))?;
//! let layer = BreakerLayer::new(breaker);
//! # let _ = layer;
//! # Ok::<(), regatta_resilience::breaker::InvalidSettings>(())
//! ```
//!
//! It does not measure, log or speak HTTP; an [`breaker::Observer`] and the decisions' fields are
//! what callers measure.

pub mod breaker;
pub mod concurrency;
pub mod deadline;
pub mod hedge;
pub mod outlier;
pub mod rate_limit;
pub mod retry;
mod sliding;
pub mod timeout;

/// What the layers answer in place of the wrapped service's error, as tower's own layers do.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The shells' clock, which tests pause.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod testing {
    //! What unit tests share.

    /// Some instant: none can be made without a clock.
    #[expect(clippy::disallowed_methods, reason = "any instant does; none can be made otherwise")]
    pub(crate) fn now() -> std::time::Instant {
        std::time::Instant::now()
    }
}
