//! One call with all its tries.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Response};
use regatta_core::{Context, Deadline};
use regatta_resilience::concurrency::{Ending, Permit, Priority};
use regatta_resilience::retry::{Attempt, Decision, Failure, Stop};
use regatta_traffic::cluster::{Hints, Picked, Tried};

use crate::attempt::{self, Ended, Trial};
use crate::body::{Limit, RequestBody, ResponseBody};
use crate::replay::Replay;
use crate::target::Target;
use crate::transport::{Pool, Protocol};
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
    /// Whether it only reads, so that it may be sent twice at the same time.
    pub(crate) is_read: bool,
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
struct Course {
    /// The first try is number 1; redirected ones do not count.
    number: u32,
    redirected: u32,
    /// Tries before this one that may have reached an instance.
    sent: u32,
    serves_retry: bool,
    /// Whether the body was kept.
    is_replayable: bool,
    started: Instant,
    deadline: Deadline,
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
        let permit = self.admit(left(now())).await?;
        let mut last = None;
        loop {
            let picked = match target.pick(now(), &course.tried, &self.hints()) {
                Ok(picked) => picked,
                // What happened says more than that it may not be repeated.
                Err(error) => return Err(last.unwrap_or(error)),
            };
            course.tried.insert(picked.member());
            let ended = self.attempt(picked, &mut body, &mut course).await;
            let Some(failure) = ended.failure else {
                target.budget().deposit(now());
                return self.hand_on(ended, &course, permit);
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
                    return self.hand_on(ended, &course, permit);
                }
            }
        }
    }

    /// Waits for one of the calls that may be in flight to the service at a time.
    async fn admit(&self, left: Duration) -> Result<Option<Permit>, Error> {
        let Some(limit) = self.target.concurrency(&self.options) else { return Ok(None) };
        let admitted = limit.acquire(Priority::default(), left).await;
        admitted.map(Some).map_err(|source| {
            let service = self.target.name().clone();
            Error::Overloaded { service, source }
        })
    }

    /// Tries at one instance; if that takes long and the call is a read, at a second one too.
    async fn attempt(&self, picked: Picked<Pool>, body: &mut Replay, course: &mut Course) -> Ended {
        let first = attempt::make(self, picked, next(body), self.trial(course));
        let may_hedge = self.is_read && course.is_replayable && !course.serves_retry;
        let hedge = self.target.hedge(&self.options).filter(|_| may_hedge);
        let Some(hedge) = hedge else { return first.await };
        let began = now();
        let ended = self.hedged(first, hedge.delay(began), body, course).await;
        let now = now();
        hedge.observe(now, now.saturating_duration_since(began));
        ended
    }

    /// Waits for the first try, and after the delay also for a second one elsewhere.
    async fn hedged(
        &self,
        first: impl Future<Output = Ended>,
        delay: Option<Duration>,
        body: &mut Replay,
        course: &mut Course,
    ) -> Ended {
        let mut first = pin!(first);
        let Some(delay) = delay else { return first.await };
        if let Ok(ended) = tokio::time::timeout(delay, first.as_mut()).await {
            return ended;
        }
        let Some(picked) = self.second(course) else { return first.await };
        course.sent += 1;
        let second = pin!(attempt::make(self, picked, next(body), self.trial(course)));
        // One that fails leaves it to the other; the slower one is cancelled on the wire.
        let (ended, won) = match select(first, second).await {
            Either::Left((ended, _)) if ended.failure.is_none() => (ended, "first"),
            Either::Left((_, second)) => (second.await, "second"),
            Either::Right((ended, _)) if ended.failure.is_none() => (ended, "second"),
            Either::Right((_, first)) => (first.await, "first"),
        };
        self.target.metrics().hedge(self.target.name(), won);
        ended.span.annotate("regatta.client.hedge", won);
        ended
    }

    fn trial(&self, course: &Course) -> Trial {
        let Course { sent, started, .. } = *course;
        Trial { sent, started, deadline: self.try_deadline(course) }
    }

    /// Another instance for a call that takes long, if there is one and the budget has a retry.
    fn second(&self, course: &mut Course) -> Option<Picked<Pool>> {
        let now = now();
        if !self.target.has_another(now, &course.tried, &self.hints())
            || !self.target.budget().withdraw(now)
        {
            self.target.metrics().hedge(self.target.name(), "denied");
            return None;
        }
        let picked = self.target.pick(now, &course.tried, &self.hints()).ok()?;
        course.tried.insert(picked.member());
        Some(picked)
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
    fn hand_on(
        &self,
        ended: Ended,
        course: &Course,
        permit: Option<Permit>,
    ) -> Result<Response<ResponseBody>, Error> {
        let Ended { mut span, answer, unjudged, endpoint, failure } = ended;
        let ending = match failure {
            Some(Failure::Refused { .. } | Failure::Lost) => Ending::Overloaded,
            Some(Failure::Unsent) => Ending::Ignored,
            Some(Failure::Final) | None => Ending::Done,
        };
        let Course { started, deadline, .. } = *course;
        match answer {
            Ok(response) => {
                let service = self.target.name().clone();
                let limit = Limit { service, endpoint, started, deadline, sleep: None };
                Ok(response.map(|body| {
                    ResponseBody::new(
                        body,
                        span,
                        limit,
                        unjudged,
                        permit.map(|held| (held, ending)),
                    )
                }))
            }
            Err(error) => {
                permit.into_iter().for_each(|permit| permit.finish(now(), ending));
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

fn next(body: &mut Replay) -> RequestBody {
    let Some(body) = body.next() else {
        unreachable!("the policy does not repeat what cannot be replayed")
    };
    body
}

fn failure_name(failure: Failure) -> &'static str {
    match failure {
        Failure::Unsent => "unsent",
        Failure::Refused { .. } => "refused",
        Failure::Lost => "lost",
        Failure::Final => "final",
    }
}
