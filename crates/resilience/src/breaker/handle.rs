//! The breaker that callers share; at rest no call takes its lock.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

#[cfg(loom)]
use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
#[cfg(not(loom))]
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::breaker::state::{Rules, Ticket};
use crate::breaker::{
    BreakerOpen, Change, InvalidSettings, Outcome, Override, Settings, State, Status,
};
use crate::sliding::{Tally, nanos};

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
    /// At rest a call changes nothing but a count: `admit` gives out the ticket and a success is
    /// tallied. So both may skip the lock, and count as made at the instant of their load. Release
    /// and acquire, so that whoever sees a ticket sees what led to it.
    at_rest: AtomicU64,
    /// Successes at rest that the window does not have yet.
    successes: Tally,
    /// Whether successes are counted at all. Relaxed, as the next: a setting, changed under the
    /// lock; a call that races with the change goes by either.
    counts: AtomicBool,
    /// A call that took so many nanoseconds is slow.
    slow_from: AtomicU64,
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
        let (counts, slow_from) = (settings.counts_calls(), slow_from(&settings));
        let rules = Rules::new(settings);
        let at_rest = AtomicU64::new(rules.at_rest().map_or(BUSY, |ticket| ticket.0));
        let guarded = Guarded { rules, unannounced: VecDeque::new(), announcing: false };
        let shared = Shared {
            at_rest,
            successes: Tally::default(),
            counts: AtomicBool::new(counts),
            slow_from: AtomicU64::new(slow_from),
            guarded: Mutex::new(guarded),
            observer,
        };
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
        Ok(self.permit(ticket, now))
    }

    /// Asks to make a call whether or not the breaker is open: for a holder of many breakers that
    /// has nobody else to call. A success closes the breaker as a probe's does; a failure changes
    /// nothing while it is open.
    ///
    /// # Errors
    ///
    /// [`BreakerOpen`] when an operator has forced it open.
    pub fn admit_despite(&self, now: Instant) -> Result<Permit, BreakerOpen> {
        let (ticket, is_despite) = self.shared.change(|rules| rules.admit_despite(now))?;
        let mut permit = self.permit(ticket, now);
        permit.is_despite = is_despite;
        Ok(permit)
    }

    /// Lets an open breaker admit its probe after this time, if not before. One that is not open
    /// stays as it is.
    pub fn probe_within(&self, now: Instant, time: Duration) {
        self.shared.change(|rules| (rules.probe_within(now, time), None));
    }

    fn permit(&self, ticket: Ticket, admitted: Instant) -> Permit {
        let (shared, stage) = (Arc::clone(&self.shared), Stage::Admitted);
        Permit { shared, ticket, admitted, stage, is_despite: false }
    }

    /// The state at `now`; half-open from the instant a probe would be admitted.
    pub fn state(&self, now: Instant) -> State {
        match self.shared.at_rest.load(Ordering::Acquire) {
            BUSY => self.shared.lock().rules.state(now),
            _ => State::Closed,
        }
    }

    /// What it is and counts at `now`.
    pub fn status(&self, now: Instant) -> Status {
        self.shared.change(|rules| (rules.status(now), None))
    }

    /// Who decides about its state.
    pub fn control(&self) -> Override {
        self.shared.lock().rules.control()
    }

    /// Hands the decision to an operator, or back. Calls in flight no longer count; handed back,
    /// the breaker begins anew, closed.
    pub fn control_by(&self, control: Override) {
        self.shared.change(|rules| ((), rules.control_by(control)));
    }

    /// Begins anew, closed and with nothing counted, as for an instance that was restarted. What
    /// an operator has forced stays as it is. Calls in flight no longer count.
    pub fn reset(&self) {
        self.shared.change(|rules| ((), rules.reset()));
    }

    /// Goes on with other settings. State and counts stay, but for the counts in the window when
    /// its length changes; an open breaker stays open for the time it was told.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range; then nothing has changed.
    pub fn reconfigure(&self, settings: Settings) -> Result<(), InvalidSettings> {
        settings.validate()?;
        let shared = &*self.shared;
        shared.change(|rules| {
            shared.counts.store(settings.counts_calls(), Ordering::Relaxed);
            shared.slow_from.store(slow_from(&settings), Ordering::Relaxed);
            rules.reconfigure(settings);
            ((), None)
        });
        Ok(())
    }

    /// The settings it goes by.
    pub fn settings(&self) -> Settings {
        self.shared.lock().rules.settings().clone()
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
    admitted: Instant,
    stage: Stage,
    is_despite: bool,
}

/// What was said about a call.
#[derive(Clone, Copy)]
enum Stage {
    Admitted,
    /// A good answer began at this instant, and ended so many failures in a row.
    Begun {
        at: Instant,
        in_a_row: u32,
    },
    Recorded,
}

impl Permit {
    /// Whether the breaker was open when it gave this, in spite of that. Then it learns from a
    /// success only.
    pub fn is_despite(&self) -> bool {
        self.is_despite
    }

    /// Reports that a good answer has begun, whose rest is still to come: a success from now on,
    /// unless [`Permit::record`] says later that it was a failure after all. Only the first report
    /// counts.
    pub fn begin(&mut self, now: Instant) {
        if let Stage::Admitted = self.stage {
            let took = now.saturating_duration_since(self.admitted);
            let in_a_row = match self.succeeds_at_rest(now, took) {
                true => 0,
                false => self.shared.change(|rules| rules.begin(now, self.ticket, took)),
            };
            self.stage = Stage::Begun { at: now, in_a_row };
        }
    }

    /// Reports how the call ended; `now` is when it did. It took what has passed since it was
    /// admitted.
    pub fn record(mut self, now: Instant, outcome: Outcome) {
        let failed = match outcome {
            Outcome::Success => false,
            Outcome::Failure => true,
            // Dropping it says so.
            Outcome::Abandoned => return,
        };
        let before = std::mem::replace(&mut self.stage, Stage::Recorded);
        let (shared, ticket) = (&*self.shared, self.ticket);
        let took = now.saturating_duration_since(self.admitted);
        match before {
            Stage::Admitted if !failed && self.succeeds_at_rest(now, took) => (),
            Stage::Admitted => {
                shared.change(|rules| ((), rules.record(now, ticket, failed, took)));
            }
            Stage::Begun { at, in_a_row } if failed => {
                shared.change(|rules| ((), rules.break_off(now, ticket, at, in_a_row)));
            }
            Stage::Begun { .. } | Stage::Recorded => (),
        }
    }

    /// Counts a success without the lock, if the breaker is at rest and it changes nothing else.
    fn succeeds_at_rest(&self, now: Instant, took: Duration) -> bool {
        let shared = &*self.shared;
        shared.at_rest.load(Ordering::Acquire) == self.ticket.0
            && shared.slow_from.load(Ordering::Relaxed) > nanos(took)
            && (!shared.counts.load(Ordering::Relaxed) || shared.successes.count(now))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let is_reported = !matches!(self.stage, Stage::Admitted);
        if is_reported || self.shared.at_rest.load(Ordering::Acquire) == self.ticket.0 {
            return;
        }
        self.shared.change(|rules| (rules.abandon(self.ticket), None));
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
        guarded.rules.absorb(self.successes.take());
        let (answer, change) = rule(&mut guarded.rules);
        let at_rest = guarded.rules.at_rest().map_or(BUSY, |ticket| ticket.0);
        self.at_rest.store(at_rest, Ordering::Release);
        self.successes.publish(guarded.rules.slot());
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

/// The nanoseconds from which a call is slow; as many as no call takes when none is.
fn slow_from(settings: &Settings) -> u64 {
    settings.slow.map_or(u64::MAX, |slow| nanos(slow.at_least))
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
    fn a_success_without_the_lock_is_counted_once_while_another_thread_counts_a_failure() {
        loom::model(|| {
            let now = crate::testing::now();
            let breaker = Breaker::try_new(settings(9)).unwrap();
            // The first call begins the slot; those after it take no lock.
            report(&breaker, now, Outcome::Success);
            let other = breaker.clone();
            let thread = thread::spawn(move || report(&other, now, Outcome::Success));
            report(&breaker, now, Outcome::Failure);
            thread.join().unwrap();
            let status = breaker.status(now);
            assert_eq!((status.calls, status.failures), (3, 1));
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
