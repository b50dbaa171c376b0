//! An instance that may be called once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use regatta_core::Instance;
use regatta_resilience::breaker::{Admission, Outcome};

use super::shared::Shared;
use super::{Member, State};
use crate::fault::Fault;

/// An instance that may be called once. It stays valid when the instance leaves the set.
///
/// Dropped without [`Picked::finish`] the call counts as abandoned: it says nothing about the
/// instance, and everything it held is free again.
#[must_use = "a pick that is dropped counts as an abandoned call"]
pub struct Picked<T> {
    member: Arc<Member<T>>,
    /// By the instance's breaker and by the service's; none once recorded.
    admissions: Option<(Admission, Admission)>,
    origin: Instant,
    began: Instant,
    /// It counts among the cluster's calls in flight.
    is_counted: bool,
    /// Its breaker is open, but too few others are left.
    is_despite: bool,
    /// Failures in a row that a good answer ended when it began; none before.
    begun: Option<u32>,
    /// The cluster has taken in all that was reported.
    is_settled: bool,
}

/// What the end of a call did to its instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Effect {
    /// The state that its breaker went into, if it did.
    pub breaker: Option<State>,
    /// Whether it was ejected.
    pub ejected: bool,
}

impl<T> Picked<T> {
    pub(super) fn new(
        shared: &Shared<T>,
        member: Arc<Member<T>>,
        admissions: (Admission, Admission),
        began: Instant,
        is_counted: bool,
    ) -> Self {
        member.life.load.begin();
        if is_counted {
            shared.in_flight.fetch_add(1, Ordering::Relaxed);
        }
        let is_despite = admissions.0.is_despite();
        let (admissions, origin) = (Some(admissions), shared.origin);
        let (begun, is_settled) = (None, false);
        Self { member, admissions, origin, began, is_counted, is_despite, begun, is_settled }
    }

    /// The instance to call.
    pub fn instance(&self) -> &Instance {
        &self.member.instance
    }

    /// What the caller hung on it.
    pub fn data(&self) -> &T {
        &self.member.life.data
    }

    /// The instance with what is known of it; note it in a [`Tried`](super::Tried).
    pub fn member(&self) -> &Arc<Member<T>> {
        &self.member
    }

    /// Reports that a good answer has begun, after so long. It is a success from now on, unless
    /// [`Picked::finish`] says later that it broke off; the call is in flight as long as this is
    /// held. Says what it did to the instance.
    pub fn begin(&mut self, now: Instant, latency: Duration) -> Effect {
        if self.begun.is_some() {
            return Effect::default();
        }
        let life = &self.member.life;
        life.load.observe(self.millis(now), latency, false);
        self.begun = Some(life.tally.begin());
        let before = life.is_watched().then(|| life.breaker.state(now));
        if let Some((instance, service)) = &mut self.admissions {
            life.breaker.begin(instance, now);
            life.service.begin(service, now);
        }
        self.began = now;
        let after = before.map(|_| life.breaker.state(now));
        self.settle();
        Effect { breaker: after.filter(|after| Some(*after) != before), ejected: false }
    }

    /// Reports how the call ended: when, how, and how long the answer took to begin.
    ///
    /// [`Outcome::Abandoned`] counts for nothing, and so does its latency. After [`Picked::begin`]
    /// only a failure counts, that of an answer which broke off, and the latency no more. Says what
    /// it did to the instance.
    pub fn finish(mut self, now: Instant, outcome: Outcome, latency: Duration) -> Effect {
        let failed = match outcome {
            Outcome::Success => false,
            Outcome::Failure => true,
            // Dropping it says so.
            Outcome::Abandoned => return Effect::default(),
        };
        let life = &self.member.life;
        let (latency, in_a_row) = match self.begun {
            None => (latency, life.tally.count(failed)),
            Some(in_a_row) if failed => (Duration::ZERO, life.tally.break_off(in_a_row)),
            Some(_) => return Effect::default(),
        };
        self.is_settled = false;
        life.load.observe(self.millis(now), latency, failed);
        // At rest a success changes nothing, so what is asked for seldom costs no call anything.
        let before = (failed || life.is_watched()).then(|| life.breaker.state(now));
        if let Some((instance, service)) = self.admissions.take() {
            life.breaker.record(instance, now, outcome);
            life.service.record(service, now, outcome);
        }
        let after = before.map(|_| life.breaker.state(now));
        let mut ejected = false;
        if failed && let Some(shared) = life.cluster.upgrade() {
            ejected = shared.failed(&self.member, in_a_row, now);
        }
        self.began = now;
        Effect { breaker: after.filter(|after| Some(*after) != before), ejected }
    }

    /// What a call that ended so says about the instance, by the policies in force
    /// ([`Policies::failure_on`](super::Policies::failure_on)); none for a good answer.
    pub fn judge(&self, fault: Option<Fault>) -> Outcome {
        if fault.is_none() {
            return Outcome::Success;
        }
        let shared = self.member.life.cluster.upgrade();
        let judge =
            |shared: Arc<Shared<T>>| shared.snapshot.load().policies.failure_on.outcome(fault);
        // Without a cluster there is nobody to tell.
        shared.map_or(Outcome::Abandoned, judge)
    }

    /// Reports how the call ended, as [`Picked::judge`] and [`Picked::finish`]. That time ran out
    /// says how long an answer takes at least, also where it does not count.
    pub fn conclude(self, now: Instant, fault: Option<Fault>, latency: Duration) -> Effect {
        let outcome = self.judge(fault);
        if outcome == Outcome::Abandoned && fault.is_some_and(Fault::is_late) {
            self.give_up(now, latency);
            return Effect::default();
        }
        self.finish(now, outcome, latency)
    }

    /// The caller's own time ran out after it had waited so long: that says nothing about the
    /// instance's health, but that an answer takes at least as long.
    pub fn give_up(self, now: Instant, waited: Duration) {
        self.member.life.load.at_least(self.millis(now), waited);
    }

    /// Whether this call tries an instance whose breaker is not closed yet.
    pub fn is_probe(&self) -> bool {
        let life = &self.member.life;
        life.is_watched() && life.breaker.state(self.began) == State::HalfOpen
    }

    fn millis(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.origin).as_millis() as u32
    }

    /// Takes in what was reported, once, where it may have changed something.
    fn settle(&mut self) {
        let life = &self.member.life;
        // Not for each of many calls that an open breaker lets through and learns nothing from.
        let has_changed = || !self.is_despite || life.breaker.state(self.began) == State::Closed;
        if !self.is_settled && life.is_watched() && has_changed() {
            self.settle_watched();
        }
        self.is_settled = true;
    }

    /// Takes in what the use of a breaker that is not plainly closed has changed.
    #[cold]
    fn settle_watched(&self) {
        let Some(shared) = self.member.life.cluster.upgrade() else { return };
        shared.locked(|control| {
            let snapshot = shared.snapshot.load();
            shared.settle(control, &snapshot, self.member.number(), self.began);
        });
    }
}

impl<T> Drop for Picked<T> {
    fn drop(&mut self) {
        let life = &self.member.life;
        life.load.end();
        if self.is_counted
            && let Some(shared) = life.cluster.upgrade()
        {
            shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some((instance, service)) = self.admissions.take() {
            life.breaker.abandon(instance);
            life.service.abandon(service);
        }
        self.settle();
    }
}

impl<T> fmt::Debug for Picked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Picked").field("member", &self.member).finish_non_exhaustive()
    }
}
