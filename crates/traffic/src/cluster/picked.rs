//! An instance that may be called once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use regatta_core::Instance;
use regatta_resilience::breaker::{Outcome, Permit};

use super::shared::Shared;
use super::{Member, State};

/// An instance that may be called once. It stays valid when the instance leaves the set.
///
/// Dropped without [`Picked::finish`] the call counts as abandoned: it says nothing about the
/// instance, and everything it held is free again.
#[must_use = "a pick that is dropped counts as an abandoned call"]
pub struct Picked<T> {
    member: Arc<Member<T>>,
    /// Of the instance and of the service; none once recorded.
    permits: Option<(Permit, Permit)>,
    origin: Instant,
    began: Instant,
    /// It counts among the cluster's calls in flight.
    is_counted: bool,
    /// Its breaker is open, but too few others are left.
    is_despite: bool,
}

impl<T> Picked<T> {
    pub(super) fn new(
        shared: &Shared<T>,
        member: Arc<Member<T>>,
        permits: (Permit, Permit),
        began: Instant,
        is_counted: bool,
    ) -> Self {
        member.life.load.begin();
        if is_counted {
            shared.in_flight.fetch_add(1, Ordering::Relaxed);
        }
        let (permits, origin) = (Some(permits), shared.origin);
        Self { member, permits, origin, began, is_counted, is_despite: false }
    }

    pub(super) fn despite_its_breaker(mut self, is_despite: bool) -> Self {
        self.is_despite = is_despite;
        self
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

    /// Reports how the call ended: when, how, and how long the answer took to begin.
    ///
    /// [`Outcome::Abandoned`] counts for nothing, and so does its latency. Says which state the
    /// instance's breaker went into by it, if it did.
    pub fn finish(mut self, now: Instant, outcome: Outcome, latency: Duration) -> Option<State> {
        let failed = match outcome {
            Outcome::Success => false,
            Outcome::Failure => true,
            // Dropping it says so.
            Outcome::Abandoned => return None,
        };
        let life = &self.member.life;
        life.load.observe(self.millis(now), latency, failed);
        let in_a_row = life.tally.count(failed);
        // At rest a success changes nothing, so what is asked for seldom costs no call anything.
        let before = (failed || life.is_watched()).then(|| life.breaker.state(now));
        if let Some((instance, service)) = self.permits.take() {
            instance.record(now, outcome);
            service.record(now, outcome);
        }
        let after = before.map(|_| life.breaker.state(now));
        if failed && let Some(shared) = life.cluster.upgrade() {
            shared.failed(&self.member, in_a_row, now);
        }
        self.began = now;
        after.filter(|after| Some(*after) != before)
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

    /// Takes in what the use of a breaker that is not plainly closed has changed.
    #[cold]
    fn settle(&self) {
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
        // Abandons them, if they are still here.
        drop(self.permits.take());
        // Not for each of many calls that an open breaker lets through and learns nothing from.
        let has_changed = || !self.is_despite || life.breaker.state(self.began) == State::Closed;
        if life.is_watched() && has_changed() {
            self.settle();
        }
    }
}

impl<T> fmt::Debug for Picked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Picked").field("member", &self.member).finish_non_exhaustive()
    }
}
