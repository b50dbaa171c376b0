//! Counts without a lock what happens at nearly every call.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// In nanoseconds since the holder's origin; zero until the first slot is known.
    slot_ends: AtomicU64,
}

impl Tally {
    /// Counts, if the present slot holds so many nanoseconds since the holder's origin; else the
    /// caller must take the ring's lock.
    #[inline]
    #[must_use = "what is not counted must be counted under the lock"]
    pub(crate) fn count(&self, since: u64) -> bool {
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

    /// Says until when to count without the lock, in nanoseconds since the holder's origin.
    pub(crate) fn publish(&self, slot_ends: u64) {
        self.slot_ends.store(slot_ends, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn counts_within_the_slot_and_not_at_its_end() {
        let tally = Tally::default();
        assert!(!tally.count(0), "no slot is known yet");
        tally.publish(1_000);
        assert!(tally.count(0));
        assert!(tally.count(999));
        assert!(!tally.count(1_000));
        assert_eq!((tally.take(), tally.take()), (2, 0));
    }
}
