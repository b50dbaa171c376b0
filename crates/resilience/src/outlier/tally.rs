//! Counts an instance's answers without a lock.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What an instance answered since the last look, and how often it failed in a row.
///
/// All orderings are relaxed: each number stands for itself, and read-modify-write operations lose
/// none. Answers of two threads at the same instant are in a row in either order.
#[derive(Debug, Default)]
pub struct Tally {
    in_a_row: AtomicU32,
    successes: AtomicU64,
    failures: AtomicU64,
}

impl Tally {
    /// Counts an answer; says how many failures there are now in a row.
    #[inline]
    pub fn count(&self, failed: bool) -> u32 {
        if failed {
            self.failures.fetch_add(1, Ordering::Relaxed);
            return self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        }
        self.begin();
        0
    }

    /// Counts a good answer that has begun; says how many failures in a row it ended, for
    /// [`Self::break_off`].
    #[inline]
    pub fn begin(&self) -> u32 {
        self.successes.fetch_add(1, Ordering::Relaxed);
        // Most often it is zero already, and a load leaves the cache line where it is.
        match self.in_a_row.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.in_a_row.swap(0, Ordering::Relaxed),
        }
    }

    /// Takes back an answer that broke off, as a failure in a row with those before it; says how
    /// many there are now.
    pub fn break_off(&self, in_a_row: u32) -> u32 {
        // A look may have taken it meanwhile; then it stays a success of that time.
        let (read, write) = (Ordering::Relaxed, Ordering::Relaxed);
        let _taken = self.successes.fetch_update(write, read, |held| held.checked_sub(1));
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.in_a_row.fetch_max(in_a_row, Ordering::Relaxed);
        self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Failures in a row by now.
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row.load(Ordering::Relaxed)
    }

    /// Takes the successes and failures since the last look; failures in a row go on.
    #[must_use = "what is taken is counted from zero again"]
    pub fn take(&self) -> (u64, u64) {
        (self.successes.swap(0, Ordering::Relaxed), self.failures.swap(0, Ordering::Relaxed))
    }

    /// Forgets all, as for an instance that comes back from its ejection.
    pub fn clear(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
        let _forgotten = self.take();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_success_ends_the_row_and_a_look_does_not() {
        let tally = Tally::default();
        assert_eq!([tally.count(true), tally.count(true)], [1, 2]);
        assert_eq!(tally.take(), (0, 2));
        assert_eq!(tally.count(true), 3);
        assert_eq!(tally.count(false), 0);
        assert_eq!(tally.count(true), 1);
        assert_eq!(tally.take(), (1, 2));
        assert_eq!(tally.in_a_row(), 1);
        tally.clear();
        assert_eq!((tally.in_a_row(), tally.take()), (0, (0, 0)));
    }
}

#[cfg(all(test, not(loom)))]
mod broken_answers {
    use super::*;

    #[test]
    fn an_answer_that_breaks_off_is_in_a_row_with_the_failures_before_it() {
        let tally = Tally::default();
        let broken: Vec<u32> = (0..3).map(|_| tally.break_off(tally.begin())).collect();
        assert_eq!(broken, [1, 2, 3]);
        assert_eq!(tally.take(), (0, 3));
        let begun = tally.begin();
        assert_eq!((begun, tally.in_a_row()), (3, 0));
        let _looked = tally.take();
        assert_eq!((tally.break_off(begun), tally.take()), (4, (0, 1)));
    }
}

// `RUSTFLAGS="--cfg loom" cargo test -p regatta-resilience --lib loom`
#[cfg(all(test, loom))]
mod loom_tests {
    //! Every interleaving of two threads.

    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    #[test]
    fn no_answer_is_lost_or_counted_twice_while_another_thread_looks() {
        loom::model(|| {
            let tally = Arc::new(Tally::default());
            let other = Arc::clone(&tally);
            let thread = thread::spawn(move || {
                other.count(true);
                other.count(false);
            });
            let (successes, failures) = tally.take();
            thread.join().unwrap();
            let (more_successes, more_failures) = tally.take();
            assert_eq!((successes + more_successes, failures + more_failures), (1, 1));
            assert_eq!(tally.in_a_row(), 0);
        });
    }

    #[test]
    fn failures_of_two_threads_are_in_a_row_and_one_of_them_is_the_second() {
        loom::model(|| {
            let tally = Arc::new(Tally::default());
            let other = Arc::clone(&tally);
            let thread = thread::spawn(move || other.count(true));
            let mine = tally.count(true);
            let theirs = thread.join().unwrap();
            assert_eq!((mine.min(theirs), mine.max(theirs)), (1, 2));
        });
    }
}
