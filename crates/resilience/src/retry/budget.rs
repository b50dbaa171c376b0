//! How many retries a target gets: a share of its successes and a floor per second.
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
/// In every window of 10 s, retries are at most `percent` of the successes in it plus
/// `floor_per_second` times 10; both are forgotten in steps of a second.
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
