//! A share of successes and a floor per second for retries.
//!
//! # Source
//!
//! Finagle's `RetryBudget` and Linkerd's `retryBudget` (ratio 0.2, 10 retries/s, TTL 10 s). Ours
//! counts successes and not requests, so that a target that fails all of them gets the floor only.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bounds the retries of all calls to one target. Cheap to clone; all clones are one budget.
///
/// When a retry is taken, the retries of the last 10 s are at most `percent` of the successes of
/// the last 10 s plus `floor_per_second` times 10. So over any time, attempts are at most the
/// calls, that share of the successes, and the floor. Both are forgotten in steps of a second.
#[derive(Clone)]
pub struct Budget {
    account: Arc<Mutex<Account>>,
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
    pub const WINDOW: Duration = Duration::from_secs(SLOTS);

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
            percent: percent.into(),
            floor: u64::from(floor_per_second) * SLOTS,
            origin: None,
            slots: VecDeque::from([Slot::default()]),
            newest: 0,
            sum: Slot::default(),
        };
        Self { account: Arc::new(Mutex::new(account)) }
    }

    /// Counts a success.
    pub fn deposit(&self, now: Instant) {
        self.lock().add(now, Slot { successes: 1, retries: 0 });
    }

    /// Takes a retry out, if there is one.
    #[must_use = "without a withdrawal there is no right to retry"]
    pub fn withdraw(&self, now: Instant) -> bool {
        let mut account = self.lock();
        let allowed = account.left(now) > 0;
        if allowed {
            account.add(now, Slot { successes: 0, retries: 1 });
        }
        allowed
    }

    /// How many retries could be taken out at `now`.
    pub fn left(&self, now: Instant) -> u64 {
        self.lock().left(now)
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        // The sums are whole after each line that changes them.
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("last", &self.lock().sum).finish_non_exhaustive()
    }
}

/// Seconds that are remembered, one slot each.
const SLOTS: u64 = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    successes: u64,
    retries: u64,
}

#[derive(Debug)]
struct Account {
    percent: u64,
    floor: u64,
    origin: Option<Instant>,
    /// Oldest first, the last one being the second number `newest`; at most [`SLOTS`].
    slots: VecDeque<Slot>,
    newest: u64,
    sum: Slot,
}

impl Account {
    fn add(&mut self, now: Instant, change: Slot) {
        self.turn_to(now);
        let slot = self.slots.back_mut().expect("there is always a slot for the present second");
        for target in [slot, &mut self.sum] {
            target.successes += change.successes;
            target.retries += change.retries;
        }
    }

    fn left(&mut self, now: Instant) -> u64 {
        self.turn_to(now);
        (self.sum.successes * self.percent / 100 + self.floor).saturating_sub(self.sum.retries)
    }

    /// Forgets the seconds that are out of the window. Time that runs back stands still.
    fn turn_to(&mut self, now: Instant) {
        let origin = *self.origin.get_or_insert(now);
        let second = now.saturating_duration_since(origin).as_secs();
        let passed = second.saturating_sub(self.newest);
        for _ in 0..passed.min(SLOTS) {
            if self.slots.len() as u64 == SLOTS
                && let Some(oldest) = self.slots.pop_front()
            {
                self.sum.successes -= oldest.successes;
                self.sum.retries -= oldest.retries;
            }
            self.slots.push_back(Slot::default());
        }
        self.newest = self.newest.max(second);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::now;

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
    fn a_long_silence_forgets_all_at_once() {
        let (budget, now) = (Budget::try_new(100, 0).unwrap(), now());
        budget.deposit(now);
        assert_eq!(budget.left(now + Budget::WINDOW), 0);
        budget.deposit(now + Budget::WINDOW);
        assert_eq!(budget.left(now + 100 * Budget::WINDOW), 0);
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
