//! The breaker that callers share; at rest no call takes its lock.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

#[cfg(loom)]
use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
#[cfg(not(loom))]
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

use crate::breaker::state::{Rules, Ticket};
use crate::breaker::{BreakerOpen, Change, InvalidSettings, Outcome, Settings, State};

/// Told of each change of state exactly once, in order.
///
/// It runs on the thread that caused the change, outside the breaker's lock, and may use the
/// breaker. It must be quick: a call waits for it.
pub type Observer = Arc<dyn Fn(Change) + Send + Sync>;

/// Stops calling a dependency that keeps failing, and tries it again later. Cheap to clone; all
/// clones are one breaker.
///
/// ```
/// use regatta_resilience::breaker::{Breaker, Outcome, Settings, State};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[expect(clippy::disallowed_methods, reason = "an example outside a runtime")]
/// let now = std::time::Instant::now();
/// let breaker = Breaker::try_new(Settings::default().with_failure_threshold(1))?;
/// breaker.admit(now)?.record(now, Outcome::Failure);
/// assert_eq!(breaker.state(now), State::Open);
/// assert!(breaker.admit(now).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Breaker {
    shared: Arc<Shared>,
}

struct Shared {
    /// The ticket of a breaker at rest, else [`BUSY`]; written only under the lock below.
    ///
    /// At rest a call changes nothing: `admit` gives out the ticket and a success counts as none.
    /// So both may skip the lock, and count as made at the instant of their load. Release and
    /// acquire, so that whoever sees a ticket sees what led to it.
    at_rest: AtomicU64,
    guarded: Mutex<Guarded>,
    observer: Option<Observer>,
}

struct Guarded {
    rules: Rules,
    /// Changes not yet announced; as long as one thread announces, at most what happens meanwhile.
    unannounced: VecDeque<Change>,
    announcing: bool,
}

/// No ticket has this number: it would take 2^64 changes of state.
const BUSY: u64 = u64::MAX;

impl Breaker {
    /// A closed breaker.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn try_new(settings: Settings) -> Result<Self, InvalidSettings> {
        Self::build(settings, None)
    }

    /// A closed breaker that tells the observer of each change.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn try_observed(settings: Settings, observer: Observer) -> Result<Self, InvalidSettings> {
        Self::build(settings, Some(observer))
    }

    fn build(settings: Settings, observer: Option<Observer>) -> Result<Self, InvalidSettings> {
        settings.validate()?;
        let guarded = Guarded {
            rules: Rules::new(settings),
            unannounced: VecDeque::new(),
            announcing: false,
        };
        let at_rest = AtomicU64::new(guarded.rules.at_rest().map_or(BUSY, |ticket| ticket.0));
        let shared = Shared { at_rest, guarded: Mutex::new(guarded), observer };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Asks to make a call.
    ///
    /// # Errors
    ///
    /// [`BreakerOpen`] when the call must not be made; it says when to ask again.
    pub fn admit(&self, now: Instant) -> Result<Permit, BreakerOpen> {
        let ticket = match self.shared.at_rest.load(Ordering::Acquire) {
            BUSY => self.shared.change(|rules| rules.admit(now))?,
            ticket => Ticket(ticket),
        };
        Ok(Permit { shared: Arc::clone(&self.shared), ticket, recorded: false })
    }

    /// The state at `now`; half-open from the instant a probe would be admitted.
    pub fn state(&self, now: Instant) -> State {
        match self.shared.at_rest.load(Ordering::Acquire) {
            BUSY => self.shared.lock().rules.state(now),
            _ => State::Closed,
        }
    }

    /// Whether a call would be admitted at `now`. Admits nothing, so a later `admit` may differ.
    ///
    /// # Errors
    ///
    /// [`BreakerOpen`] when it would not be; it says when to ask again.
    pub fn check(&self, now: Instant) -> Result<(), BreakerOpen> {
        match self.shared.at_rest.load(Ordering::Acquire) {
            BUSY => self.shared.lock().rules.check(now),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("rules", &self.shared.lock().rules).finish()
    }
}

/// The right to make one call. Dropped without [`Permit::record`] it counts as abandoned.
#[must_use = "a permit that is dropped counts as an abandoned call"]
pub struct Permit {
    shared: Arc<Shared>,
    ticket: Ticket,
    recorded: bool,
}

impl Permit {
    /// Reports how the call ended; `now` is when it did.
    pub fn record(mut self, now: Instant, outcome: Outcome) {
        self.recorded = true;
        if outcome != Outcome::Failure
            && self.shared.at_rest.load(Ordering::Acquire) == self.ticket.0
        {
            return;
        }
        self.shared.change(|rules| ((), rules.record(|| now, self.ticket, outcome)));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.recorded || self.shared.at_rest.load(Ordering::Acquire) == self.ticket.0 {
            return;
        }
        let no_time = || unreachable!("an abandoned call never opens a breaker");
        self.shared.change(|rules| ((), rules.record(no_time, self.ticket, Outcome::Abandoned)));
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

impl Shared {
    /// Applies a rule, publishes whether the breaker is at rest, and announces a change.
    fn change<T>(&self, rule: impl FnOnce(&mut Rules) -> (T, Option<Change>)) -> T {
        let mut guarded = self.lock();
        let (answer, change) = rule(&mut guarded.rules);
        let at_rest = guarded.rules.at_rest().map_or(BUSY, |ticket| ticket.0);
        self.at_rest.store(at_rest, Ordering::Release);
        if let (Some(change), Some(observer)) = (change, &self.observer) {
            guarded.unannounced.push_back(change);
            self.announce(guarded, observer);
        }
        answer
    }

    /// Tells the observer what is unannounced, unless another thread is at it: it will go on to
    /// these, so the order holds and an observer may use the breaker.
    fn announce<'a>(&'a self, mut guarded: MutexGuard<'a, Guarded>, observer: &Observer) {
        /// Lets the next change be announced although an observer panicked.
        struct Done<'a>(&'a Shared);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.lock().announcing = false;
            }
        }
        if std::mem::replace(&mut guarded.announcing, true) {
            return;
        }
        while let Some(change) = guarded.unannounced.pop_front() {
            drop(guarded);
            let done = Done(self);
            observer(change);
            std::mem::forget(done);
            guarded = self.lock();
        }
        guarded.announcing = false;
    }

    fn lock(&self) -> MutexGuard<'_, Guarded> {
        // The rules leave no half-made state behind a panic.
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// `RUSTFLAGS="--cfg loom" cargo test -p regatta-resilience --lib loom`
#[cfg(all(test, loom))]
mod loom_tests {
    //! Every interleaving of two threads.

    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use loom::thread;

    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(60);

    #[test]
    fn a_success_never_hides_an_opening_and_it_is_announced_once() {
        loom::model(|| {
            let (now, announced) = (crate::testing::now(), Arc::new(AtomicU32::new(0)));
            let count = Arc::clone(&announced);
            let observer: Observer = Arc::new(move |_| {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            });
            let breaker = Breaker::try_observed(settings(1), observer).unwrap();
            let other = breaker.clone();
            let thread = thread::spawn(move || report(&other, now, Outcome::Failure));
            report(&breaker, now, Outcome::Success);
            thread.join().unwrap();
            assert_eq!(breaker.state(now), State::Open);
            assert_eq!(announced.load(std::sync::atomic::Ordering::SeqCst), 1);
        });
    }

    #[test]
    fn failures_of_two_threads_are_in_a_row() {
        loom::model(|| {
            let now = crate::testing::now();
            let breaker = Breaker::try_new(settings(2)).unwrap();
            let other = breaker.clone();
            let thread = thread::spawn(move || report(&other, now, Outcome::Failure));
            report(&breaker, now, Outcome::Failure);
            thread.join().unwrap();
            assert_eq!(breaker.state(now), State::Open);
        });
    }

    #[test]
    fn a_thread_sees_its_own_failure_before_its_success() {
        loom::model(|| {
            let now = crate::testing::now();
            let breaker = Breaker::try_new(settings(2)).unwrap();
            let other = breaker.clone();
            let thread = thread::spawn(move || report(&other, now, Outcome::Success));
            report(&breaker, now, Outcome::Failure);
            report(&breaker, now, Outcome::Success);
            thread.join().unwrap();
            report(&breaker, now, Outcome::Failure);
            assert_eq!(breaker.state(now), State::Closed);
        });
    }

    #[test]
    fn one_of_two_threads_probes() {
        loom::model(|| {
            let now = crate::testing::now();
            let later = now + OPEN_FOR;
            let breaker = Breaker::try_new(settings(1)).unwrap();
            report(&breaker, now, Outcome::Failure);
            let other = breaker.clone();
            let thread = thread::spawn(move || other.admit(later).ok());
            let mine = breaker.admit(later).ok();
            let theirs = thread.join().unwrap();
            assert!(mine.is_some() != theirs.is_some());
        });
    }

    fn settings(failure_threshold: u32) -> Settings {
        Settings::default().with_failure_threshold(failure_threshold).with_open_for(OPEN_FOR)
    }

    /// Makes a call that ends like this, if it is admitted.
    fn report(breaker: &Breaker, now: Instant, outcome: Outcome) {
        if let Ok(permit) = breaker.admit(now) {
            permit.record(now, outcome);
        }
    }
}
