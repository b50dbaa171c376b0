//! The limiter that all threads share.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::rate_limit::shard::Shard;
use crate::rate_limit::window::{Decision, Rule};

/// How many calls a client may make, and how much memory may remember them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Calls per client in every window. Default 60 (R19); 1 to 1,000,000.
    pub limit: u32,
    /// The length of a window. Default 60 s (R19); 1 ms to 24 h. Time is read in whole
    /// microseconds, for windows over 30 minutes in whole milliseconds.
    pub window: Duration,
    /// The most memory for all clients together, in bytes. Default 32 MiB: 80,000 clients with
    /// calls in the window under the default limit.
    pub max_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limit: 60, window: Duration::from_secs(60), max_bytes: 32 << 20 }
    }
}

impl Settings {
    /// The defaults with this limit per window.
    pub fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window, ..Self::default() }
    }

    /// The same settings with this much memory.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

/// A limiter setting is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSettings {
    /// No call would pass, or the counts would not fit.
    #[error("limit is `{limit}`; use 1 to 1000000")]
    Limit {
        /// What was given.
        limit: u32,
    },
    /// The window is too short or too long.
    #[error("window is `{window:?}`; use 1 ms to 24 h")]
    Window {
        /// What was given.
        window: Duration,
    },
    /// The memory holds no client.
    #[error("max_bytes is `{bytes}`, too little for the limit; use {least} or more")]
    Memory {
        /// What was given.
        bytes: usize,
        /// What is needed at least.
        least: usize,
    },
}

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
    shared: Arc<Shared>,
}

struct Shared {
    rule: Rule,
    capacity: usize,
    /// Tick 1 is at the first call.
    origin: OnceLock<Instant>,
    hasher: RandomState,
    /// Each on cache lines of its own.
    shards: [Aligned; SHARDS],
}

#[repr(align(128))]
struct Aligned(Mutex<Shard>);

/// Locks, so that threads rarely wait for each other.
const SHARDS: usize = 16;

/// Windows that newcomers share, in each shard.
const SHARED_WINDOWS: usize = 16;

/// The longest window that is measured in microseconds.
const LONGEST_FINE: Duration = Duration::from_secs(30 * 60);

impl SlidingWindow {
    /// A limiter that has seen nobody.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn try_new(settings: Settings) -> Result<Self, InvalidSettings> {
        let Settings { limit, window, max_bytes } = settings;
        if !(1..=1_000_000).contains(&limit) {
            return Err(InvalidSettings::Limit { limit });
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(&window) {
            return Err(InvalidSettings::Window { window });
        }
        let micros = if window <= LONGEST_FINE { 1 } else { 1000 };
        let tick = Duration::from_micros(micros);
        // A window that is no whole number of ticks is rounded up: never more than the limit.
        let ticks = window.as_nanos().div_ceil(tick.as_nanos()) as u32;
        let bytes = |capacity| SHARDS * Shard::most_bytes(capacity, SHARED_WINDOWS, limit);
        let capacity = largest(|capacity| bytes(capacity) <= max_bytes);
        if capacity == 0 {
            return Err(InvalidSettings::Memory { bytes: max_bytes, least: bytes(1) });
        }
        let shard = || Aligned(Mutex::new(Shard::new(capacity, SHARED_WINDOWS)));
        let shared = Shared {
            rule: Rule { limit, window: ticks, tick },
            capacity: capacity * SHARDS,
            origin: OnceLock::new(),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| shard()),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Decides about a call of this client at `now`, and counts it if it is admitted.
    pub fn check<C: Hash + ?Sized>(&self, client: &C, now: Instant) -> Decision {
        let Shared { rule, origin, hasher, shards, .. } = &*self.shared;
        let hash = hasher.hash_one(client);
        let since = now.saturating_duration_since(*origin.get_or_init(|| now));
        // No division of 128 bits, as `as_nanos` would need: a tick is a part of a second.
        let nanos = u64::from(rule.tick.subsec_nanos());
        let ticks_in_second = 1_000_000_000 / nanos;
        let tick = 1 + since.as_secs() * ticks_in_second + u64::from(since.subsec_nanos()) / nanos;
        let shard = &shards[hash as usize % SHARDS].0;
        // A window is whole between two calls of `check`.
        shard.lock().unwrap_or_else(PoisonError::into_inner).check(*rule, hash, tick)
    }

    /// Calls per client and window.
    pub fn limit(&self) -> u32 {
        self.shared.rule.limit
    }

    /// The length of a window.
    pub fn window(&self) -> Duration {
        self.shared.rule.tick * self.shared.rule.window
    }

    /// Clients that have a window of their own at the same time, if they spread evenly over the
    /// shards, as hashes do.
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// The memory in use, in bytes; at most the setting `max_bytes`.
    pub fn bytes(&self) -> usize {
        let lock = |shard: &Aligned| shard.0.lock().unwrap_or_else(PoisonError::into_inner).bytes();
        self.shared.shards.iter().map(lock).sum()
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

/// The largest number under 2^24 for which `fits` holds; it holds for all below one that holds.
fn largest(fits: impl Fn(usize) -> bool) -> usize {
    let (mut good, mut bad) = (0, 1 << 24);
    while good + 1 < bad {
        let middle = usize::midpoint(good, bad);
        if fits(middle) { good = middle } else { bad = middle }
    }
    good
}
