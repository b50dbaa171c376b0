//! An instance that may be called once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use regatta_core::Instance;
use regatta_resilience::breaker::{Outcome, Permit};

use super::Member;
use super::shared::Shared;

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
        Self { member, permits: Some(permits), origin: shared.origin, began, is_counted }
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
    /// [`Outcome::Abandoned`] counts for nothing, and so does its latency.
    pub fn finish(mut self, now: Instant, outcome: Outcome, latency: Duration) {
        let failed = match outcome {
            Outcome::Success => false,
            Outcome::Failure => true,
            // Dropping it says so.
            Outcome::Abandoned => return,
        };
        let life = &self.member.life;
        let millis = now.saturating_duration_since(self.origin).as_millis() as u32;
        life.load.observe(millis, latency, failed);
        let in_a_row = life.tally.count(failed);
        if let Some((instance, service)) = self.permits.take() {
            instance.record(now, outcome);
            service.record(now, outcome);
        }
        if failed && let Some(shared) = life.cluster.upgrade() {
            shared.failed(&self.member, in_a_row, now);
        }
        self.began = now;
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
        if life.is_watched() {
            self.settle();
        }
    }
}

impl<T> fmt::Debug for Picked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Picked").field("member", &self.member).finish_non_exhaustive()
    }
}
