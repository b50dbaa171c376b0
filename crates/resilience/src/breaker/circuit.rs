//! One breaker's state and counts; at rest and while open no call takes its lock.

use std::collections::VecDeque;
use std::fmt;
use std::sync::PoisonError;
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
    Admission, BreakerOpen, Change, InvalidSettings, Observer, Outcome, Override, Settings, State,
    Status,
};
use crate::sliding::{Origin, Tally, nanos};

/// A breaker's state and counts. A [`Breaker`](crate::breaker::Breaker) shares one; who holds many,
/// as one for each instance of a service, puts them into values of its own, and a call then costs
/// no shared handle and touches no memory but theirs.
///
/// ```
/// use regatta_resilience::breaker::{Circuit, Outcome, Settings, State};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[expect(clippy::disallowed_methods, reason = "an example outside a runtime")]
/// let now = std::time::Instant::now();
/// let circuit = Circuit::try_new(Settings::default().with_failure_threshold(1))?;
/// let admission = circuit.enter(now)?;
/// circuit.record(admission, now, Outcome::Failure);
/// assert_eq!(circuit.state(now), State::Open);
/// assert!(circuit.enter(now).is_err());
/// # Ok(())
/// # }
/// ```
// What a call touches comes first and shares a cache line.
#[repr(C, align(64))]
pub struct Circuit {
    /// The ticket of a breaker at rest, else [`BUSY`]; written only under the lock below.
    ///
    /// At rest a call changes nothing but a count: it gets the ticket, and a success is tallied. So
    /// both may skip the lock, and count as made at the instant of their load. Release and acquire,
    /// so that whoever sees a ticket, or `BUSY`, sees what led to it.
    at_rest: AtomicU64,
    /// Until when all calls are rejected, in nanoseconds since the origin; zero unless it is open
    /// by itself. Written under the lock, before `at_rest`. Relaxed: who has seen `BUSY` sees what
    /// was written before it; who reads a later value has missed nothing.
    open_until: AtomicU64,
    origin: Origin,
    /// Successes at rest that the window does not have yet.
    successes: Tally,
    /// Whether successes are counted at all. Relaxed, as `slow_from`: a setting, changed under the
    /// lock; a call that races with the change goes by either.
    counts: AtomicBool,
    /// Whether it left the closed state since its holder last unmarked it.
    marked: AtomicBool,
    /// A call that took so many nanoseconds is slow; as many as no call takes when none is.
    slow_from: AtomicU64,
    /// Seldom touched, and large: not among what is touched often.
    guarded: Box<Mutex<Guarded>>,
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

impl Circuit {
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
        Ok(Self {
            at_rest,
            open_until: AtomicU64::new(0),
            origin: Origin::default(),
            successes: Tally::default(),
            counts: AtomicBool::new(counts),
            marked: AtomicBool::new(false),
            slow_from: AtomicU64::new(slow_from),
            guarded: Box::new(Mutex::new(guarded)),
            observer,
        })
    }

    /// Asks to make a call.
    ///
    /// # Errors
    ///
    /// [`BreakerOpen`] when the call must not be made; it says when to ask again.
    #[inline]
    pub fn enter(&self, now: Instant) -> Result<Admission, BreakerOpen> {
        let ticket = match self.at_rest.load(Ordering::Acquire) {
            BUSY => match self.left_open(now) {
                Some(retry_after) => return Err(BreakerOpen { retry_after }),
                None => self.change(|rules| rules.admit(now))?,
            },
            ticket => Ticket(ticket),
        };
        Ok(Admission::new(ticket, now, false))
    }

    /// Asks to make a call whether or not the breaker is open: for a holder of many breakers that
    /// has nobody else to call. A success closes the breaker as a probe's does; a failure changes
    /// nothing while it is open.
    ///
    /// # Errors
    ///
    /// [`BreakerOpen`] when an operator has forced it open.
    pub fn enter_despite(&self, now: Instant) -> Result<Admission, BreakerOpen> {
        let (ticket, is_despite) = self.change(|rules| rules.admit_despite(now))?;
        Ok(Admission::new(ticket, now, is_despite))
    }

    /// Takes that a good answer has begun, whose rest is still to come: a success from now on,
    /// unless [`Circuit::record`] is told later that it was a failure after all. Only the first
    /// report counts.
    #[inline]
    pub fn begin(&self, admission: &mut Admission, now: Instant) {
        if admission.has_begun {
            return;
        }
        if !self.succeeds_at_rest(admission, now) {
            let (ticket, took) = (admission.ticket, now.saturating_duration_since(admission.at));
            admission.in_a_row = self.change(|rules| rules.begin(now, ticket, took));
        }
        (admission.has_begun, admission.at) = (true, now);
    }

    /// Takes how the call ended; `now` is when it did. It took what has passed since it was
    /// admitted.
    #[inline]
    pub fn record(&self, admission: Admission, now: Instant, outcome: Outcome) {
        let is_good = outcome == Outcome::Success;
        if is_good && (admission.has_begun || self.succeeds_at_rest(&admission, now)) {
            return;
        }
        self.record_change(admission, now, outcome);
    }

    /// Takes what may change more than a count.
    #[cold]
    fn record_change(&self, admission: Admission, now: Instant, outcome: Outcome) {
        let failed = match outcome {
            Outcome::Success => false,
            Outcome::Failure => true,
            Outcome::Abandoned => return self.abandon(admission),
        };
        let Admission { ticket, at, in_a_row, has_begun, .. } = admission;
        if has_begun {
            self.change(|rules| ((), rules.break_off(now, ticket, at, in_a_row)));
        } else {
            let took = now.saturating_duration_since(at);
            self.change(|rules| ((), rules.record(now, ticket, failed, took)));
        }
    }

    /// Takes that the call ended without saying anything about the dependency.
    #[inline]
    pub fn abandon(&self, admission: Admission) {
        let changes = !admission.has_begun;
        if changes && self.at_rest.load(Ordering::Acquire) != admission.ticket.0 {
            self.change(|rules| (rules.abandon(admission.ticket), None));
        }
    }

    /// Counts a success without the lock, if the breaker is at rest and it changes nothing else.
    #[inline]
    fn succeeds_at_rest(&self, admission: &Admission, now: Instant) -> bool {
        let is_slow = || match self.slow_from.load(Ordering::Relaxed) {
            NEVER => false,
            slow_from => nanos(now.saturating_duration_since(admission.at)) >= slow_from,
        };
        let counts = || self.origin.since(now).is_some_and(|since| self.successes.count(since));
        self.at_rest.load(Ordering::Acquire) == admission.ticket.0
            && !is_slow()
            && (!self.counts.load(Ordering::Relaxed) || counts())
    }

    /// How long it rejects all calls, as far as that is known without the lock.
    #[inline]
    fn left_open(&self, now: Instant) -> Option<Duration> {
        let since = self.origin.since(now)?;
        let left = self.open_until.load(Ordering::Relaxed).checked_sub(since)?;
        // An instant before the origin counts as the origin, so that may be too short.
        (since > 0 && left > 0).then(|| Duration::from_nanos(left))
    }

    /// Lets an open breaker admit its probe after this time, if not before. One that is not open
    /// stays as it is.
    pub fn probe_within(&self, now: Instant, time: Duration) {
        self.change(|rules| (rules.probe_within(now, time), None));
    }

    /// Whether it has left the closed state since [`Circuit::unmark`]: its use may change more than
    /// a count. Set before the change is announced.
    #[inline]
    pub fn is_marked(&self) -> bool {
        // Acquire, with the release of `mark`: whoever sees the mark sees the change.
        self.marked.load(Ordering::Acquire)
    }

    /// Marks it as it marks itself when it leaves the closed state.
    pub fn mark(&self) {
        self.marked.swap(true, Ordering::AcqRel);
    }

    /// Takes its mark away, until it leaves the closed state again. Whoever looks at its state
    /// afterwards sees each change whose mark this took.
    pub fn unmark(&self) {
        // No plain store, here and above: only who reads a mark synchronizes with who made it.
        self.marked.swap(false, Ordering::AcqRel);
    }

    /// The state at `now`; half-open from the instant a probe would be admitted.
    pub fn state(&self, now: Instant) -> State {
        match self.at_rest.load(Ordering::Acquire) {
            BUSY => self.lock().rules.state(now),
            _ => State::Closed,
        }
    }

    /// What it is and counts at `now`.
    pub fn status(&self, now: Instant) -> Status {
        self.change(|rules| (rules.status(now), None))
    }

    /// Who decides about its state.
    pub fn control(&self) -> Override {
        self.lock().rules.control()
    }

    /// Hands the decision to an operator, or back. Calls in flight no longer count; handed back,
    /// the breaker begins anew, closed.
    pub fn control_by(&self, control: Override) {
        self.change(|rules| ((), rules.control_by(control)));
    }

    /// Begins anew, closed and with nothing counted, as for an instance that was restarted. What
    /// an operator has forced stays as it is. Calls in flight no longer count.
    pub fn reset(&self) {
        self.change(|rules| ((), rules.reset()));
    }

    /// Goes on with other settings. State and counts stay, but for the counts in the window when
    /// its length changes; an open breaker stays open for the time it was told.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range; then nothing has changed.
    pub fn reconfigure(&self, settings: Settings) -> Result<(), InvalidSettings> {
        settings.validate()?;
        self.change(|rules| {
            self.counts.store(settings.counts_calls(), Ordering::Relaxed);
            self.slow_from.store(slow_from(&settings), Ordering::Relaxed);
            rules.reconfigure(settings);
            ((), None)
        });
        Ok(())
    }

    /// The settings it goes by.
    pub fn settings(&self) -> Settings {
        self.lock().rules.settings().clone()
    }

    /// Whether a call would be admitted at `now`. Admits nothing, so a later `enter` may differ.
    ///
    /// # Errors
    ///
    /// [`BreakerOpen`] when it would not be; it says when to ask again.
    pub fn check(&self, now: Instant) -> Result<(), BreakerOpen> {
        match self.at_rest.load(Ordering::Acquire) {
            BUSY => self.lock().rules.check(now),
            _ => Ok(()),
        }
    }

    /// Applies a rule, publishes what calls may know without the lock, and announces a change.
    #[cold]
    fn change<T>(&self, rule: impl FnOnce(&mut Rules) -> (T, Option<Change>)) -> T {
        let mut guarded = self.lock();
        guarded.rules.absorb(self.successes.take());
        let (answer, change) = rule(&mut guarded.rules);
        self.publish(&guarded.rules);
        let Some(change) = change else { return answer };
        if change.to != State::Closed {
            self.mark();
        }
        if let Some(observer) = &self.observer {
            guarded.unannounced.push_back(change);
            self.announce(guarded, observer);
        }
        answer
    }

    fn publish(&self, rules: &Rules) {
        let open_until =
            rules.open_time().map_or(0, |open| self.origin.until(|| open.start, open.end));
        self.open_until.store(open_until, Ordering::Relaxed);
        let at_rest = rules.at_rest().map_or(BUSY, |ticket| ticket.0);
        self.at_rest.store(at_rest, Ordering::Release);
        if let Some(slot) = rules.slot() {
            self.successes.publish(self.origin.until(|| slot.start, slot.end));
        }
    }

    /// Tells the observer what is unannounced, unless another thread is at it: it will go on to
    /// these, so the order holds and an observer may use the breaker.
    fn announce<'a>(&'a self, mut guarded: MutexGuard<'a, Guarded>, observer: &Observer) {
        /// Lets the next change be announced although an observer panicked.
        struct Done<'a>(&'a Circuit);
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

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit").field("rules", &self.lock().rules).finish()
    }
}

/// As many nanoseconds as no call takes: 584 years.
const NEVER: u64 = u64::MAX;

fn slow_from(settings: &Settings) -> u64 {
    settings.slow.map_or(NEVER, |slow| nanos(slow.at_least))
}

#[cfg(all(test, loom))]
mod loom_tests;

#[cfg(all(test, not(loom)))]
mod tests;
