//! What the tries of a call share, and how far it has come.

use std::time::{Duration, Instant};

use regatta_core::{Context, Deadline};
use regatta_resilience::retry::{Attempt, Failure, Withdrawal};
use regatta_traffic::cluster::Tried;

use crate::attempt::Trial;
use crate::call::{Call, now};

/// How far a call has come.
pub(crate) struct Course {
    /// The first try is number 1; redirected ones do not count.
    number: u32,
    redirected: u32,
    /// Tries before this one that may have reached an instance.
    pub(crate) sent: u32,
    pub(crate) serves_retry: bool,
    /// Whether the body was kept for any number of tries.
    pub(crate) is_kept: bool,
    pub(crate) started: Instant,
    pub(crate) deadline: Deadline,
    /// Whether the deadline is the caller's own, sooner than what the policy gives.
    pub(crate) is_callers: bool,
    /// The deadline of the request that is served here, if one is.
    pub(crate) callers: Option<Deadline>,
    pub(crate) tried: Tried,
    /// The retry that was taken out of the budget and did not go out yet.
    pub(crate) withdrawal: Option<Withdrawal>,
}

impl Course {
    pub(crate) fn new(call: &Call, is_kept: bool, started: Instant) -> Self {
        let (callers, serves_retry) = Context::with_current(|context| {
            context.map_or((None, false), |context| (context.deadline, context.serves_retry))
        });
        let own = Deadline::after(started, call.timeout);
        let deadline = own.earlier(callers);
        Self {
            number: 1,
            redirected: 0,
            sent: 0,
            serves_retry,
            is_kept,
            started,
            deadline,
            callers,
            is_callers: deadline < own || call.timeout < call.options.timeout,
            tried: Tried::default(),
            withdrawal: None,
        }
    }

    pub(crate) fn left(&self, now: Instant) -> Duration {
        self.deadline.remaining(now).unwrap_or_default()
    }

    /// A retry goes out: it is paid for.
    pub(crate) fn go_out(&mut self) {
        self.withdrawal.take().into_iter().for_each(Withdrawal::spend);
    }

    /// What the next try needs to know.
    pub(crate) fn trial(&self, call: &Call) -> Trial {
        let Self { sent, started, callers, .. } = *self;
        let (deadline, is_callers) = self.try_deadline(call);
        Trial { sent, started, deadline, is_callers, callers }
    }

    /// Until when one try is waited for, and whether that is the caller's own wish.
    fn try_deadline(&self, call: &Call) -> (Deadline, bool) {
        // Nothing is gained by giving up on a try early that nobody repeats.
        if self.may_repeat_lost(call) {
            let own = Deadline::after(now(), call.try_timeout);
            if own < self.deadline {
                return (own, call.try_timeout < call.options.try_timeout);
            }
        }
        (self.deadline, self.is_callers)
    }

    /// Until when the answer's body is waited for, and whether that is the caller's own wish.
    pub(crate) fn body_deadline(&self, call: &Call) -> (Deadline, bool) {
        match (call.idle, self.callers) {
            (None, _) => (self.deadline, self.is_callers),
            (Some(_), Some(callers)) => (callers, true),
            (Some(_), None) => (Deadline::after(self.started, Duration::MAX), false),
        }
    }

    /// Whether a try without an answer would be repeated.
    fn may_repeat_lost(&self, call: &Call) -> bool {
        call.is_idempotent
            && self.is_kept
            && !self.serves_retry
            && self.number < call.options.retry.tries
    }

    /// The try that just failed, as the policy sees it.
    pub(crate) fn attempt(
        &self,
        failure: Failure,
        repeatable: bool,
        replayable: bool,
        elsewhere: bool,
        now: Instant,
    ) -> Attempt {
        let Self { number, redirected, serves_retry, .. } = *self;
        let left = self.left(now);
        Attempt {
            number,
            redirected,
            failure,
            repeatable,
            replayable,
            elsewhere,
            serves_retry,
            left,
        }
    }

    /// The failed try will be followed by another.
    pub(crate) fn repeat(&mut self, attempt: &Attempt) {
        self.sent += u32::from(attempt.failure != Failure::Unsent);
        if attempt.is_redirected() {
            self.redirected += 1;
        } else {
            self.number += 1;
        }
    }
}
