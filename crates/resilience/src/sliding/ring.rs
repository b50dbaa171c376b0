//! Sums over a window that slides in steps of a tenth of its length.

use std::ops::Range;
use std::time::{Duration, Instant};

/// `KINDS` counts over the last window.
///
/// It counts from the first instant it is told. A count leaves after at least nine tenths of the
/// window and at most the whole of it. Time that runs back stands still.
#[derive(Clone, Debug)]
pub(crate) struct Ring<const KINDS: usize> {
    slots: [[u64; KINDS]; SLOTS],
    /// Where the present slot is.
    newest: usize,
    sum: [u64; KINDS],
    slot: Duration,
    /// When the present slot ends; none before the first instant.
    ends: Option<Instant>,
}

/// Steps of a window.
const SLOTS: usize = 10;

impl<const KINDS: usize> Ring<KINDS> {
    /// Nothing counted, over a window of this length; lengths under 10 ns are taken as 10 ns.
    pub(crate) fn new(window: Duration) -> Self {
        let slot = (window / SLOTS as u32).max(Duration::from_nanos(1));
        Self { slots: [[0; KINDS]; SLOTS], newest: 0, sum: [0; KINDS], slot, ends: None }
    }

    /// Forgets what has left the window at `now`; says whether that begins another slot.
    pub(crate) fn turn_to(&mut self, now: Instant) -> bool {
        let Some(ends) = self.ends else {
            self.ends = now.checked_add(self.slot);
            return true;
        };
        let Some(late) = now.checked_duration_since(ends) else { return false };
        self.turn(ends, late);
        true
    }

    /// Goes on to the slot that holds an instant so long after the present one's end.
    #[cold]
    fn turn(&mut self, ends: Instant, late: Duration) {
        let steps = 1 + nanos(late) / nanos(self.slot).max(1);
        for _ in 0..steps.min(SLOTS as u64) {
            self.newest = (self.newest + 1) % SLOTS;
            let forgotten = std::mem::replace(&mut self.slots[self.newest], [0; KINDS]);
            for (sum, count) in self.sum.iter_mut().zip(forgotten) {
                *sum -= count;
            }
        }
        // Slots stay aligned to the first instant, however long nothing was counted.
        let passed = Duration::from_nanos(steps.saturating_mul(nanos(self.slot)));
        self.ends = ends.checked_add(passed);
    }

    /// Adds to the present slot, which is the one last turned to.
    pub(crate) fn add(&mut self, kind: usize, count: u64) {
        self.slots[self.newest][kind] += count;
        self.sum[kind] += count;
    }

    /// Takes one out again, the latest that is still counted; nothing when there is none.
    pub(crate) fn take_back(&mut self, kind: usize) {
        let from_newest = (0..SLOTS).map(|back| (self.newest + SLOTS - back) % SLOTS);
        for slot in from_newest {
            if self.slots[slot][kind] > 0 {
                self.slots[slot][kind] -= 1;
                self.sum[kind] -= 1;
                return;
            }
        }
    }

    /// The counts in the window, as of the instant last turned to.
    pub(crate) fn sum(&self) -> [u64; KINDS] {
        self.sum
    }

    /// The present slot, without its end; none before the first instant.
    pub(crate) fn present(&self) -> Option<Range<Instant>> {
        let ends = self.ends?;
        Some(ends.checked_sub(self.slot).unwrap_or(ends)..ends)
    }

    /// Forgets all counts.
    pub(crate) fn clear(&mut self) {
        self.slots = [[0; KINDS]; SLOTS];
        self.sum = [0; KINDS];
    }
}

/// Whole nanoseconds without a division of 128 bits; 584 years at most.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::now;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn a_count_leaves_with_its_slot() {
        let (mut ring, start) = (Ring::<1>::new(WINDOW), now());
        ring.turn_to(start);
        ring.add(0, 3);
        ring.turn_to(start + Duration::from_millis(9_999));
        assert_eq!(ring.sum(), [3]);
        ring.turn_to(start + WINDOW);
        assert_eq!(ring.sum(), [0]);
    }

    #[test]
    fn what_is_taken_back_is_the_latest_and_never_more_than_there_is() {
        let (mut ring, start) = (Ring::<2>::new(WINDOW), now());
        for second in [0, 5] {
            ring.turn_to(start + Duration::from_secs(second));
            ring.add(0, 1);
            ring.add(1, 1);
        }
        ring.take_back(0);
        ring.turn_to(start + WINDOW);
        assert_eq!(ring.sum(), [0, 1], "the one of second 5 is gone, that of second 0 is too old");
        ring.take_back(0);
        assert_eq!(ring.sum(), [0, 1]);
    }

    #[test]
    fn a_window_of_no_length_does_not_divide_by_zero() {
        let (mut ring, start) = (Ring::<1>::new(Duration::ZERO), now());
        ring.turn_to(start);
        ring.add(0, 1);
        ring.turn_to(start + Duration::from_secs(3_000_000_000));
        assert_eq!(ring.sum(), [0]);
    }

    proptest! {
        #[test]
        fn counts_all_of_nine_tenths_and_nothing_older_than_the_window(
            steps in prop::collection::vec((0_u64..4_000, 0_u64..5, any::<bool>()), 1..80),
        ) {
            let (mut ring, start) = (Ring::<2>::new(WINDOW), now());
            let (mut elapsed, mut log) = (0, Vec::new());
            for (millis, count, back) in steps {
                let at = if back { elapsed } else { elapsed + millis };
                elapsed = elapsed.max(at);
                ring.turn_to(start + Duration::from_millis(at));
                ring.add(1, count);
                log.push((elapsed, count));
                let within = |age: u64| -> u64 {
                    log.iter().filter(|(then, _)| elapsed - then < age).map(|(_, n)| n).sum()
                };
                prop_assert!(ring.sum()[1] >= within(9_000));
                prop_assert!(ring.sum()[1] <= within(10_000));
                prop_assert_eq!(ring.sum()[0], 0);
            }
        }
    }
}
