//! A limit that several processes share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::now;
use crate::rate_limit::{Decision, Limiter};

/// A limit whose counts are not only this process's.
#[async_trait]
pub trait SharedLimiter: fmt::Debug + Send + Sync {
    /// Decides about a call of this client now, and counts it if it is admitted.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] when the counts cannot be reached in time; the call may be counted.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, the call may or may not be counted; nothing else is affected.
    async fn check(&self, client: &str) -> Result<Decision, Unavailable>;

    /// The most calls per client and window.
    fn limit(&self) -> u32;

    /// The length of a window.
    fn window(&self) -> Duration;
}

/// The shared counts could not be asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// No answer came in time.
    #[error("no answer of the shared limits within {after:?}; look at their server")]
    TimedOut {
        /// The time that was over.
        after: Duration,
    },
    /// So many calls are waiting for an answer that one more would only wait too.
    #[error("`{in_flight}` calls wait for the shared limits; look at their server")]
    Busy {
        /// Calls that wait.
        in_flight: usize,
    },
    /// It failed often of late and is left alone for a while.
    #[error("the shared limits fail and are asked again in {retry_after:?}")]
    Resting {
        /// How long until they are asked again.
        retry_after: Duration,
    },
    /// It answered with an error, or not at all.
    #[error("cannot ask the shared limits")]
    Failed(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

/// What happens to calls while the shared counts are out of reach.
#[derive(Clone, Debug)]
pub enum OnOutage {
    /// Every call passes: serving comes before limiting.
    Admit,
    /// No call passes: limiting comes before serving. Clients are told to come back in a second.
    Refuse,
    /// This process counts by itself. With the whole limit here, `n` processes together admit at
    /// most `n` times the limit in a window, and what was counted before is not known to it.
    Count(Limiter),
}

/// A shared limit that decides in every case.
#[derive(Clone, Debug)]
pub struct Steadfast {
    shared: Arc<dyn SharedLimiter>,
    on_outage: OnOutage,
}

/// A decision, and why it was not the shared limit's if it was not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// What is to be done.
    pub decision: Decision,
    /// Why the shared counts had no part in it.
    pub outage: Option<Unavailable>,
}

impl Steadfast {
    /// What a client that is refused in an outage is told to wait.
    pub const RETRY_AFTER: Duration = Duration::from_secs(1);

    /// Asks `shared`, and does `on_outage` when that cannot be asked.
    pub fn new(shared: Arc<dyn SharedLimiter>, on_outage: OnOutage) -> Self {
        Self { shared, on_outage }
    }

    /// Decides about a call of this client now.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, the call may or may not be counted; nothing else is affected.
    pub async fn check(&self, client: &str) -> Verdict {
        match self.shared.check(client).await {
            Ok(decision) => Verdict { decision, outage: None },
            Err(outage) => Verdict { decision: self.alone(client), outage: Some(outage) },
        }
    }

    /// The most calls per client and window.
    pub fn limit(&self) -> u32 {
        self.shared.limit()
    }

    /// The length of a window.
    pub fn window(&self) -> Duration {
        self.shared.window()
    }

    fn alone(&self, client: &str) -> Decision {
        let limit = self.shared.limit();
        match &self.on_outage {
            OnOutage::Admit => Decision::new(true, limit, limit, Duration::ZERO, Duration::ZERO),
            OnOutage::Refuse => {
                Decision::new(false, limit, 0, Self::RETRY_AFTER, Self::RETRY_AFTER)
            }
            OnOutage::Count(limiter) => limiter.check(client, now()),
        }
    }
}

/// One process is a group of one.
#[async_trait]
impl SharedLimiter for Limiter {
    async fn check(&self, client: &str) -> Result<Decision, Unavailable> {
        Ok(Self::check(self, client, now()))
    }

    fn limit(&self) -> u32 {
        Self::limit(self)
    }

    fn window(&self) -> Duration {
        Self::window(self)
    }
}
