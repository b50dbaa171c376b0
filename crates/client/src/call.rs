//! One call with all its tries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Response};
use regatta_core::{Context, Deadline};
use regatta_resilience::retry::{Attempt, Decision, Failure, Stop};
use regatta_traffic::cluster::{Hints, Tried};

use crate::attempt::{self, Ended};
use crate::body::{Limit, ResponseBody};
use crate::replay::Replay;
use crate::target::Target;
use crate::transport::Protocol;
use crate::{Error, Options};

/// One call, before its first try.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) target: Arc<Target>,
    /// As of the call's beginning.
    pub(crate) options: Arc<Options>,
    pub(crate) protocol: Protocol,
    pub(crate) method: Method,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
    /// Whether doing it twice is as good as once.
    pub(crate) is_idempotent: bool,
    /// Calls of the same key go to the same instance, where the strategy hashes.
    pub(crate) key: Option<u64>,
    /// For all tries together.
    pub(crate) timeout: Duration,
    /// For one try that may be repeated.
    pub(crate) try_timeout: Duration,
}

/// The shell's clock, which tests pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// What the tries of a call share, and how far it has come.
pub(crate) struct Course {
    /// The first try is number 1; redirected ones do not count.
    pub(crate) number: u32,
    redirected: u32,
    /// Tries before this one that may have reached an instance.
    pub(crate) sent: u32,
    serves_retry: bool,
    /// Whether the body was kept.
    is_replayable: bool,
    pub(crate) started: Instant,
    pub(crate) deadline: Deadline,
    tried: Tried,
}

impl Call {
    /// Makes the call: tries until an answer stands.
    ///
    /// Dropping the future gives the call up: the try in flight is cancelled, its breaker's permit
    /// is free again, and its span ends as cancelled.
    pub(crate) async fn run(self, body: Replay) -> Result<Response<ResponseBody>, Error> {
        let target = Arc::clone(&self.target);
        let answer = self.tries(body).await;
        if let Err(error) = &answer {
            target.metrics().failure(target.name(), error.name());
        }
        answer
    }

    async fn tries(self, mut body: Replay) -> Result<Response<ResponseBody>, Error> {
        let context = Context::current();
        let started = now();
        let deadline = Deadline::after(started, self.timeout)
            .earlier(context.as_ref().and_then(|context| context.deadline));
        let target = Arc::clone(&self.target);
        let left = |now| deadline.remaining(now).unwrap_or_default();
        if deadline.is_over(started) {
            return Err(Error::DeadlineOver { service: target.name().clone() });
        }
        target.discovered(left(started)).await?;

        let mut course = Course {
            number: 1,
            redirected: 0,
            sent: 0,
            serves_retry: context.as_ref().is_some_and(|context| context.serves_retry),
            is_replayable: body.is_replayable(),
            started,
            deadline,
            tried: Tried::default(),
        };
        let mut last = None;
        loop {
            let picked = match target.pick(now(), &course.tried, &self.hints()) {
                Ok(picked) => picked,
                // What happened says more than that it may not be repeated.
                Err(error) => return Err(last.unwrap_or(error)),
            };
            course.tried.insert(picked.member());
            let Some(body) = body.next() else {
                unreachable!("the policy does not repeat what cannot be replayed")
            };
            let deadline = self.try_deadline(&course);
            let ended = attempt::make(&self, picked, body, &course, deadline).await;
            let Some(failure) = ended.failure else {
                target.budget().deposit(now());
                return self.hand_on(ended, &course);
            };
            match self.decide(failure, &mut course) {
                Ok(after) => {
                    ended.span.annotate("regatta.client.retry", failure_name(failure));
                    last = ended.answer.err();
                    if !after.is_zero() {
                        tokio::time::sleep(after).await;
                    }
                }
                Err(stop) => {
                    ended.span.annotate("regatta.client.retry_stopped", stop.name());
                    return self.hand_on(ended, &course);
                }
            }
        }
    }

    /// Whether to try again, and after which wait.
    fn decide(&self, failure: Failure, course: &mut Course) -> Result<Duration, Stop> {
        let (target, now) = (&self.target, now());
        let attempt = Attempt {
            number: course.number,
            redirected: course.redirected,
            failure,
            repeatable: self.is_idempotent,
            replayable: course.is_replayable,
            elsewhere: target.has_another(now, &course.tried, &self.hints()),
            serves_retry: course.serves_retry,
            left: course.deadline.remaining(now).unwrap_or_default(),
        };
        let budget = target.budget();
        match self.options.retry.decide(&attempt, rand::random(), || budget.withdraw(now)) {
            Decision::Retry { after } => {
                target.metrics().retry(target.name(), failure_name(failure));
                course.sent += u32::from(failure != Failure::Unsent);
                if attempt.is_redirected() {
                    course.redirected += 1;
                } else {
                    course.number += 1;
                }
                Ok(after)
            }
            Decision::Stop(stop) => {
                target.metrics().stop(target.name(), stop);
                Err(stop)
            }
        }
    }

    fn try_deadline(&self, course: &Course) -> Deadline {
        match self.may_repeat_lost(course) {
            true => Deadline::after(now(), self.try_timeout).earlier(Some(course.deadline)),
            // Nothing is gained by giving up on it early.
            false => course.deadline,
        }
    }

    /// Gives the answer to the caller, to be read under the call's deadline.
    fn hand_on(&self, ended: Ended, course: &Course) -> Result<Response<ResponseBody>, Error> {
        let Ended { mut span, answer, unjudged, endpoint, .. } = ended;
        let Course { started, deadline, .. } = *course;
        match answer {
            Ok(response) => {
                let service = self.target.name().clone();
                let limit = Limit { service, endpoint, started, deadline, sleep: None };
                Ok(response.map(|body| ResponseBody::new(body, span, limit, unjudged)))
            }
            Err(error) => {
                span.fail(error.name());
                span.end();
                Err(error)
            }
        }
    }

    fn hints(&self) -> Hints<'static> {
        match self.key {
            Some(key) => Hints::default().with_key(key),
            None => Hints::default(),
        }
    }

    /// Whether a try without an answer would be repeated.
    fn may_repeat_lost(&self, course: &Course) -> bool {
        self.is_idempotent
            && course.is_replayable
            && !course.serves_retry
            && course.number < self.options.retry.tries
    }
}

fn failure_name(failure: Failure) -> &'static str {
    match failure {
        Failure::Unsent => "unsent",
        Failure::Refused { .. } => "refused",
        Failure::Lost => "lost",
        Failure::Final => "final",
    }
}
