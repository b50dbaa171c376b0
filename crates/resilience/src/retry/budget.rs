//! A share of successes and a floor per second for retries.
//!
//! # Source
//!
//! Finagle's `RetryBudget` and Linkerd's `retryBudget` (ratio 0.2, 10 retries/s, TTL 10 s). Ours
//! counts successes and not requests, so that a target that fails all of them gets the floor only.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};

use crate::sliding::{Origin, Ring};

/// Bounds the retries of all calls to one target. Cheap to clone; all clones are one budget.
///
/// When a retry is taken, the retries of the last 10 s are at most `percent` of the successes of
/// the last 10 s plus `floor_per_second` times 10. So over any time, attempts are at most the
/// calls, that share of the successes, and the floor. Both are forgotten in steps of a second.
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

/// Within a second a budget is two words and no lock: one that is counted in, and one that says when
/// the second ends. Whoever comes after that turns the window first, under the lock.
struct Shared {
    /// What counts now. Relaxed: whatever changes it reads and writes it in one step.
    counts: AtomicU64,
    /// As [`Limits::pack`] has them. Relaxed: it is the only thing that changes with them.
    limits: AtomicU64,
    /// In nanoseconds since the origin; zero before the first second. Whoever reads an end that was
    /// stored (release) finds `counts` turned to that second (acquire).
    second_ends: AtomicU64,
    origin: Origin,
    /// When what counts now came. Its sum lags behind `counts` by what came since its last use.
    past: Mutex<Ring<2>>,
}

/// A budget setting is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("retry budget of `{percent}` percent is out of range; use 0 to 100")]
pub struct InvalidBudget {
    /// What was given.
    pub percent: u32,
}

impl Default for Budget {
    /// 20 % (Linkerd's and Finagle's value: a fifth more load is what a target bears) and 3 per
    /// second (a quiet caller may retry at all; 30 at once after a quiet time).
    fn default() -> Self {
        Self::new(20, 3)
    }
}

impl Budget {
    /// How long successes and retries count.
    pub const WINDOW: Duration = Duration::from_secs(10);

    /// Retries up to this percentage of successes plus this many per second.
    ///
    /// # Errors
    ///
    /// [`InvalidBudget`] when the percentage is over 100.
    pub fn try_new(percent: u32, floor_per_second: u32) -> Result<Self, InvalidBudget> {
        if percent > 100 {
            return Err(InvalidBudget { percent });
        }
        Ok(Self::new(percent, floor_per_second))
    }

    fn new(percent: u32, floor_per_second: u32) -> Self {
        let limits = Limits { percent, floor_per_second }.pack();
        let shared = Shared {
            counts: AtomicU64::new(0),
            limits: AtomicU64::new(limits),
            second_ends: AtomicU64::new(0),
            origin: Origin::default(),
            past: Mutex::new(Ring::new(Self::WINDOW)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Goes on with another share and floor; what was counted stays.
    ///
    /// # Errors
    ///
    /// [`InvalidBudget`] when the percentage is over 100; then nothing has changed.
    pub fn reconfigure(&self, percent: u32, floor_per_second: u32) -> Result<(), InvalidBudget> {
        if percent > 100 {
            return Err(InvalidBudget { percent });
        }
        let limits = Limits { percent, floor_per_second }.pack();
        self.shared.limits.store(limits, Ordering::Relaxed);
        Ok(())
    }

    /// Counts a success.
    #[inline]
    pub fn deposit(&self, now: Instant) {
        self.turn_to(now);
        self.shared.counts.fetch_add(SUCCESS, Ordering::Relaxed);
    }

    /// Takes a retry out, if there is one.
    #[inline]
    #[must_use = "without a withdrawal there is no right to retry"]
    pub fn withdraw(&self, now: Instant) -> bool {
        self.turn_to(now);
        let limits = self.limits();
        let counts = &self.shared.counts;
        let mut held = counts.load(Ordering::Relaxed);
        while limits.allow(Counts::of(held)) {
            let (taken, order) = (held + RETRY, Ordering::Relaxed);
            match counts.compare_exchange_weak(held, taken, order, order) {
                Ok(_) => return true,
                Err(others) => held = others,
            }
        }
        false
    }

    /// Takes a retry out, if there is one, to be put back should it never go out.
    pub fn take(&self, now: Instant) -> Option<Withdrawal> {
        self.withdraw(now).then(|| Withdrawal { budget: Some(self.clone()) })
    }

    /// How many retries could be taken out at `now`.
    pub fn left(&self, now: Instant) -> u64 {
        self.turn_to(now);
        self.limits().left(self.counts())
    }

    /// Forgets what is too old.
    #[inline]
    fn turn_to(&self, now: Instant) {
        let Shared { origin, second_ends, .. } = &*self.shared;
        let is_present = |since| since < second_ends.load(Ordering::Acquire);
        if !origin.since(now).is_some_and(is_present) {
            self.turn(now);
        }
    }

    /// Goes on to the second that holds `now`, unless somebody else did.
    #[cold]
    fn turn(&self, now: Instant) {
        self.forget(|past| {
            past.turn_to(now);
        });
    }

    /// Has the past forget something, and takes that out of what counts now.
    fn forget(&self, forget: impl FnOnce(&mut Ring<2>)) {
        let Shared { counts, second_ends, origin, .. } = &*self.shared;
        let mut past = self.lock();
        // Before it turns: what came since its last use belongs to the second that may end now.
        // Without the lock counts only grow, so nothing here goes below zero.
        let present = self.counts();
        let [successes, retries] = past.sum();
        past.add(SUCCESSES, present.successes - successes);
        past.add(RETRIES, present.retries - retries);
        forget(&mut past);
        let [successes, retries] = past.sum();
        let forgotten = (present.successes - successes) * SUCCESS + present.retries - retries;
        counts.fetch_sub(forgotten, Ordering::Relaxed);
        if let Some(second) = past.present() {
            second_ends.store(origin.until(|| second.start, second.end), Ordering::Release);
        }
    }

    fn counts(&self) -> Counts {
        Counts::of(self.shared.counts.load(Ordering::Relaxed))
    }

    fn limits(&self) -> Limits {
        Limits::unpack(self.shared.limits.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Ring<2>> {
        // The sums are whole after each line that changes them.
        self.shared.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A retry that was taken out of a [`Budget`]. Dropped unspent it goes back: its call was given up
/// during the wait before it, or found no instance.
#[derive(Debug)]
#[must_use = "a withdrawal that is dropped goes back into the budget"]
pub struct Withdrawal {
    /// None once spent.
    budget: Option<Budget>,
}

impl Withdrawal {
    /// The retry goes out now.
    pub fn spend(mut self) {
        self.budget = None;
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        if let Some(budget) = self.budget.take() {
            budget.forget(|past| past.take_back(RETRIES));
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { successes, retries } = self.counts();
        f.debug_struct("Budget")
            .field("limits", &self.limits())
            .field("successes", &successes)
            .field("retries", &retries)
            .finish()
    }
}

/// What the past counts.
const SUCCESSES: usize = 0;
const RETRIES: usize = 1;

/// One of each in the word of what counts now: retries in its lower half, successes in its upper.
/// Neither runs over: a word that all cores write is not written four thousand million times in
/// [`Budget::WINDOW`].
const SUCCESS: u64 = 1 << 32;
const RETRY: u64 = 1;

/// What counts now, of one moment.
#[derive(Clone, Copy, Debug)]
struct Counts {
    successes: u64,
    retries: u64,
}

impl Counts {
    #[inline]
    fn of(word: u64) -> Self {
        Self { successes: word >> 32, retries: word & u64::from(u32::MAX) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    /// At most 100.
    percent: u32,
    floor_per_second: u32,
}

impl Limits {
    fn pack(self) -> u64 {
        u64::from(self.percent) << 32 | u64::from(self.floor_per_second)
    }

    #[inline]
    fn unpack(word: u64) -> Self {
        Self { percent: (word >> 32) as u32, floor_per_second: word as u32 }
    }

    /// Whether one more retry may be taken out. As [`Self::left`], without a division.
    #[inline]
    fn allow(self, counts: Counts) -> bool {
        (counts.retries + 1) * 100 <= self.hundredfold(counts)
    }

    fn left(self, counts: Counts) -> u64 {
        (self.hundredfold(counts) / 100).saturating_sub(counts.retries)
    }

    /// A hundred times the retries that may be taken out in the window.
    #[inline]
    fn hundredfold(self, counts: Counts) -> u64 {
        let floor = u64::from(self.floor_per_second) * Budget::WINDOW.as_secs() * 100;
        counts.successes * u64::from(self.percent) + floor
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

// `RUSTFLAGS="--cfg loom" cargo test -p regatta-resilience --lib loom`
#[cfg(all(test, loom))]
mod loom_tests;
