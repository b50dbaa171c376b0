//! The exact limiter: it remembers when each admitted call came.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::rate_limit::keyed::{Keyed, Tick};
use crate::rate_limit::window::{Rule, Window};
use crate::rate_limit::{Decision, InvalidSettings, Settings};

/// Admits at most `limit` calls per client in every window. Cheap to clone; all clones are one
/// limiter, which any number of threads may share without losing exactness.
///
/// A client is anything that hashes. Of its key only a 64-bit hash is kept, under a secret of this
/// process: two of 80,000 clients share a window by chance once in six billion limiters, and none
/// can on purpose.
///
/// Memory stays under `max_bytes` whatever the number of clients. As long as fewer clients than
/// [`SlidingWindow::capacity`] have calls in the window, each has a window of its own. Past that,
/// newcomers share a few windows: still no client passes more than the limit, but newcomers may be
/// refused for each other's calls until others have left.
///
/// ```
/// use std::time::Duration;
/// use regatta_resilience::rate_limit::{Settings, SlidingWindow};
///
/// # #[expect(clippy::disallowed_methods, reason = "an example outside a runtime")]
/// let now = std::time::Instant::now();
/// let limiter = SlidingWindow::try_new(Settings::new(1, Duration::from_secs(60)))?;
/// assert!(limiter.check(&"alice", now).allowed);
/// assert_eq!(limiter.check(&"alice", now).retry_after, Duration::from_secs(60));
/// assert!(limiter.check(&"bob", now).allowed);
/// # Ok::<(), regatta_resilience::rate_limit::InvalidSettings>(())
/// ```
#[derive(Clone)]
pub struct SlidingWindow {
    windows: Arc<Keyed<Window>>,
}

/// The longest window that is measured in microseconds.
const LONGEST_FINE: Duration = Duration::from_secs(30 * 60);

impl SlidingWindow {
    /// A limiter that has seen nobody. Time is read in whole microseconds, for windows over 30
    /// minutes in whole milliseconds.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn try_new(settings: Settings) -> Result<Self, InvalidSettings> {
        settings.validate()?;
        let Settings { limit, window, max_bytes } = settings;
        let fine = window <= LONGEST_FINE;
        let tick = if fine { Tick::Microsecond } else { Tick::Millisecond };
        // A window that is no whole number of ticks is rounded up: never more than the limit.
        let ticks = window.as_nanos().div_ceil(tick.duration().as_nanos()) as u32;
        let rule = Rule { limit, window: ticks, tick: tick.duration() };
        Ok(Self { windows: Arc::new(Keyed::try_new(rule, tick, max_bytes)?) })
    }

    /// Decides about a call of this client at `now`, and counts it if it is admitted.
    pub fn check<C: Hash + ?Sized>(&self, client: &C, now: Instant) -> Decision {
        self.windows.check(client, now)
    }

    /// Calls per client and window.
    pub fn limit(&self) -> u32 {
        self.windows.rule().limit
    }

    /// The length of a window.
    pub fn window(&self) -> Duration {
        let rule = self.windows.rule();
        rule.tick * rule.window
    }

    /// Clients that have a window of their own at the same time, if they spread evenly over the
    /// shards, as hashes do.
    pub fn capacity(&self) -> usize {
        self.windows.capacity()
    }

    /// The memory in use, in bytes; at most the setting `max_bytes`.
    pub fn bytes(&self) -> usize {
        self.windows.bytes()
    }
}

impl fmt::Debug for SlidingWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlidingWindow")
            .field("limit", &self.limit())
            .field("window", &self.window())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
