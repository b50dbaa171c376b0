//! The attempts made for one request: which instance next, and whether there is one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use regatta_core::TraceContext;
use regatta_resilience::retry::Decision;
use regatta_traffic::answer::unless_impatient;
use regatta_traffic::cluster::{Effect, Member, Outcome, PickError, Picked};
use regatta_traffic::fault::Fault;
use regatta_traffic::verdict::{Failure, Silence};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::admit::Forward;
use super::{Body, write};
use crate::policy::{Denial, Rules};
use crate::shared::Shared;
use crate::upstream::{Failed, Tries};
use crate::worker::alarm::Alarm;
use crate::worker::pool;

/// A connection to an instance, with the right to use it.
pub(super) struct Reached {
    pub(super) upstream: TcpStream,
    pub(super) picked: Picked<SocketAddr>,
    pub(super) began: Instant,
    pub(super) is_reused: bool,
    /// What `traceparent` says on it, when it has a span of its own.
    pub(super) trace: Option<[u8; TraceContext::LENGTH]>,
}

impl Reached {
    /// The attempt's answer has begun so: the instance as long as it lasts, if it is a good one, and
    /// what that did to it.
    pub(super) fn begin(
        mut picked: Picked<SocketAddr>,
        began: Instant,
        fault: Option<Fault>,
        now: Instant,
    ) -> (Option<Picked<SocketAddr>>, Effect) {
        if picked.judge(fault) != Outcome::Success {
            return (None, Self::finish(picked, began, fault));
        }
        let effect = picked.begin(now.into_std(), now.duration_since(began));
        (Some(picked), effect)
    }

    /// The attempt has ended so; says what that did to the instance.
    pub(super) fn finish(
        picked: Picked<SocketAddr>,
        began: Instant,
        fault: impl Into<Option<Fault>>,
    ) -> Effect {
        let now = Instant::now();
        picked.conclude(now.into_std(), fault.into(), now.duration_since(began))
    }
}

/// The attempts made for one request.
#[derive(Debug)]
pub(super) struct Attempts {
    tries: Tries,
    /// Attempts that were begun.
    pub(super) made: u8,
    /// Attempts of which the instance may have seen something.
    pub(super) sent: u8,
    /// Whether to pass over idle connections: one of them has just proved stale.
    pub(super) fresh_only: bool,
    pub(super) address: Option<SocketAddr>,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self { tries: Tries::new(), made: 0, sent: 0, fresh_only: false, address: None }
    }

    /// Connects to an instance whose breaker lets the call pass.
    pub(super) async fn reach(
        &mut self,
        forward: &mut Forward,
        rules: &Rules,
        shared: &Shared,
        alarm: &mut Alarm,
    ) -> Result<Reached, Denial> {
        loop {
            let began = Instant::now();
            let picked = match self.tries.pick(&forward.target, &forward.hints(), began.into_std())
            {
                Ok(picked) => picked,
                Err(error) => {
                    shared.metrics.unpicked(&error);
                    forward.record.note("regatta.unpicked", error.name());
                    return Err(Denial::no_instance(forward.target.name(), &error));
                }
            };
            self.made = self.made.saturating_add(1);
            let address = *picked.data();
            self.address = Some(address);
            forward.record.attempts = self.made;
            let trace = forward.record.call(&picked);
            if !self.fresh_only {
                let (idle, ask) = (rules.timeouts.upstream_idle, !forward.is_idempotent);
                if let Some(upstream) = pool::take(address, began, idle, ask) {
                    return Ok(Reached { upstream, picked, began, is_reused: true, trace });
                }
            }
            let connect = TcpStream::connect(address);
            let deadline = forward.end().min(began + rules.timeouts.connect);
            match alarm.within(deadline, connect).await {
                Ok(Ok(upstream)) => {
                    _ = upstream.set_nodelay(true);
                    return Ok(Reached { upstream, picked, began, is_reused: false, trace });
                }
                failed => {
                    let in_time = failed.is_ok();
                    let why = if in_time { "connect_failed" } else { "connect_timeout" };
                    forward.record.call_failed(why);
                    let how = if in_time { Silence::Refused } else { Silence::Unreached };
                    let member = Arc::clone(picked.member());
                    let effect = Reached::finish(picked, began, Fault::Silent(how));
                    forward.record.effect(effect);
                    if forward.end() <= Instant::now() {
                        return Err(Denial::timed_out(forward.target.name(), forward.timeout));
                    }
                    if !self.go_on(forward, &member, Failure::Unsent, true, shared).await {
                        let error = PickError::AllTried;
                        return Err(Denial::no_instance(forward.target.name(), &error));
                    }
                }
            }
        }
    }

    /// Whether another attempt is made, after the wait that the policy asks for.
    pub(super) async fn go_on(
        &mut self,
        forward: &mut Forward,
        member: &Arc<Member<SocketAddr>>,
        failure: Failure,
        replayable: bool,
        shared: &Shared,
    ) -> bool {
        let now = Instant::now();
        let failed = Failed {
            failure,
            repeatable: forward.is_idempotent,
            replayable,
            serves_retry: forward.attempt > 1,
            left: forward.end().saturating_duration_since(now),
        };
        let (target, hints) = (&forward.target, forward.hints());
        match self.tries.decide(target, &hints, member, failed, now.into_std()) {
            Decision::Retry { after } => {
                shared.metrics.retried();
                if !after.is_zero() {
                    sleep(after).await;
                }
                true
            }
            Decision::Stop(why) => {
                shared.metrics.stopped(why);
                forward.record.note("regatta.retry.stopped", why.name());
                false
            }
        }
    }

    /// Another instance for a read that takes long, beside the one that is being asked.
    pub(super) fn second(
        &mut self,
        forward: &mut Forward,
        first: &Arc<Member<SocketAddr>>,
    ) -> Option<Picked<SocketAddr>> {
        let now = Instant::now().into_std();
        let picked = self.tries.second(&forward.target, &forward.hints(), first, now)?;
        self.made = self.made.saturating_add(1);
        forward.record.attempts = self.made;
        Some(picked)
    }

    /// A kept connection was closed before it took a byte: another one is opened, which is no
    /// attempt of its own. False when that was done before.
    pub(super) fn starts_afresh(&mut self) -> bool {
        if std::mem::replace(&mut self.fresh_only, true) {
            return false;
        }
        self.made = self.made.saturating_sub(1);
        true
    }

    /// Makes the head say which attempt it is and how much time is left, just before it is sent.
    pub(super) fn prepare(
        &self,
        forward: &Forward,
        out: &mut [u8],
        head_length: usize,
        now: Instant,
    ) {
        let left = self.deadline(forward).saturating_duration_since(now);
        let attempt = forward.attempt.saturating_add(self.sent);
        write::patch(&mut out[..head_length], forward.patch, attempt, left);
    }

    /// Until when the head of the answer is waited for, the request being sent.
    pub(super) fn deadline(&self, forward: &Forward) -> Instant {
        if forward.is_callers_timeout || self.made > 1 || forward.body_was_small() {
            forward.end()
        } else {
            // The service gets its whole time once it has the whole body.
            Instant::now() + forward.timeout
        }
    }

    /// Until when one attempt is waited for; sooner than the deadline if it could be repeated.
    pub(super) fn try_deadline(&self, forward: &Forward, began: Instant) -> Instant {
        let deadline = self.deadline(forward);
        match forward.target.try_timeout {
            Some(timeout)
                if forward.is_idempotent
                    && forward.attempt <= 1
                    && self.tries.may_follow(&forward.target) =>
            {
                deadline.min(began + timeout)
            }
            _ => deadline,
        }
    }
}

impl Forward {
    /// A fault, unless it is that the caller's own time was over.
    pub(super) fn blame(&self) -> impl Fn(Option<Fault>) -> Option<Fault> + use<> {
        let (began, own) = (self.record.started, self.is_callers_timeout.then_some(self.timeout));
        let waited = move || Instant::now().duration_since(began);
        move |fault| fault.and_then(|fault| unless_impatient(Some(fault), own, waited()))
    }

    /// When the exchange is over, whatever was tried.
    pub(super) fn end(&self) -> Instant {
        self.record.started + self.timeout
    }

    /// Whether it may be sent to two instances at the same time.
    pub(super) fn may_hedge(&self) -> bool {
        self.is_read && self.body_was_small() && !self.upgrade && self.attempt <= 1
    }

    fn body_was_small(&self) -> bool {
        matches!(self.body, Body::None | Body::Length(0))
    }
}

/// As good as never: what has no deadline of its own ends by being idle.
pub(super) const FAR: Duration = Duration::from_secs(86_400);
