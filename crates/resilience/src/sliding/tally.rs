//! Counts without a lock what happens at nearly every call.

use std::ops::Range;
use std::sync::OnceLock;
use std::time::Instant;

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};

use super::ring::nanos;

/// Counts that wait to be added to the present slot of a [`super::Ring`].
///
/// Whoever holds the ring's lock takes them over before the ring turns to another slot. So a count
/// is one atomic addition, and once per slot the lock is taken. A count of two threads that race
/// with a turn is in the slot in which its addition happened.
///
/// All orderings are relaxed: the number itself is the only thing shared, read-modify-write
/// operations on it lose nothing, and a stale `slot_ends` only moves a count to the next slot.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    waiting: AtomicU64,
    /// In nanoseconds since `origin`; zero until the first slot is known.
    slot_ends: AtomicU64,
    origin: OnceLock<Instant>,
}

impl Tally {
    /// Counts, if `now` is in the present slot; else the caller must take the ring's lock.
    #[must_use = "what is not counted must be counted under the lock"]
    pub(crate) fn count(&self, now: Instant) -> bool {
        let Some(origin) = self.origin.get() else { return false };
        let since = nanos(now.saturating_duration_since(*origin));
        let counts = since < self.slot_ends.load(Ordering::Relaxed);
        if counts {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
        counts
    }

    /// Takes over what was counted.
    pub(crate) fn take(&self) -> u64 {
        // Most often nothing waits, and a load leaves the cache line where it is.
        match self.waiting.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.waiting.swap(0, Ordering::Relaxed),
        }
    }

    /// Says in which slot to count without the lock.
    pub(crate) fn publish(&self, slot: Option<Range<Instant>>) {
        let Some(slot) = slot else { return };
        let origin = *self.origin.get_or_init(|| slot.start);
        let since = nanos(slot.end.saturating_duration_since(origin));
        self.slot_ends.store(since, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::now;

    #[test]
    fn counts_within_the_slot_and_not_at_its_end() {
        let (tally, now) = (Tally::default(), now());
        let slot = Duration::from_secs(1);
        assert!(!tally.count(now), "no slot is known yet");
        tally.publish(Some(now..now + slot));
        assert!(tally.count(now));
        assert!(tally.count(now + slot - Duration::from_nanos(1)));
        assert!(!tally.count(now + slot));
        assert_eq!((tally.take(), tally.take()), (2, 0));
    }
}
