//! The tries of one request: which instance next, and whether there is a next one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use regatta_resilience::retry::{Attempt, Decision, Failure, Withdrawal};
use regatta_traffic::cluster::{Hints, Member, PickError, Picked, Tried};

use super::Target;
use crate::worker::random;

/// The tries of one request.
#[derive(Debug)]
pub(crate) struct Tries {
    tried: Tried,
    /// As the policy counts: without those that never left and went elsewhere.
    number: u32,
    redirected: u32,
    /// The retry that was taken out of the budget and did not go out yet.
    withdrawal: Option<Withdrawal>,
}

/// What is known about a try that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    /// Whether doing it twice is as good as once.
    pub(crate) repeatable: bool,
    /// Whether its body is still at hand.
    pub(crate) replayable: bool,
    /// Whether the gateway is itself serving a retry: attempts must not multiply along a chain.
    pub(crate) serves_retry: bool,
    /// The time left until the end of the exchange.
    pub(crate) left: Duration,
}

impl Tries {
    pub(crate) fn new() -> Self {
        Self { tried: Tried::default(), number: 1, redirected: 0, withdrawal: None }
    }

    /// Picks an instance: one that was not tried while there is one.
    ///
    /// # Errors
    ///
    /// [`PickError`] says why no instance can be asked.
    pub(crate) fn pick(
        &mut self,
        target: &Target,
        hints: &Hints<'_>,
        now: Instant,
    ) -> Result<Picked<SocketAddr>, PickError> {
        let cluster = &target.upstream.cluster;
        let picked = match cluster.pick(now, random::next(), &self.tried, hints) {
            // Only instances that were tried are left: better one of them than none.
            Err(PickError::AllTried) if !self.tried.is_empty() => {
                self.tried = Tried::default();
                cluster.pick(now, random::next(), &self.tried, hints)
            }
            picked => picked,
        };
        if picked.is_ok() {
            // A retry goes out, if this is one: it is paid for.
            self.withdrawal.take().into_iter().for_each(Withdrawal::spend);
        }
        picked
    }

    /// Another instance for a request that takes long beside the one of `first`, if there is one
    /// and the budget has a retry.
    pub(crate) fn second(
        &mut self,
        target: &Target,
        hints: &Hints<'_>,
        first: &Arc<Member<SocketAddr>>,
        now: Instant,
    ) -> Option<Picked<SocketAddr>> {
        self.tried.insert(first);
        let cluster = &target.upstream.cluster;
        if !cluster.has_another(now, &self.tried, hints) {
            return None;
        }
        let withdrawal = target.budget.take(now)?;
        let picked = cluster.pick(now, random::next(), &self.tried, hints).ok()?;
        withdrawal.spend();
        self.tried.insert(picked.member());
        Some(picked)
    }

    /// Whether there is another try, by the policy and the budget of the service.
    pub(crate) fn decide(
        &mut self,
        target: &Target,
        hints: &Hints<'_>,
        member: &Arc<Member<SocketAddr>>,
        failed: Failed,
        now: Instant,
    ) -> Decision {
        self.tried.insert(member);
        let Failed { failure, repeatable, replayable, serves_retry, left } = failed;
        let attempt = Attempt {
            number: self.number,
            redirected: self.redirected,
            failure,
            repeatable,
            replayable,
            elsewhere: target.upstream.cluster.has_another(now, &self.tried, hints),
            serves_retry,
            left,
        };
        let mut withdrawal = None;
        let withdraw = || {
            withdrawal = target.budget.take(now);
            withdrawal.is_some()
        };
        let decision = target.retry.decide(&attempt, random::next(), withdraw);
        if matches!(decision, Decision::Retry { .. }) {
            self.withdrawal = withdrawal;
            if attempt.is_redirected() {
                self.redirected += 1;
            } else {
                self.number += 1;
            }
        }
        decision
    }

    /// Whether a try that fails now could be followed by another, so that it may be given up early.
    pub(crate) fn may_follow(&self, target: &Target) -> bool {
        self.number < target.retry.tries
    }
}

/// What a request with this key says about the instance it wants, and on which version it insists.
pub(crate) fn hints(key: Option<u64>, version: Option<&str>) -> Hints<'_> {
    let mut hints = Hints::default();
    (hints.key, hints.subset) = (key, version);
    hints
}
