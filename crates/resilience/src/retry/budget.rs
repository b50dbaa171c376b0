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
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};

use crate::sliding::{Origin, Ring, Tally};

/// Bounds the retries of all calls to one target. Cheap to clone; all clones are one budget.
///
/// When a retry is taken, the retries of the last 10 s are at most `percent` of the successes of
/// the last 10 s plus `floor_per_second` times 10. So over any time, attempts are at most the
/// calls, that share of the successes, and the floor. Both are forgotten in steps of a second.
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

struct Shared {
    /// Successes that the account does not have yet.
    successes: Tally,
    origin: Origin,
    account: Mutex<Account>,
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
        let account = Account {
            limits: Limits::new(percent, floor_per_second),
            last: Ring::new(Self::WINDOW),
        };
        let (successes, origin) = (Tally::default(), Origin::default());
        let shared = Shared { successes, origin, account: Mutex::new(account) };
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
        self.lock().limits = Limits::new(percent, floor_per_second);
        Ok(())
    }

    /// Counts a success.
    #[inline]
    pub fn deposit(&self, now: Instant) {
        // Once a second the account is turned; all other deposits are one atomic addition.
        let Shared { successes, origin, .. } = &*self.shared;
        if !origin.since(now).is_some_and(|since| successes.count(since)) {
            self.with(now, |account| account.last.add(SUCCESSES, 1));
        }
    }

    /// Takes a retry out, if there is one.
    #[must_use = "without a withdrawal there is no right to retry"]
    pub fn withdraw(&self, now: Instant) -> bool {
        self.with(now, |account| {
            let allowed = account.left() > 0;
            account.last.add(RETRIES, allowed.into());
            allowed
        })
    }

    /// Takes a retry out, if there is one, to be put back should it never go out.
    pub fn take(&self, now: Instant) -> Option<Withdrawal> {
        self.withdraw(now).then(|| Withdrawal { budget: Some(self.clone()) })
    }

    /// How many retries could be taken out at `now`.
    pub fn left(&self, now: Instant) -> u64 {
        self.with(now, |account| account.left())
    }

    /// Uses the account with all successes in it and what is too old out of it.
    fn with<T>(&self, now: Instant, use_it: impl FnOnce(&mut Account) -> T) -> T {
        let mut account = self.lock();
        // Before the turn: they belong to the second that may end now.
        let waiting = self.shared.successes.take();
        account.last.add(SUCCESSES, waiting);
        if account.last.turn_to(now)
            && let Some(slot) = account.last.present()
        {
            self.shared.successes.publish(self.shared.origin.until(|| slot.start, slot.end));
        }
        use_it(&mut account)
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        // The sums are whole after each line that changes them.
        self.shared.account.lock().unwrap_or_else(PoisonError::into_inner)
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
            budget.lock().last.take_back(RETRIES);
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = self.lock();
        f.debug_struct("Budget")
            .field("limits", &account.limits)
            .field("successes", &account.last.sum()[SUCCESSES])
            .field("retries", &account.last.sum()[RETRIES])
            .finish()
    }
}

/// What the account counts.
const SUCCESSES: usize = 0;
const RETRIES: usize = 1;

#[derive(Debug)]
struct Limits {
    percent: u64,
    /// Retries in the window whatever the successes.
    floor: u64,
}

impl Limits {
    fn new(percent: u32, floor_per_second: u32) -> Self {
        let floor = u64::from(floor_per_second) * Budget::WINDOW.as_secs();
        Self { percent: percent.into(), floor }
    }
}

struct Account {
    limits: Limits,
    last: Ring<2>,
}

impl Account {
    fn left(&self) -> u64 {
        let sum = self.last.sum();
        let allowed = sum[SUCCESSES] * self.limits.percent / 100 + self.limits.floor;
        allowed.saturating_sub(sum[RETRIES])
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::now;

    const SLOTS: u64 = Budget::WINDOW.as_secs();

    fn withdrawals(budget: &Budget, now: Instant) -> u64 {
        (0..10_000).take_while(|_| budget.withdraw(now)).count() as u64
    }

    #[test]
    fn a_quiet_caller_has_the_floor() {
        let (budget, now) = (Budget::default(), now());
        assert_eq!(budget.left(now), 30);
        assert_eq!(withdrawals(&budget, now), 30);
        assert!(!budget.withdraw(now));
    }

    #[test]
    fn a_fifth_of_the_successes_is_added() {
        let (budget, now) = (Budget::try_new(20, 0).unwrap(), now());
        (0..99).for_each(|_| budget.deposit(now));
        assert_eq!(withdrawals(&budget, now), 19);
    }

    #[test]
    fn both_are_forgotten_after_ten_seconds() {
        let (budget, now) = (Budget::try_new(100, 1).unwrap(), now());
        (0..5).for_each(|_| budget.deposit(now));
        assert_eq!(withdrawals(&budget, now), 15);
        let later = now + Duration::from_millis(9_999);
        assert_eq!(budget.left(later), 0);
        assert_eq!(budget.left(now + Budget::WINDOW), 10);
        assert_eq!(budget.left(now + Duration::from_secs(3_000_000)), 10);
    }

    #[test]
    fn time_that_runs_back_stands_still() {
        let (budget, now) = (Budget::try_new(100, 0).unwrap(), now());
        for _ in 0..4 {
            budget.deposit(now + Duration::from_secs(5));
            budget.deposit(now);
        }
        assert_eq!(budget.left(now), 8);
        assert_eq!(budget.left(now + Duration::from_secs(5)), 8);
    }

    #[test]
    fn a_retry_that_never_went_out_is_put_back() {
        let (budget, now) = (Budget::try_new(0, 1).unwrap(), now());
        let taken: Vec<_> = (0..10).filter_map(|_| budget.take(now)).collect();
        assert!(taken.len() == 10 && budget.take(now).is_none());
        for (turn, withdrawal) in taken.into_iter().enumerate() {
            if turn < 4 {
                withdrawal.spend();
            }
        }
        assert_eq!(budget.left(now), 6);
    }

    #[test]
    fn a_retry_that_is_put_back_when_it_counts_no_more_changes_nothing() {
        let (budget, now) = (Budget::try_new(0, 1).unwrap(), now());
        let late = budget.take(now).unwrap();
        let later = now + Budget::WINDOW;
        assert_eq!(budget.left(later), 10);
        drop(late);
        assert_eq!(budget.left(later), 10);
    }

    #[test]
    fn a_long_silence_forgets_all_at_once() {
        let (budget, now) = (Budget::try_new(100, 0).unwrap(), now());
        budget.deposit(now);
        assert_eq!(budget.left(now + Budget::WINDOW), 0);
        budget.deposit(now + Budget::WINDOW);
        assert_eq!(budget.left(now + 100 * Budget::WINDOW), 0);
    }

    #[test]
    fn another_share_goes_for_what_was_counted() {
        let (budget, now) = (Budget::try_new(0, 0).unwrap(), now());
        (0..100).for_each(|_| budget.deposit(now));
        assert!(!budget.withdraw(now));
        budget.reconfigure(10, 1).unwrap();
        assert_eq!(withdrawals(&budget, now), 20);
        budget.reconfigure(5, 0).unwrap();
        assert!(!budget.withdraw(now));
        assert!(budget.reconfigure(101, 0).is_err());
    }

    #[test]
    fn threads_that_share_it_take_out_what_they_put_in_and_no_more() {
        let (budget, now) = (Budget::try_new(20, 1).unwrap(), now());
        let taken = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for step in 0..1_000 {
                        let now = now + Duration::from_millis(step);
                        budget.deposit(now);
                        let allowed = u64::from(budget.withdraw(now));
                        taken.fetch_add(allowed, std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        let all = taken.into_inner() + budget.left(now);
        assert_eq!(all, 4_000 / 5 + 10);
    }

    #[test]
    fn a_share_over_the_whole_is_refused() {
        assert!(Budget::try_new(101, 0).unwrap_err().to_string().contains("`101` percent"));
    }

    proptest! {
        #[test]
        fn retries_are_at_most_the_share_of_successes_plus_the_floor(
            steps in prop::collection::vec((0_u64..3_000, 0_u32..40, 0_u32..40), 1..80),
            percent in 0_u32..=100, floor in 0_u32..5,
        ) {
            let (budget, start) = (Budget::try_new(percent, floor).unwrap(), now());
            let mut elapsed = Duration::ZERO;
            let (mut all_successes, mut all_retries) = (0, 0);
            let mut taken: Vec<(u64, u64, u64)> = Vec::new();
            budget.deposit(start);
            for (millis, successes, tries) in steps {
                elapsed += Duration::from_millis(millis);
                let (now, second) = (start + elapsed, elapsed.as_secs());
                (0..successes).for_each(|_| budget.deposit(now));
                let retries = (0..tries).filter(|_| budget.withdraw(now)).count() as u64;
                taken.push((second, successes.into(), retries));
                let share = |successes: u64| successes * u64::from(percent) / 100;
                let floor = u64::from(floor) * SLOTS;

                // The first deposit counts until second 9.
                let recent = taken.iter().filter(|(then, ..)| then + SLOTS > second);
                let first = u64::from(second < SLOTS);
                let (recent_successes, recent_retries) =
                    recent.fold((first, 0), |(a, b), (_, s, r)| (a + s, b + r));
                let most = share(recent_successes) + floor;
                prop_assert!(retries == 0 || recent_retries <= most, "{recent_retries} > {most}");

                all_successes += u64::from(successes);
                all_retries += retries;
                let most = share(1 + all_successes) + floor * (1 + second / SLOTS);
                prop_assert!(all_retries <= most, "{all_retries} > {most}");
            }
        }
    }
}

// `RUSTFLAGS="--cfg loom" cargo test -p regatta-resilience --lib loom`
#[cfg(all(test, loom))]
mod loom_tests {
    //! Every interleaving of two threads.

    use loom::thread;

    use super::*;

    #[test]
    fn no_success_is_lost_or_counted_twice() {
        loom::model(|| {
            let now = crate::testing::now();
            let budget = Budget::try_new(100, 0).unwrap();
            // The second deposit and all later ones of the second take no lock.
            budget.deposit(now);
            let other = budget.clone();
            let thread = thread::spawn(move || other.deposit(now));
            let mine = u64::from(budget.withdraw(now));
            thread.join().unwrap();
            assert_eq!(mine + budget.left(now), 2);
            assert_eq!(mine, 1);
        });
    }

    #[test]
    fn a_success_that_meets_the_turn_of_the_second_is_counted_once() {
        loom::model(|| {
            let now = crate::testing::now();
            let later = now + Duration::from_secs(1);
            let budget = Budget::try_new(100, 0).unwrap();
            budget.deposit(now);
            let other = budget.clone();
            let thread = thread::spawn(move || other.deposit(now));
            budget.deposit(later);
            thread.join().unwrap();
            assert_eq!(budget.left(later), 3);
        });
    }
}
