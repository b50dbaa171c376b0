//! One try: the request to one instance, and what its answer says.

use std::time::{Duration, Instant};

use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Request, Response, Uri, Version};
use regatta_core::{Deadline, Endpoint};
use regatta_resilience::retry::Failure;
use regatta_telemetry::client::{ClientSpan, Outgoing, span};
use regatta_traffic::cluster::{Outcome, Picked};

use crate::Error;
use crate::body::RequestBody;
use crate::call::{Call, now};
use crate::classify::{self, Verdict};
use crate::transport::{Pool, PooledBody, Protocol, SendError};

/// What a try needs to know of the call's course.
#[derive(Clone, Copy)]
pub(crate) struct Trial {
    /// Tries before this one that may have reached an instance.
    pub(crate) sent: u32,
    /// When the call began.
    pub(crate) started: Instant,
    pub(crate) deadline: Deadline,
}

/// How one try ended.
pub(crate) struct Ended {
    /// None when the answer is to be handed on with no further thought.
    pub(crate) failure: Option<Failure>,
    pub(crate) answer: Result<Response<PooledBody>, Error>,
    pub(crate) endpoint: Endpoint,
    pub(crate) span: ClientSpan,
    /// What the answer's first frame has to say about the instance, where its head does not.
    pub(crate) unjudged: Option<Unjudged>,
}

/// An instance whose answer has begun without saying how the call went.
#[derive(Debug)]
pub(crate) struct Unjudged {
    picked: Picked<Pool>,
    latency: Duration,
}

impl Unjudged {
    /// Reports how the call went after all. Dropped, the call counts as abandoned.
    pub(crate) fn judge(self, outcome: Outcome) {
        self.picked.finish(now(), outcome, self.latency);
    }
}

/// Sends the call to the picked instance and judges its answer.
pub(crate) async fn make(
    call: &Call,
    picked: Picked<Pool>,
    body: RequestBody,
    trial: Trial,
) -> Ended {
    let (service, endpoint) = (call.target.name(), picked.instance().endpoint.clone());
    let outgoing = Outgoing::new(&call.method, call.path.path(), endpoint.host(), endpoint.port())
        .service(service.as_str())
        .attempt(trial.sent)
        .deadline(trial.deadline);
    let is_grpc = call.protocol == Protocol::Grpc;
    let mut span = span(if is_grpc { outgoing.grpc() } else { outgoing });
    span.annotate("regatta.instance.id", picked.instance().id.to_string());

    let mut request = Request::new(body);
    *request.method_mut() = call.method.clone();
    *request.headers_mut() = call.headers.clone();
    address(&mut request, call.protocol, &endpoint, &call.path);
    // Also tells the callee that it serves a retry, if it does: so attempts do not multiply along
    // a chain of hops.
    span.inject(request.headers_mut());

    let began = now();
    let sent = picked.data().send(call.protocol, call.options.limits(), request);
    let by = tokio::time::Instant::from_std(trial.deadline.instant());
    let answer = tokio::time::timeout_at(by, sent).await;
    let ended = now();
    let latency = ended.saturating_duration_since(began);
    match answer {
        Ok(Ok(response)) => {
            let Verdict { outcome, failure } = match call.protocol {
                Protocol::Http => classify::http(response.status(), response.headers()),
                Protocol::Grpc => classify::grpc(response.status(), response.headers()),
            };
            span.respond(response.status().as_u16(), response.headers());
            let unjudged = Unjudged { picked, latency };
            let unjudged = if is_grpc && classify::is_open(&response) {
                Some(unjudged)
            } else {
                unjudged.judge(outcome);
                None
            };
            Ended { failure, answer: Ok(response), endpoint, span, unjudged }
        }
        Ok(Err(source)) => {
            let failure = Some(source.failure());
            // A refusal costs nothing and ends with the restart that it announces; a breaker would
            // keep the instance away long after.
            let outcome = if source.was_refused() { Outcome::Abandoned } else { Outcome::Failure };
            picked.finish(ended, outcome, latency);
            let (service, at) = (service.clone(), endpoint.clone());
            let error = match source {
                SendError::Connect(source) => {
                    Error::Connect { service, endpoint: at, source: source.into() }
                }
                SendError::Broken { source, .. } => {
                    Error::Broken { service, endpoint: at, source: source.into() }
                }
            };
            Ended { failure, answer: Err(error), endpoint, span, unjudged: None }
        }
        Err(_elapsed) => {
            picked.finish(ended, Outcome::Failure, latency);
            let waited = ended.saturating_duration_since(trial.started);
            let error = Error::Timeout { service: service.clone(), waited };
            let failure = Some(Failure::Lost);
            Ended { failure, answer: Err(error), endpoint, span, unjudged: None }
        }
    }
}

/// Says where the request goes: in HTTP/1.1 by a path and `Host`, in HTTP/2 by a whole URI.
fn address<B>(
    request: &mut Request<B>,
    protocol: Protocol,
    endpoint: &Endpoint,
    path: &PathAndQuery,
) {
    let authority = endpoint.to_string();
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(path.clone());
    if protocol == Protocol::Grpc {
        let authority = authority.parse::<Authority>();
        parts.scheme = Some(http::uri::Scheme::HTTP);
        parts.authority = Some(authority.expect("an endpoint is a host and a port"));
        *request.version_mut() = Version::HTTP_2;
    } else {
        let host = HeaderValue::from_maybe_shared(bytes::Bytes::from(authority));
        let host = host.expect("an endpoint has no characters that a header has not");
        request.headers_mut().entry(http::header::HOST).or_insert(host);
    }
    *request.uri_mut() = Uri::from_parts(parts).expect("a path, or all three parts, make a URI");
}
