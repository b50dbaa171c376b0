//! An instance that may be called once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use regatta_core::Instance;
use regatta_resilience::breaker::{Outcome, Permit};

use super::Member;

/// An instance that may be called once. It stays valid when the instance leaves the set.
///
/// Dropped without [`Picked::finish`] the call counts as abandoned: it says nothing about the
/// instance, and everything it held is free again.
#[must_use = "a pick that is dropped counts as an abandoned call"]
#[derive(Debug)]
pub struct Picked<T> {
    pub(super) member: Arc<Member<T>>,
    pub(super) permit: Option<Permit>,
    pub(super) origin: Instant,
}

impl<T> Picked<T> {
    /// The instance to call.
    pub fn instance(&self) -> &Instance {
        &self.member.instance
    }

    /// What the caller hung on it.
    pub fn data(&self) -> &T {
        &self.member.data
    }

    /// The instance with what is known of it; notes it in a [`Tried`](super::Tried).
    pub fn member(&self) -> &Arc<Member<T>> {
        &self.member
    }

    /// Reports how the call ended: when, how, and how long the answer took to begin.
    ///
    /// [`Outcome::Abandoned`] counts for nothing, and so does its latency.
    pub fn finish(mut self, now: Instant, outcome: Outcome, latency: Duration) {
        if outcome != Outcome::Abandoned {
            let millis = now.saturating_duration_since(self.origin).as_millis() as u32;
            self.member.load.observe(millis, latency, outcome == Outcome::Failure);
        }
        if let Some(permit) = self.permit.take() {
            permit.record(now, outcome);
        }
    }
}

impl<T> Drop for Picked<T> {
    fn drop(&mut self) {
        self.member.load.end();
    }
}
