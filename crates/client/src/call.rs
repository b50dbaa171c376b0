//! One call with all its tries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use regatta_core::{Context, Deadline, Instance, InstanceId};
use regatta_resilience::breaker::Outcome;
use regatta_resilience::retry::{Attempt, Decision, Failure};
use regatta_telemetry::client::{ClientSpan, Outgoing, span};

use crate::Error;
use crate::body::{Limit, ResponseBody};
use crate::classify;
use crate::replay::Replay;
use crate::target::{Chosen, Target};
use crate::transport::{self, Protocol, Transport};

/// One call, before its first try.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) target: Arc<Target>,
    pub(crate) transport: Transport,
    pub(crate) protocol: Protocol,
    pub(crate) method: Method,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Replay,
    /// Whether doing it twice is as good as once.
    pub(crate) is_idempotent: bool,
    /// For all tries together.
    pub(crate) timeout: Duration,
    /// For one try that may be repeated.
    pub(crate) try_timeout: Duration,
}

/// The shell's clock, which tests pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// How one try ended.
struct Tried {
    /// None when the answer is to be handed on with no further thought.
    failure: Option<Failure>,
    answer: Result<Response<ResponseBody>, Error>,
}

impl Call {
    /// Makes the call: tries until an answer stands.
    ///
    /// Dropping the future gives the call up: the try in flight is cancelled, its breaker's permit
    /// is free again, and its span ends as cancelled.
    pub(crate) async fn run(self) -> Result<Response<ResponseBody>, Error> {
        let target = Arc::clone(&self.target);
        let answer = self.tries().await;
        if let Err(error) = &answer {
            target.metrics().failure(target.name(), error.name());
        }
        answer
    }

    async fn tries(mut self) -> Result<Response<ResponseBody>, Error> {
        let context = Context::current();
        let serves_retry = context.as_ref().is_some_and(|context| context.serves_retry);
        let started = now();
        let deadline = Deadline::after(started, self.timeout)
            .earlier(context.as_ref().and_then(|context| context.deadline));
        let target = Arc::clone(&self.target);
        let left = |now| deadline.remaining(now).unwrap_or_default();
        if deadline.is_over(started) {
            return Err(Error::DeadlineOver { service: target.name().clone() });
        }
        target.discovered(left(started)).await?;

        let mut tried: Vec<InstanceId> = Vec::new();
        let mut last = None;
        let mut marks = Marks { number: 1, sent: 0, serves_retry, started, deadline };
        let mut redirected = 0;
        loop {
            let chosen = match target.choose(now(), &tried) {
                Ok(chosen) => chosen,
                // What happened says more than that it may not be repeated.
                Err(error) => return Err(last.unwrap_or(error)),
            };
            let id = chosen.instance().id.clone();
            let Tried { failure, answer } = self.attempt(chosen, &marks).await;
            let Some(failure) = failure else {
                target.budget().deposit(now());
                return answer;
            };
            tried.push(id);
            let now = now();
            let attempt = Attempt {
                number: marks.number,
                redirected,
                failure,
                repeatable: self.is_idempotent,
                replayable: self.body.is_replayable(),
                elsewhere: target.has_another(now, &tried),
                serves_retry,
                left: left(now),
            };
            let withdraw = || target.budget().withdraw(now);
            match target.options().retry.decide(&attempt, rand::random(), withdraw) {
                Decision::Retry { after } => {
                    target.metrics().retry(target.name(), failure_name(failure));
                    last = answer.err();
                    marks.sent += u32::from(failure != Failure::Unsent);
                    if attempt.is_redirected() {
                        redirected += 1;
                    } else {
                        marks.number += 1;
                    }
                    if !after.is_zero() {
                        tokio::time::sleep(after).await;
                    }
                }
                Decision::Stop(stop) => {
                    target.metrics().stop(target.name(), stop);
                    return answer;
                }
            }
        }
    }

    async fn attempt(&mut self, chosen: Chosen, marks: &Marks) -> Tried {
        let instance = chosen.instance();
        let service = self.target.name().clone();
        let Some(body) = self.body.next() else {
            unreachable!("the policy does not repeat what cannot be replayed")
        };
        let is_grpc = self.protocol == Protocol::Grpc;
        let starts = now();
        let try_deadline = match self.may_repeat_lost(marks) {
            true => Deadline::after(starts, self.try_timeout).earlier(Some(marks.deadline)),
            // Nothing is gained by giving up on it early.
            false => marks.deadline,
        };
        let mut span = self.span(instance, marks.sent, try_deadline);
        span.annotate("regatta.instance.id", instance.id.to_string());

        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        *request.uri_mut() = uri(chosen.authority().clone(), self.path.clone());
        if is_grpc {
            *request.version_mut() = Version::HTTP_2;
        }
        // Also tells the callee that it serves a retry, if it does: so attempts do not multiply
        // along a chain of hops.
        span.inject(request.headers_mut());

        let answer = tokio::time::timeout_at(
            tokio::time::Instant::from_std(try_deadline.instant()),
            self.transport.send(self.protocol, request),
        );
        let (outcome, failure, answer) = match answer.await {
            Ok(Ok(response)) => {
                let verdict = match self.protocol {
                    Protocol::Http => classify::http(response.status(), response.headers()),
                    Protocol::Grpc => classify::grpc(response.status(), response.headers()),
                };
                span.respond(response.status().as_u16(), response.headers());
                let Marks { started, deadline, .. } = *marks;
                let endpoint = instance.endpoint.clone();
                let limit = Limit { service, endpoint, started, deadline, sleep: None };
                let answer = response.map(|body| ResponseBody::new(body, span, limit));
                (verdict.outcome, verdict.failure, Ok(answer))
            }
            Ok(Err(source)) => {
                let failure = transport::failure(&source);
                // A refusal costs nothing and ends with the restart that it announces; a breaker
                // would keep the instance away long after.
                let outcome = if transport::was_refused(&source) {
                    Outcome::Abandoned
                } else {
                    Outcome::Failure
                };
                let endpoint = instance.endpoint.clone();
                let error = if source.is_connect() {
                    Error::Connect { service, endpoint, source: source.into() }
                } else {
                    Error::Broken { service, endpoint, source: source.into() }
                };
                span.fail(error.name());
                span.end();
                (outcome, Some(failure), Err(error))
            }
            Err(_elapsed) => {
                let waited = now().saturating_duration_since(marks.started);
                let error = Error::Timeout { service, waited };
                span.fail(error.name());
                span.end();
                (Outcome::Failure, Some(Failure::Lost), Err(error))
            }
        };
        chosen.permit.record(now(), outcome);
        Tried { failure, answer }
    }

    fn span(&self, instance: &Instance, sent: u32, deadline: Deadline) -> ClientSpan {
        let (host, port) = (instance.endpoint.host(), instance.endpoint.port());
        let outgoing = Outgoing::new(&self.method, self.path.path(), host, port)
            .service(self.target.name().as_str())
            .attempt(sent)
            .deadline(deadline);
        span(if self.protocol == Protocol::Grpc { outgoing.grpc() } else { outgoing })
    }

    /// Whether a try without an answer would be repeated.
    fn may_repeat_lost(&self, marks: &Marks) -> bool {
        self.is_idempotent
            && self.body.is_replayable()
            && !marks.serves_retry
            && marks.number < self.target.options().retry.tries
    }
}

/// What a try passes on about the call it belongs to.
struct Marks {
    /// The first try is number 1; redirected ones do not count.
    number: u32,
    /// Tries before this one that may have reached an instance.
    sent: u32,
    serves_retry: bool,
    started: Instant,
    deadline: Deadline,
}

fn uri(authority: http::uri::Authority, path: PathAndQuery) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    parts.authority = Some(authority);
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).expect("a scheme, an authority and a path make a URI")
}

fn failure_name(failure: Failure) -> &'static str {
    match failure {
        Failure::Unsent => "unsent",
        Failure::Refused { .. } => "refused",
        Failure::Lost => "lost",
        Failure::Final => "final",
    }
}
