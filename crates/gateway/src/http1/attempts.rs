//! The attempts made for one request: which instance next, and whether there is one.

use std::sync::Arc;

use regatta_core::TraceContext;
use regatta_resilience::breaker::{Outcome, Permit};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::admit::Forward;
use super::{Body, write};
use crate::policy::{Denial, Rules};
use crate::shared::Shared;
use crate::upstream::{Cluster, Tried};
use crate::worker::alarm::{Alarm, TimedOut};
use crate::worker::{pool, random};

/// Instances passed over because their breaker opened between the look and the ask.
const MOST_REJECTIONS: u32 = 16;

/// A connection to an instance, with the right to use it.
pub(super) struct Reached {
    pub(super) upstream: TcpStream,
    pub(super) number: usize,
    pub(super) permit: Permit,
    pub(super) is_reused: bool,
    /// What `traceparent` says on it, when it has a span of its own.
    pub(super) trace: Option<[u8; TraceContext::LENGTH]>,
}

/// The attempts made for one request.
pub(super) struct Attempts {
    cluster: Arc<Cluster>,
    tried: Tried,
    pub(super) made: u8,
    most: u8,
    /// Whether to pass over idle connections: one of them has just proved stale.
    pub(super) fresh_only: bool,
    pub(super) address: Option<std::net::SocketAddr>,
}

impl Attempts {
    pub(super) fn new(forward: &Forward, rules: &Rules) -> Self {
        // A hop that serves a retry does not retry: attempts must not multiply along a chain.
        let most = if forward.attempt > 1 { 1 } else { rules.resilience.retries + 1 };
        Self {
            cluster: forward.upstream.cluster(),
            tried: Tried::default(),
            made: 0,
            most,
            fresh_only: false,
            address: None,
        }
    }

    /// Connects to an instance whose breaker lets the call pass.
    pub(super) async fn reach(
        &mut self,
        forward: &mut Forward,
        rules: &Rules,
        shared: &Shared,
        alarm: &mut Alarm,
    ) -> Result<Reached, Denial> {
        let mut rejections = 0;
        loop {
            let now = Instant::now();
            let name = forward.upstream.name.as_str();
            let Some(number) = self.cluster.pick(random::next(), self.tried, now.into_std()) else {
                if self.cluster.members().iter().any(|m| m.breaker.check(now.into_std()).is_err()) {
                    shared.metrics.breaker_rejected();
                }
                return Err(Denial::no_instance(name));
            };
            let member = self.cluster.member(number);
            let Ok(permit) = member.breaker.admit(now.into_std()) else {
                self.tried.insert(number);
                rejections += 1;
                if rejections > MOST_REJECTIONS {
                    return Err(Denial::no_instance(name));
                }
                continue;
            };
            self.made += 1;
            self.address = Some(member.address);
            forward.record.attempts = self.made;
            let trace = forward.record.call(member.address);
            if !self.fresh_only {
                let (idle, ask) = (rules.timeouts.upstream_idle, !forward.is_idempotent);
                if let Some(upstream) = pool::take(member.address, now, idle, ask) {
                    return Ok(Reached { upstream, number, permit, is_reused: true, trace });
                }
            }
            let connect = TcpStream::connect(member.address);
            match alarm.within(now + rules.timeouts.connect, connect).await {
                Ok(Ok(upstream)) => {
                    _ = upstream.set_nodelay(true);
                    return Ok(Reached { upstream, number, permit, is_reused: false, trace });
                }
                failed @ (Ok(Err(_)) | Err(TimedOut)) => {
                    let why = if failed.is_err() { "connect_timeout" } else { "connect_failed" };
                    forward.record.call_failed(why);
                    let now = Instant::now();
                    // A refusal costs nothing and ends with the restart that it announces; a breaker
                    // would keep the instance away long after.
                    let outcome =
                        if failed.is_err() { Outcome::Failure } else { Outcome::Abandoned };
                    permit.record(now.into_std(), outcome);
                    if !self.may_go_on(forward, number, now) {
                        return Err(Denial::no_instance(name));
                    }
                    shared.metrics.retried();
                }
            }
        }
    }

    /// Whether another attempt may be made: there is one left, an instance that was not tried, and
    /// room in the budget.
    pub(super) fn may_go_on(&mut self, forward: &Forward, number: usize, now: Instant) -> bool {
        self.tried.insert(number);
        self.made < self.most
            && self.cluster.pick(0, self.tried, now.into_std()).is_some()
            && forward.upstream.budget.withdraw(now.into_std())
    }

    /// Makes the head say which attempt it is and how much time is left.
    pub(super) fn prepare(
        &self,
        forward: &Forward,
        started: Instant,
        out: &mut [u8],
        head_length: usize,
    ) {
        let left = (started + forward.timeout).duration_since(Instant::now());
        let attempt = forward.attempt.saturating_add(self.made);
        write::patch(&mut out[..head_length], forward.patch, attempt, left);
    }

    pub(super) fn deadline(&self, forward: &Forward, started: Instant) -> Instant {
        if forward.is_callers_timeout || self.made > 1 || forward.body_was_small() {
            started + forward.timeout
        } else {
            // The service gets its whole time once it has the whole body.
            Instant::now() + forward.timeout
        }
    }
}

impl Forward {
    fn body_was_small(&self) -> bool {
        matches!(self.body, Body::None | Body::Length(0))
    }
}
