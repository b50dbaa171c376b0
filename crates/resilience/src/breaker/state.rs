//! The rules of the circuit breaker: no clock, no lock.
//!
//! # Source
//!
//! Nygard, *Release It!*, 2nd ed., chapter 5, "Circuit Breaker". Shares over a sliding window with
//! a minimum of calls: Netflix's Hystrix ("How it works") and Resilience4j (`CircuitBreakerConfig`).
//! The ticket that tells phases apart is ours: an answer speaks only for the phase in which its
//! call was admitted.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::breaker::{BreakerOpen, Cause, Change, Override, Settings, State, Status};
use crate::sliding::Ring;

/// How a call ended, as far as the breaker is concerned; the caller's classifier decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The dependency did its part; a 4xx is one too.
    Success,
    /// The dependency did not do its part.
    Failure,
    /// The call says nothing about the dependency: dropped, or failed before it got there.
    Abandoned,
}

/// The phase a call was admitted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(pub(crate) u64);

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// `newest` is when the latest probe was admitted.
    HalfOpen {
        in_flight: u32,
        newest: Instant,
    },
    Forced(State),
}

#[derive(Debug)]
pub(crate) struct Rules {
    settings: Settings,
    phase: Phase,
    phases_entered: u64,
    window: Ring<3>,
}

/// What the window counts.
const CALLS: usize = 0;
const FAILURES: usize = 1;
const SLOW: usize = 2;

impl Rules {
    pub(crate) fn new(settings: Settings) -> Self {
        let window = Ring::new(settings.window);
        Self { settings, phase: Phase::Closed { failures: 0 }, phases_entered: 0, window }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Goes on with other settings; an open breaker stays open for the time it was told.
    pub(crate) fn reconfigure(&mut self, settings: Settings) {
        if settings.window != self.settings.window {
            self.window = Ring::new(settings.window);
        }
        self.settings = settings;
    }

    /// The state at `now`: an open breaker whose time is over awaits a probe.
    pub(crate) fn state(&self, now: Instant) -> State {
        match self.phase {
            Phase::Open { until } if until <= now => State::HalfOpen,
            _ => self.entered(),
        }
    }

    pub(crate) fn control(&self) -> Override {
        match self.phase {
            Phase::Forced(State::Closed) => Override::ForcedClosed,
            Phase::Forced(_) => Override::ForcedOpen,
            _ => Override::Automatic,
        }
    }

    /// What it is at `now`, for people.
    pub(crate) fn status(&mut self, now: Instant) -> Status {
        self.window.turn_to(now);
        let [calls, failures, slow] = self.window.sum();
        let (failures_in_a_row, retry_after) = match self.phase {
            Phase::Closed { failures } => (failures, None),
            Phase::Open { until } => (0, Some(until.saturating_duration_since(now))),
            Phase::HalfOpen { .. } | Phase::Forced(_) => (0, None),
        };
        let (state, control) = (self.state(now), self.control());
        Status { state, control, failures_in_a_row, calls, failures, slow, retry_after }
    }

    /// The ticket of a breaker at rest, which admits all and counts no failures in a row; else
    /// none.
    pub(crate) fn at_rest(&self) -> Option<Ticket> {
        let rests =
            matches!(self.phase, Phase::Closed { failures: 0 } | Phase::Forced(State::Closed));
        rests.then_some(Ticket(self.phases_entered))
    }

    /// From when to when all calls are rejected, while it is open by itself.
    pub(crate) fn open_time(&self) -> Option<Range<Instant>> {
        let Phase::Open { until } = self.phase else { return None };
        Some(until.checked_sub(longest_open(&self.settings)).unwrap_or(until)..until)
    }

    /// The present slot of the window.
    pub(crate) fn slot(&self) -> Option<Range<Instant>> {
        self.window.present()
    }

    /// Adds successes that were counted elsewhere, to the slot last turned to.
    pub(crate) fn absorb(&mut self, successes: u64) {
        self.window.add(CALLS, successes);
    }

    /// Whether a call would be admitted at `now`.
    pub(crate) fn check(&self, now: Instant) -> Result<(), BreakerOpen> {
        let retry_after = match self.phase {
            Phase::Closed { .. } | Phase::Forced(State::Closed) => return Ok(()),
            Phase::Open { until } => match until.checked_duration_since(now) {
                None | Some(Duration::ZERO) => return Ok(()),
                Some(left) => left,
            },
            Phase::HalfOpen { in_flight, .. } if in_flight < self.settings.probes => return Ok(()),
            // A crowd of probes could finish off a recovering service; but one that says nothing,
            // such as a stream that waits for an event, must not keep all others away.
            Phase::HalfOpen { newest, .. } => {
                match (newest + Settings::PROBE_PATIENCE).checked_duration_since(now) {
                    None | Some(Duration::ZERO) => return Ok(()),
                    Some(left) => left,
                }
            }
            // Nobody knows when the operator will; ask again after the usual time.
            Phase::Forced(_) => self.settings.open_for,
        };
        Err(BreakerOpen { retry_after })
    }

    pub(crate) fn admit(&mut self, now: Instant) -> (Result<Ticket, BreakerOpen>, Option<Change>) {
        if let Err(open) = self.check(now) {
            return (Err(open), None);
        }
        let change = match &mut self.phase {
            Phase::Closed { .. } | Phase::Forced(_) => None,
            Phase::Open { .. } => {
                let probing = Phase::HalfOpen { in_flight: 1, newest: now };
                Some(self.enter(probing, Cause::OpenTimeOver))
            }
            Phase::HalfOpen { in_flight, newest } => {
                *in_flight = in_flight.saturating_add(1);
                *newest = now;
                None
            }
        };
        (Ok(Ticket(self.phases_entered)), change)
    }

    /// Admits a call also while open: nobody else could take it. Only an operator's word holds.
    /// Says whether it is open.
    pub(crate) fn admit_despite(
        &mut self,
        now: Instant,
    ) -> (Result<(Ticket, bool), BreakerOpen>, Option<Change>) {
        match &mut self.phase {
            Phase::Open { until } if now < *until => {
                (Ok((Ticket(self.phases_entered), true)), None)
            }
            // The newest probe stays the one that is waited for.
            Phase::HalfOpen { in_flight, .. } => {
                *in_flight = in_flight.saturating_add(1);
                (Ok((Ticket(self.phases_entered), false)), None)
            }
            Phase::Open { .. } | Phase::Closed { .. } | Phase::Forced(_) => {
                let (admitted, change) = self.admit(now);
                (admitted.map(|ticket| (ticket, false)), change)
            }
        }
    }

    /// Lets an open breaker admit its probe after this time, if not before.
    pub(crate) fn probe_within(&mut self, now: Instant, time: Duration) {
        if let Phase::Open { until } = &mut self.phase {
            *until = (*until).min(now + time);
        }
    }

    /// Takes the end of a call that took so long.
    pub(crate) fn record(
        &mut self,
        now: Instant,
        ticket: Ticket,
        failed: bool,
        took: Duration,
    ) -> Option<Change> {
        // A call admitted in an earlier phase says nothing about this one.
        if ticket != Ticket(self.phases_entered) {
            return None;
        }
        let slow = self.settings.slow.is_some_and(|slow| took >= slow.at_least);
        match &mut self.phase {
            Phase::Closed { failures } => {
                *failures = if failed { failures.saturating_add(1) } else { 0 };
                let in_a_row = *failures;
                self.count(now, failed, slow);
                let cause = if in_a_row >= self.settings.failure_threshold {
                    Cause::FailuresInARow
                } else {
                    // A success that is quick cannot have raised a share.
                    self.share_reached().filter(|_| failed || slow)?
                };
                Some(self.open(now, cause))
            }
            Phase::HalfOpen { .. } if failed || slow => Some(self.open(now, Cause::ProbeFailed)),
            Phase::HalfOpen { .. } => {
                Some(self.enter(Phase::Closed { failures: 0 }, Cause::ProbeSucceeded))
            }
            // Admitted despite it being open: as good as a probe, and as bad as was known.
            Phase::Open { .. } if !failed && !slow => {
                Some(self.enter(Phase::Closed { failures: 0 }, Cause::ProbeSucceeded))
            }
            Phase::Open { .. } | Phase::Forced(_) => None,
        }
    }

    /// Takes that a good answer has begun, after so long: a success, unless it breaks off. Says how
    /// many failures in a row that ended.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        ticket: Ticket,
        took: Duration,
    ) -> (u32, Option<Change>) {
        let in_a_row = match self.phase {
            Phase::Closed { failures } if ticket == Ticket(self.phases_entered) => failures,
            _ => 0,
        };
        (in_a_row, self.record(now, ticket, false, took))
    }

    /// Takes that an answer broke off that had begun well at `began`: a failure after all, in a row
    /// with those before it.
    pub(crate) fn break_off(
        &mut self,
        now: Instant,
        ticket: Ticket,
        began: Instant,
        in_a_row: u32,
    ) -> Option<Change> {
        let Phase::Closed { failures } = &mut self.phase else { return None };
        if ticket != Ticket(self.phases_entered) {
            return None;
        }
        *failures = in_a_row.max(*failures).saturating_add(1);
        let in_a_row = *failures;
        if self.settings.counts_calls() {
            self.window.turn_to(now);
            // The window has the call already, unless that was long ago.
            let is_old = now.saturating_duration_since(began) > self.settings.window;
            self.window.add(CALLS, is_old.into());
            self.window.add(FAILURES, 1);
        }
        let cause = if in_a_row >= self.settings.failure_threshold {
            Cause::FailuresInARow
        } else {
            self.share_reached()?
        };
        Some(self.open(now, cause))
    }

    /// Takes note that a call ended without saying anything about the dependency.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        if ticket == Ticket(self.phases_entered)
            && let Phase::HalfOpen { in_flight, .. } = &mut self.phase
        {
            // The prober left without an answer: another caller probes.
            *in_flight -= 1;
        }
    }

    /// Hands the decision to an operator, or back. Handed back, it begins anew, closed.
    pub(crate) fn control_by(&mut self, control: Override) -> Option<Change> {
        if control == self.control() {
            return None;
        }
        let phase = match control {
            Override::Automatic => Phase::Closed { failures: 0 },
            Override::ForcedOpen => Phase::Forced(State::Open),
            Override::ForcedClosed => Phase::Forced(State::Closed),
        };
        Some(self.enter(phase, Cause::Overridden))
    }

    /// Begins anew, closed. What an operator has forced stays as it is.
    pub(crate) fn reset(&mut self) -> Option<Change> {
        if let Phase::Forced(_) = self.phase {
            return None;
        }
        let change = self.enter(Phase::Closed { failures: 0 }, Cause::Reset);
        (change.from != State::Closed).then_some(change)
    }

    fn count(&mut self, now: Instant, failed: bool, slow: bool) {
        if self.settings.counts_calls() {
            self.window.turn_to(now);
            self.window.add(CALLS, 1);
            self.window.add(FAILURES, failed.into());
            self.window.add(SLOW, slow.into());
        }
    }

    /// The share that is as large as it takes to open.
    fn share_reached(&self) -> Option<Cause> {
        let [calls, failures, slow] = self.window.sum();
        if calls < self.settings.minimum_calls.into() {
            return None;
        }
        let reached = |part: u64, percent: u32| part * 100 >= calls * u64::from(percent);
        if self.settings.failure_percent.is_some_and(|percent| reached(failures, percent)) {
            return Some(Cause::FailureRatio);
        }
        let rule = self.settings.slow?;
        reached(slow, rule.percent).then_some(Cause::SlowCalls)
    }

    fn open(&mut self, now: Instant, cause: Cause) -> Change {
        let until = now + longest_open(&self.settings);
        self.enter(Phase::Open { until }, cause)
    }

    fn enter(&mut self, phase: Phase, cause: Cause) -> Change {
        let from = self.entered();
        self.phase = phase;
        self.phases_entered += 1;
        // A share is one of the calls of its phase.
        self.window.clear();
        Change { from, to: self.entered(), cause, control: self.control() }
    }

    fn entered(&self) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
            Phase::Forced(state) => state,
        }
    }
}

/// How long it is open at a time. A time too long for the clock means that it stays open: 30 years
/// will do.
fn longest_open(settings: &Settings) -> Duration {
    const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
    settings.open_for.min(FAR)
}

#[cfg(test)]
mod tests;
