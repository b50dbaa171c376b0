//! A cell per client, which all threads share, in memory that is bounded.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::rate_limit::index;
use crate::rate_limit::shard::{Cell, Shard};
use crate::rate_limit::{Decision, InvalidSettings};

/// Cells behind locks, found by a hash under a secret of this process.
pub(crate) struct Keyed<C: Cell> {
    rule: C::Rule,
    tick: Tick,
    capacity: usize,
    /// Tick 1 is at the first call.
    origin: OnceLock<Instant>,
    hasher: RandomState,
    /// Each on cache lines of its own.
    shards: [Aligned<C>; SHARDS],
}

/// The unit in which a limiter counts time. One of a few, so that nothing is divided by what is no
/// constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    Nanosecond,
    Microsecond,
    Millisecond,
}

impl Tick {
    pub(crate) const fn duration(self) -> Duration {
        match self {
            Self::Nanosecond => Duration::from_nanos(1),
            Self::Microsecond => Duration::from_micros(1),
            Self::Millisecond => Duration::from_millis(1),
        }
    }

    /// Whole ticks, without a division of 128 bits.
    fn whole(self, since: Duration) -> u64 {
        let (seconds, nanos) = (since.as_secs(), since.subsec_nanos());
        match self {
            Self::Nanosecond => seconds * 1_000_000_000 + u64::from(nanos),
            Self::Microsecond => seconds * 1_000_000 + u64::from(nanos / 1_000),
            Self::Millisecond => seconds * 1_000 + u64::from(nanos / 1_000_000),
        }
    }
}

#[repr(align(128))]
struct Aligned<C>(Mutex<Shard<C>>);

/// Locks, so that threads rarely wait for each other.
const SHARDS: usize = 16;

/// Cells that newcomers share, in each shard.
const SHARED_CELLS: usize = 16;

impl<C: Cell> Keyed<C> {
    /// For as many clients as fit into the memory.
    pub(crate) fn try_new(
        rule: C::Rule,
        tick: Tick,
        max_bytes: usize,
    ) -> Result<Self, InvalidSettings> {
        let bytes = |capacity| SHARDS * Shard::<C>::most_bytes(capacity, SHARED_CELLS, rule);
        let capacity = largest(|capacity| bytes(capacity) <= max_bytes);
        if capacity == 0 {
            return Err(InvalidSettings::Memory { bytes: max_bytes, least: bytes(1) });
        }
        let shard = || Aligned(Mutex::new(Shard::new(capacity, SHARED_CELLS)));
        Ok(Self {
            rule,
            tick,
            capacity: capacity * SHARDS,
            origin: OnceLock::new(),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| shard()),
        })
    }

    pub(crate) fn check<Client: Hash + ?Sized>(&self, client: &Client, now: Instant) -> Decision {
        let hash = self.hasher.hash_one(client);
        let since = now.saturating_duration_since(*self.origin.get_or_init(|| now));
        let now = 1 + self.tick.whole(since);
        lock(&self.shards[hash as usize % SHARDS]).check(self.rule, hash, now)
    }

    pub(crate) fn rule(&self) -> C::Rule {
        self.rule
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).bytes()).sum()
    }
}

fn lock<C>(shard: &Aligned<C>) -> MutexGuard<'_, Shard<C>> {
    // A cell is whole between two calls of `check`.
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The largest number for which `fits` holds, and that an index can hold; `fits` holds for all below
/// one for which it does.
fn largest(fits: impl Fn(usize) -> bool) -> usize {
    let (mut good, mut bad) = (0, index::MOST + 1);
    while good + 1 < bad {
        let middle = usize::midpoint(good, bad);
        if fits(middle) { good = middle } else { bad = middle }
    }
    good
}
