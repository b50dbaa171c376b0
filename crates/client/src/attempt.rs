//! One try: the request to one instance, and what its answer says.

use std::time::{Duration, Instant};

use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Request, Response, Uri, Version};
use regatta_core::{Deadline, Endpoint};
use regatta_resilience::retry::Failure;
use regatta_telemetry::client::{ClientSpan, Outgoing, span};
use regatta_traffic::answer::{Answering, unless_impatient};
use regatta_traffic::cluster::{Effect, Picked};
use regatta_traffic::verdict::{Silence, Verdict, silence};

use crate::Error;
use crate::body::RequestBody;
use crate::call::{Call, now};
use crate::classify;
use crate::feed::Feed;
use crate::transport::{Pool, PooledBody, Protocol, SendError, Unanswered};
use crate::upload::{Progress, UploadError};

/// What a try needs to know of the call's course.
#[derive(Clone, Copy)]
pub(crate) struct Trial {
    /// Tries before this one that may have reached an instance.
    pub(crate) sent: u32,
    /// When the call began.
    pub(crate) started: Instant,
    pub(crate) deadline: Deadline,
    /// Whether that is sooner than what the policy gives, by the caller's own wish.
    pub(crate) is_callers: bool,
    /// The deadline of the request that is served here, if one is.
    pub(crate) callers: Option<Deadline>,
}

/// How one try ended.
pub(crate) struct Ended {
    /// None when the answer is to be handed on with no further thought.
    pub(crate) failure: Option<Failure>,
    /// Whether the instance says that it did not take the call.
    pub(crate) is_turned_away: bool,
    /// Whether it was given up because the caller's own time was over.
    pub(crate) is_impatient: bool,
    pub(crate) answer: Result<Response<PooledBody>, Error>,
    pub(crate) endpoint: Endpoint,
    /// None once it has ended.
    pub(crate) span: Option<ClientSpan>,
    /// The instance as long as its answer lasts, unless its head says that the call failed.
    pub(crate) answering: Option<Answering<Pool>>,
    /// The body of a request of which nothing left.
    pub(crate) unsent: Option<Box<RequestBody>>,
}

impl Ended {
    pub(crate) fn annotate(&self, key: &'static str, value: &'static str) {
        self.span.iter().for_each(|span| span.annotate(key, value));
    }

    /// Ends the span, though the answer is kept for when no other comes.
    pub(crate) fn end_span(&mut self) {
        let Some(mut span) = self.span.take() else { return };
        if let Err(error) = &self.answer {
            span.fail(error.name());
        }
        span.end();
    }
}

impl Trial {
    /// How much of the call's time has passed.
    fn waited(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// From the call's beginning until its deadline.
    fn given(&self) -> Duration {
        self.deadline.instant().saturating_duration_since(self.started)
    }
}

/// Notes on the span what the call did to the instance.
pub(crate) fn annotate(span: Option<&ClientSpan>, effect: Effect) {
    let Some(span) = span else { return };
    if let Some(state) = effect.breaker {
        span.annotate("regatta.breaker.changed_to", state.name());
    }
    if effect.ejected {
        span.annotate("regatta.ejected", true);
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
    let feed = body.feed();
    let upload = feed.as_ref().and_then(Feed::progress);
    let outgoing = Outgoing::new(&call.method, call.path.path(), endpoint.host(), endpoint.port())
        .service(service.as_str())
        .attempt(trial.sent);
    // A time that begins with the end of the body is nothing that can be told before.
    let outgoing = match call.idle.is_some() && upload.is_some() {
        true => outgoing,
        false => outgoing.deadline(trial.deadline),
    };
    let is_grpc = call.protocol == Protocol::Grpc;
    let mut span = span(if is_grpc { outgoing.grpc() } else { outgoing });
    span.annotate("regatta.instance.id", picked.instance().id.to_string());
    if picked.is_probe() {
        span.annotate("regatta.breaker.probe", true);
    }

    let mut request = Request::new(body);
    *request.method_mut() = call.method.clone();
    *request.headers_mut() = call.headers.clone();
    address(&mut request, call.protocol, &endpoint, &call.path);
    // Also tells the callee that it serves a retry, if it does: so attempts do not multiply along
    // a chain of hops.
    span.inject(request.headers_mut());

    let began = now();
    upload.iter().for_each(|upload| upload.moves());
    let sent = picked.data().send(call.protocol, call.options.limits(), request);
    let answer = tokio::select! {
        biased;
        answer = sent => Ok(answer),
        why = too_late(call, upload, trial) => Err(why),
    };
    let latency = now().saturating_duration_since(began);
    let (silence_is, error, unsent) = match answer {
        Ok(Ok(response)) => {
            let Verdict { fault, failure, is_turned_away } = match call.protocol {
                Protocol::Http => classify::http(response.status(), response.headers()),
                Protocol::Grpc => classify::grpc(response.status(), response.headers()),
            };
            span.respond(response.status().as_u16(), response.headers());
            let own = trial.is_callers.then_some(trial.given());
            let fault = unless_impatient(fault, own, trial.waited(now()));
            let awaits_status = is_grpc && classify::is_open(&response);
            let mut answering = Answering::new(picked, latency, awaits_status);
            let answering = if awaits_status {
                Some(answering)
            } else if answering.is_good(fault) {
                annotate(Some(&span), answering.begin(now()));
                Some(answering)
            } else {
                annotate(Some(&span), answering.finish(now(), fault));
                None
            };
            let (span, is_impatient, answer, unsent) = (Some(span), false, Ok(response), None);
            return Ended {
                failure,
                is_turned_away,
                is_impatient,
                answer,
                endpoint,
                span,
                answering,
                unsent,
            };
        }
        Ok(Err(Unanswered { error, unsent })) => {
            let is_ours = feed.as_ref().is_some_and(Feed::has_failed);
            let silence_is = if is_ours { Silence::Withdrawn } else { error.silence() };
            let (service, at) = (service.clone(), endpoint.clone());
            let error = match error {
                SendError::Connect(source) => {
                    Error::Connect { service, endpoint: at, source: source.into() }
                }
                SendError::Broken { source, .. } if silence_is == Silence::Withdrawn => {
                    Error::RequestBody { service, source: source.into() }
                }
                SendError::Broken { source, .. } => {
                    Error::Broken { service, endpoint: at, source: source.into() }
                }
            };
            (silence_is, error, unsent)
        }
        Err(Silence::Withdrawn) => {
            let idle = call.idle.unwrap_or_default();
            let source = UploadError::Silent { idle }.into();
            let error = Error::RequestBody { service: service.clone(), source };
            (Silence::Withdrawn, error, None)
        }
        Err(why) => {
            let waited = trial.waited(now());
            (why, Error::Timeout { service: service.clone(), waited }, None)
        }
    };
    let Verdict { fault, failure, is_turned_away } = silence(silence_is);
    let is_impatient = silence_is == Silence::Impatient;
    annotate(Some(&span), picked.conclude(now(), fault, latency));
    let (span, answer, answering) = (Some(span), Err(error), None);
    Ended { failure, is_turned_away, is_impatient, answer, endpoint, span, answering, unsent }
}

/// Waits until the head of the answer is too late, and says in which way.
async fn too_late(call: &Call, upload: Option<&Progress>, trial: Trial) -> Silence {
    let by = |deadline: Deadline| tokio::time::Instant::from_std(deadline.instant());
    let own = |is_callers| if is_callers { Silence::Impatient } else { Silence::Late };
    let (Some(idle), Some(upload)) = (call.idle, upload) else {
        tokio::time::sleep_until(by(trial.deadline)).await;
        return own(trial.is_callers);
    };
    let callers = async {
        match trial.callers {
            Some(callers) => tokio::time::sleep_until(by(callers)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = callers => Silence::Impatient,
        // The service has its whole time once it has the whole body.
        is_ours = upload.late(idle, call.timeout) => match is_ours {
            true => Silence::Withdrawn,
            false => own(call.timeout < call.options.timeout),
        },
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
