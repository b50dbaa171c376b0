//! The rules of the circuit breaker: no clock, no lock.
//!
//! # Source
//!
//! Nygard, *Release It!*, 2nd ed., chapter 5, "Circuit Breaker". The ticket that tells phases apart
//! is ours: an answer speaks only for the phase in which its call was admitted.

use std::time::{Duration, Instant};

use crate::breaker::{BreakerOpen, Settings};

/// What a breaker does with calls now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls pass; failures in a row are counted.
    Closed,
    /// Calls are rejected at once.
    Open,
    /// A bounded number of probes pass; the first answer decides.
    HalfOpen,
}

impl State {
    /// The name in logs and metrics, such as `half_open`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

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

/// One change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The state that ended.
    pub from: State,
    /// The state that began.
    pub to: State,
}

/// The phase a call was admitted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(pub(crate) u64);

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { in_flight: u32 },
}

#[derive(Debug)]
pub(crate) struct Rules {
    settings: Settings,
    phase: Phase,
    phases_entered: u64,
}

impl Rules {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, phase: Phase::Closed { failures: 0 }, phases_entered: 0 }
    }

    /// The state at `now`: an open breaker whose time is over awaits a probe.
    pub(crate) fn state(&self, now: Instant) -> State {
        match self.phase {
            Phase::Open { until } if until <= now => State::HalfOpen,
            _ => self.entered(),
        }
    }

    /// The ticket of a breaker at rest, which is closed and counts no failure; else none.
    pub(crate) fn at_rest(&self) -> Option<Ticket> {
        matches!(self.phase, Phase::Closed { failures: 0 }).then_some(Ticket(self.phases_entered))
    }

    /// Whether a call would be admitted at `now`.
    pub(crate) fn check(&self, now: Instant) -> Result<(), BreakerOpen> {
        let retry_after = match self.phase {
            Phase::Closed { .. } => return Ok(()),
            Phase::Open { until } => match until.checked_duration_since(now) {
                None | Some(Duration::ZERO) => return Ok(()),
                Some(left) => left,
            },
            Phase::HalfOpen { in_flight } if in_flight < self.settings.probes => return Ok(()),
            // A crowd of probes could finish off a recovering service.
            Phase::HalfOpen { .. } => Duration::ZERO,
        };
        Err(BreakerOpen { retry_after })
    }

    pub(crate) fn admit(&mut self, now: Instant) -> (Result<Ticket, BreakerOpen>, Option<Change>) {
        if let Err(open) = self.check(now) {
            return (Err(open), None);
        }
        let change = match &mut self.phase {
            Phase::Closed { .. } => None,
            Phase::Open { .. } => Some(self.enter(Phase::HalfOpen { in_flight: 1 })),
            Phase::HalfOpen { in_flight } => {
                *in_flight += 1;
                None
            }
        };
        (Ok(Ticket(self.phases_entered)), change)
    }

    /// `now` is asked for only when the breaker opens.
    pub(crate) fn record(
        &mut self,
        now: impl FnOnce() -> Instant,
        ticket: Ticket,
        outcome: Outcome,
    ) -> Option<Change> {
        // A call admitted in an earlier phase says nothing about this one.
        if ticket != Ticket(self.phases_entered) {
            return None;
        }
        match (&mut self.phase, outcome) {
            (Phase::Closed { failures }, Outcome::Failure) => {
                *failures += 1;
                (*failures >= self.settings.failure_threshold).then(|| self.open(now()))
            }
            (Phase::Closed { failures }, Outcome::Success) => {
                *failures = 0;
                None
            }
            (Phase::HalfOpen { .. }, Outcome::Success) => {
                Some(self.enter(Phase::Closed { failures: 0 }))
            }
            (Phase::HalfOpen { .. }, Outcome::Failure) => Some(self.open(now())),
            // The prober left without an answer: another caller probes.
            (Phase::HalfOpen { in_flight }, Outcome::Abandoned) => {
                *in_flight -= 1;
                None
            }
            (Phase::Closed { .. }, Outcome::Abandoned) | (Phase::Open { .. }, _) => None,
        }
    }

    fn open(&mut self, now: Instant) -> Change {
        // An open time too long for the clock means that it stays open: 30 years will do.
        const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
        let until = now + self.settings.open_for.min(FAR);
        self.enter(Phase::Open { until })
    }

    fn enter(&mut self, phase: Phase) -> Change {
        let from = self.entered();
        self.phase = phase;
        self.phases_entered += 1;
        Change { from, to: self.entered() }
    }

    fn entered(&self) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests;
