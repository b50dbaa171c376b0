//! One call with all its tries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Response};
use regatta_core::Context;
use regatta_resilience::concurrency::{Ending, Permit, Priority};
use regatta_resilience::retry::{Decision, Failure, Stop};
use regatta_telemetry::client::{Outgoing, rejected};
use regatta_traffic::cluster::Hints;

use crate::attempt::Ended;
use crate::body::{Limit, ResponseBody};
use crate::course::Course;
use crate::feed::Feed;
use crate::hedged;
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
    /// Only instances of this version will do.
    pub(crate) version: Option<Arc<str>>,
    /// Whether it only reads, so that it may be sent twice at the same time.
    pub(crate) is_read: bool,
    /// For all tries together.
    pub(crate) timeout: Duration,
    /// For one try that may be repeated.
    pub(crate) try_timeout: Duration,
    /// For bodies that may last: the longest silence in place of the time for the whole.
    pub(crate) idle: Option<Duration>,
}

/// The shell's clock, which tests pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Call {
    /// Makes the call: tries until an answer stands.
    ///
    /// Dropping the future gives the call up: the try in flight is cancelled, its breaker's permit
    /// is free again, a retry that was waited for is back in the budget, and its span ends as
    /// cancelled.
    pub(crate) async fn run(self, body: Replay) -> Result<Response<ResponseBody>, Error> {
        let target = Arc::clone(&self.target);
        let answer = self.tries(body).await;
        if let Err(error) = &answer {
            target.metrics().failure(target.name(), error.name());
        }
        answer
    }

    async fn tries(self, mut body: Replay) -> Result<Response<ResponseBody>, Error> {
        let (started, feed) = (now(), body.feed());
        let mut course = Course::new(&self, body.is_kept(), started);
        let target = Arc::clone(&self.target);
        if course.deadline.is_over(started) {
            return Err(self.reject(Error::DeadlineOver { service: target.name().clone() }));
        }
        let known = target.discovered(course.left(started)).await;
        known.map_err(|error| self.reject(error))?;
        let permit = self.admit(course.left(now())).await.map_err(|error| self.reject(error))?;
        // What the try before has brought.
        let mut last: Option<Ended> = None;
        loop {
            let picked = match target.pick(now(), &course.tried, &self.hints()) {
                Ok(picked) => picked,
                Err(error) => {
                    return match last {
                        // What happened says more than that it may not be repeated.
                        Some(ended) => self.hand_on(ended, &course, permit, feed),
                        None => Err(self.reject(error)),
                    };
                }
            };
            course.go_out();
            course.tried.insert(picked.member());
            let mut ended = hedged::attempt(&self, picked, &mut body, &mut course).await;
            let Some(failure) = ended.failure else {
                target.budget().deposit(now());
                return self.hand_on(ended, &course, permit, feed);
            };
            if let Some(unsent) = ended.unsent.take() {
                body.give_back(*unsent);
            }
            match self.decide(&ended, failure, body.is_at_hand(), &mut course) {
                Ok(after) => {
                    ended.annotate("regatta.client.retry", failure_name(failure));
                    ended.end_span();
                    last = Some(ended);
                    if !after.is_zero() {
                        tokio::time::sleep(after).await;
                    }
                }
                Err(stop) => {
                    ended.annotate("regatta.client.retry_stopped", stop.name());
                    return self.hand_on(ended, &course, permit, feed);
                }
            }
        }
    }

    /// Waits for one of the calls that may be in flight to the service at a time.
    async fn admit(&self, left: Duration) -> Result<Option<Permit>, Error> {
        let Some(limit) = self.target.concurrency(&self.options) else { return Ok(None) };
        let urgency = Context::with_current(|context| context.and_then(|it| it.urgency));
        let priority = urgency.and_then(|urgency| Priority::try_new(urgency).ok());
        let admitted = limit.acquire(priority.unwrap_or_default(), left).await;
        admitted.map(Some).map_err(|source| {
            let service = self.target.name().clone();
            Error::Overloaded { service, source }
        })
    }

    /// Notes in a span of its own that nothing was sent.
    fn reject(&self, error: Error) -> Error {
        let outgoing = Outgoing::new(&self.method, self.path.path(), "", 0);
        let outgoing = outgoing.service(self.target.name().as_str());
        let is_grpc = self.protocol == Protocol::Grpc;
        rejected(if is_grpc { outgoing.grpc() } else { outgoing }, error.name());
        error
    }

    /// Whether to try again, and after which wait.
    fn decide(
        &self,
        ended: &Ended,
        failure: Failure,
        replayable: bool,
        course: &mut Course,
    ) -> Result<Duration, Stop> {
        let (target, now) = (&self.target, now());
        let repeatable = self.is_idempotent || ended.is_turned_away;
        let elsewhere = target.has_another(now, &course.tried, &self.hints());
        let attempt = course.attempt(failure, repeatable, replayable, elsewhere, now);
        let mut withdrawal = None;
        let withdraw = || {
            withdrawal = target.budget().take(now);
            withdrawal.is_some()
        };
        match self.options.retry.decide(&attempt, rand::random(), withdraw) {
            Decision::Retry { after } => {
                target.metrics().retry(target.name(), failure_name(failure));
                course.withdrawal = withdrawal;
                course.repeat(&attempt);
                Ok(after)
            }
            Decision::Stop(stop) => {
                target.metrics().stop(target.name(), stop);
                Err(stop)
            }
        }
    }

    /// Gives the answer to the caller, to be read under the call's deadline.
    fn hand_on(
        &self,
        ended: Ended,
        course: &Course,
        permit: Option<Permit>,
        feed: Option<Feed>,
    ) -> Result<Response<ResponseBody>, Error> {
        let ending = match ended.failure {
            Some(Failure::Lost) if ended.is_impatient => Ending::Ignored,
            Some(Failure::Refused { .. } | Failure::Lost) => Ending::Overloaded,
            Some(Failure::Unsent) => Ending::Ignored,
            Some(Failure::Final) | None => Ending::Done,
        };
        let Ended { span, answer, answering, endpoint, .. } = ended;
        let started = course.started;
        match answer {
            Ok(response) => {
                let (service, idle, sleep) = (self.target.name().clone(), self.idle, None);
                let (deadline, is_callers) = course.body_deadline(self);
                let limit = Limit { service, endpoint, started, deadline, is_callers, idle, sleep };
                let permit = permit.map(|held| (held, ending));
                Ok(response
                    .map(|body| ResponseBody::new(body, span, limit, answering, permit, feed)))
            }
            Err(error) => {
                permit.into_iter().for_each(|permit| permit.finish(now(), ending));
                if let Some(mut span) = span {
                    span.fail(error.name());
                    span.end();
                }
                Err(error)
            }
        }
    }

    pub(crate) fn hints(&self) -> Hints<'_> {
        let mut hints = Hints::default();
        (hints.subset, hints.key) = (self.version.as_deref(), self.key);
        hints
    }
}

pub(crate) fn next(body: &mut Replay) -> crate::body::RequestBody {
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
