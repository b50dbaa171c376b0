//! The limiter that costs a number per client: a burst, then an even pace.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::rate_limit::gcra::{Arrival, Rule};
use crate::rate_limit::keyed::{Keyed, Tick};
use crate::rate_limit::{Decision, InvalidSettings, Settings};

/// Admits `burst` calls per client at once and the rest of the limit at an even pace (GCRA); never
/// more than the limit in any window. Cheap to clone; all clones are one limiter.
///
/// Beside [`super::SlidingWindow`] it takes 32 to 40 bytes per client whatever the limit, and has
/// callers come evenly instead of all at the begin of a window. The price: whoever calls without
/// a break gets `limit - burst + 1` calls per window, not the whole limit. What is said there about
/// memory, keys and newcomers goes for it too.
///
/// ```
/// use std::time::Duration;
/// use regatta_resilience::rate_limit::{Gcra, Settings};
///
/// # #[expect(clippy::disallowed_methods, reason = "an example outside a runtime")]
/// let now = std::time::Instant::now();
/// let limiter = Gcra::try_new(Settings::new(60, Duration::from_secs(60)), 1)?;
/// assert!(limiter.check(&"alice", now).allowed);
/// assert_eq!(limiter.check(&"alice", now).retry_after, Duration::from_secs(1));
/// # Ok::<(), regatta_resilience::rate_limit::InvalidSettings>(())
/// ```
#[derive(Clone)]
pub struct Gcra {
    arrivals: Arc<Keyed<Arrival>>,
    window: Duration,
    burst: u32,
}

impl Gcra {
    /// A limiter that has seen nobody; `burst` is from 1 to the limit. Time is read in whole
    /// nanoseconds.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn try_new(settings: Settings, burst: u32) -> Result<Self, InvalidSettings> {
        settings.validate_burst(burst)?;
        let Settings { limit, window, max_bytes } = settings;
        let rule = Rule::new(limit, window, burst);
        let arrivals = Keyed::try_new(rule, Tick::Nanosecond, max_bytes)?;
        Ok(Self { arrivals: Arc::new(arrivals), window, burst })
    }

    /// A tenth of the limit, but one call: enough for a page and its parts, and nine tenths of the
    /// limit are left to whoever calls without a break.
    pub fn default_burst(limit: u32) -> u32 {
        (limit / 10).max(1)
    }

    /// Decides about a call of this client at `now`, and counts it if it is admitted.
    pub fn check<C: Hash + ?Sized>(&self, client: &C, now: Instant) -> Decision {
        self.arrivals.check(client, now)
    }

    /// The most calls per client and window.
    pub fn limit(&self) -> u32 {
        self.arrivals.rule().limit
    }

    /// The length of a window.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// Calls that may come at once.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// Clients that are told apart at the same time, if they spread evenly over the shards, as
    /// hashes do.
    pub fn capacity(&self) -> usize {
        self.arrivals.capacity()
    }

    /// The memory in use, in bytes; at most the setting `max_bytes`.
    pub fn bytes(&self) -> usize {
        self.arrivals.bytes()
    }
}

impl fmt::Debug for Gcra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gcra")
            .field("limit", &self.limit())
            .field("window", &self.window)
            .field("burst", &self.burst)
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
