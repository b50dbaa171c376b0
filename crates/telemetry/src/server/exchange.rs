//! One request and its response, from head to the end of the body.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::MatchedPath;
use http::{Extensions, HeaderMap, HeaderValue, Method, Uri, Version};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};
use regatta_core::{Context, Deadline};

use super::{Probed, Route};
use crate::metrics::OTHER;
use crate::propagation::{self, REQUEST_ID};
use crate::span::{self, Current, Recording};
use crate::status::{self, MethodName, Outcome};
use crate::{Telemetry, clock, ids};

/// One request being served: its context, its span, its measurement.
///
/// [`ServerLayer`](crate::ServerLayer) is the usual shell around it; a proxy drives it by hand.
/// Dropping it ends it: as what [`Exchange::respond`] said if the body was seen to its end by
/// [`Exchange::end`], as `cancelled` (or `panic`) otherwise.
#[derive(Debug)]
#[must_use = "dropping it at once counts the request as cancelled"]
pub struct Exchange {
    /// Away only while [`Exchange::enter`] runs.
    context: Option<Arc<Context>>,
    /// Away then too, and once it is over.
    current: Option<Current>,
    started: Instant,
    method: MethodName,
    is_grpc: bool,
    name: Name,
    /// Echoed to the caller; kept as a header so that an echo costs no allocation.
    request_id: Option<HeaderValue>,
    outcome: Outcome,
    is_probe: bool,
    is_over: bool,
}

/// Why there is a context.
const HERE: &str = "what is entered is borrowed, and left also by a panic";

/// What spans and metrics call the request.
#[derive(Debug)]
enum Name {
    Unknown,
    Route(Arc<str>),
    Matched(MatchedPath),
    Rpc(Arc<str>),
}

impl Exchange {
    /// Reads the head of a request and starts its span.
    pub fn begin(telemetry: &Telemetry, head: Head<'_>) -> Self {
        Self::begin_within(telemetry, head, None)
    }

    /// The same, for a request that must be over `timeout` from now; a caller's earlier deadline
    /// stays.
    pub fn begin_within(telemetry: &Telemetry, head: Head<'_>, timeout: Option<Duration>) -> Self {
        let started = clock::now();
        let caller = propagation::extract(head.headers, started);
        let trace = ids::next(caller.trace.as_ref(), telemetry.sample_ratio());
        // gRPC is always a POST, and a GET need not pay for the look-up.
        let is_grpc = head.method == Method::POST && status::is_grpc(head.headers);
        let recording =
            Recording::start(telemetry, &trace, caller.trace.as_ref(), SpanKind::Server);
        let (request_id, echo) = match caller.request_id {
            Some(request_id) => (request_id, head.headers.get(REQUEST_ID).cloned()),
            None => {
                let made = ids::request_id(ids::random_u128());
                let echo = HeaderValue::from_str(&made).ok();
                (made, echo)
            }
        };
        if let Some(recording) = &recording {
            describe(recording, &head);
        }
        let method = MethodName::of(head.method);
        telemetry.instruments().add_active(method, 1);
        let mut context = Context::default();
        context.trace = Some(trace);
        context.request_id = Some(request_id);
        context.deadline = match timeout {
            Some(timeout) => Some(Deadline::after(started, timeout).earlier(caller.deadline)),
            None => caller.deadline,
        };
        context.serves_retry = caller.serves_retry;
        context.urgency = caller.urgency;
        context.baggage = caller.baggage;
        let name = if is_grpc && status::split_rpc(head.uri.path()).is_some() {
            Name::Rpc(head.uri.path().trim_start_matches('/').into())
        } else {
            Name::of(head.extensions)
        };
        Self {
            context: Some(Arc::new(context)),
            current: Some(Current { telemetry: telemetry.clone(), recording }),
            started,
            method,
            is_grpc,
            name,
            request_id: echo,
            outcome: Outcome::failed("cancelled"),
            is_probe: false,
            is_over: false,
        }
    }

    /// What handlers and outgoing calls read; scope the serving future with it.
    #[expect(clippy::missing_panics_doc, reason = "it is away only while this is borrowed")]
    pub fn context(&self) -> &Arc<Context> {
        self.context.as_ref().expect(HERE)
    }

    /// Runs something at once as a part of the request.
    #[inline]
    pub(super) fn enter<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let current = &mut self.current;
        Context::enter(&mut self.context, || span::enter(current, work))
    }

    /// Names the route once it is known.
    pub fn set_route(&mut self, route: Arc<str>) {
        if !matches!(self.name, Name::Rpc(_)) {
            self.name = Name::Route(route);
        }
    }

    pub(super) fn set_matched(&mut self, path: MatchedPath) {
        if matches!(self.name, Name::Unknown) {
            self.name = Name::Matched(path);
        }
    }

    /// Adds an attribute to the span, if one is recorded.
    pub fn annotate(&self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        let current = self.current.as_ref();
        if let Some(recording) = current.and_then(|current| current.recording.as_ref()) {
            recording.annotate(KeyValue::new(key, value));
        }
    }

    /// Notes the head of the response, and echoes the request id in it.
    pub fn respond<B>(&mut self, response: &mut http::Response<B>) {
        if let Some(route) = response.extensions().get::<Route>() {
            let route = Arc::clone(&route.0);
            self.set_route(route);
        }
        self.is_probe = response.extensions().get::<Probed>().is_some();
        self.outcome = Outcome::of(response.status().as_u16(), response.headers(), self.is_grpc);
        if let Some(request_id) = self.request_id.take() {
            response.headers_mut().insert(REQUEST_ID, request_id);
        }
    }

    /// Notes the trailers of the response; gRPC's status is there.
    pub fn trailers(&mut self, trailers: &HeaderMap) {
        if self.is_grpc
            && let Some(code) = status::grpc_status(trailers)
        {
            self.outcome.grpc = Some(code);
        }
    }

    /// Notes why it failed, such as `timeout`, for the span and the metric's `error.type`.
    pub fn fail(&mut self, error: &'static str) {
        self.outcome.error = Some(error);
    }

    /// Ends it: the response has gone out.
    pub fn end(mut self) {
        self.finish();
    }

    pub(crate) fn finish(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let elapsed = clock::now().saturating_duration_since(self.started);
        let Some(current) = self.current.take() else { return };
        let instruments = current.telemetry.instruments();
        instruments.add_active(self.method, -1);
        let (outcome, method) = (self.outcome, self.method.name());
        let error = |outcome: Outcome| {
            outcome.server_error(self.is_grpc).map(|error| KeyValue::new("error.type", error))
        };
        match self.name.rpc(outcome) {
            Some(rpc) => instruments.rpc_server.record(elapsed, rpc, (), outcome, |rpc| {
                let mut attributes = vec![
                    KeyValue::new("rpc.system.name", "grpc"),
                    KeyValue::new("rpc.method", rpc.to_owned()),
                ];
                attributes.extend(outcome.attributes(true));
                attributes.extend(error(outcome));
                attributes
            }),
            None => {
                let route = self.name.route();
                let record = |route: &str| {
                    let mut attributes = vec![
                        KeyValue::new("http.request.method", method),
                        KeyValue::new("url.scheme", "http"),
                    ];
                    // No route matched: the conventions leave the attribute out.
                    if !route.is_empty() {
                        attributes.push(KeyValue::new("http.route", route.to_owned()));
                    }
                    attributes.extend(outcome.attributes(false));
                    attributes.extend(error(outcome));
                    attributes
                };
                let series = &instruments.http_server;
                series.record(elapsed, route.unwrap_or(""), self.method, outcome, record);
            }
        }
        if let Some(recording) = &current.recording {
            self.end_span(&current.telemetry, recording, elapsed);
        }
        self.log(elapsed);
    }

    fn end_span(&self, telemetry: &Telemetry, recording: &Recording, elapsed: Duration) {
        let outcome = self.outcome;
        let name = match (self.name.rpc(outcome), self.name.route()) {
            (Some(rpc), _) => {
                recording.annotate(KeyValue::new("rpc.system.name", "grpc"));
                recording.annotate(KeyValue::new("rpc.method", rpc.to_owned()));
                if let Some((service, _)) = rpc.split_once('/') {
                    recording.annotate(KeyValue::new("rpc.service", service.to_owned()));
                }
                Cow::Owned(rpc.to_owned())
            }
            (None, Some(route)) => {
                recording.annotate(KeyValue::new("http.route", route.to_owned()));
                Cow::Owned(format!("{} {route}", self.method.name()))
            }
            (None, None) => Cow::Borrowed(match self.method.name() {
                OTHER => "HTTP",
                method => method,
            }),
        };
        if let Some(status) = outcome.status {
            recording.annotate(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        if let Some(code) = outcome.grpc {
            recording.annotate(KeyValue::new("rpc.response.status_code", status::grpc_name(code)));
        }
        let status = match outcome.server_error(self.is_grpc) {
            Some(error) => {
                recording.annotate(KeyValue::new("error.type", error));
                Status::error("")
            }
            None => Status::Unset,
        };
        recording.end(telemetry, name, elapsed, status);
    }

    /// A line for what is the server's fault; one at debug level for the rest.
    fn log(&self, elapsed: Duration) {
        let is_error = self.outcome.server_error(self.is_grpc);
        let context = self.context();
        let route = self.name.rpc(self.outcome).or(self.name.route()).unwrap_or_default();
        macro_rules! line {
            ($level:ident, $error:expr, $message:literal) => {
                span::now(Arc::clone(context).scope(async {
                    tracing::$level!(
                        target: "regatta::request",
                        method = self.method.name(),
                        route,
                        status = self.outcome.status,
                        error = $error,
                        duration_ms = elapsed.as_micros() as f64 / 1e3,
                        $message
                    );
                }))
            };
        }
        match is_error {
            Some(error) if error == "cancelled" => {
                line!(debug, error.as_str(), "caller went away");
            }
            Some(error) if self.is_probe => line!(debug, error.as_str(), "probe answered"),
            Some(error) => line!(warn, error.as_str(), "request failed"),
            None if tracing::enabled!(target: "regatta::request", tracing::Level::DEBUG) => {
                line!(debug, tracing::field::Empty, "request served");
            }
            None => (),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.is_over && self.outcome.error.is_none() {
            // The head went out but the body did not reach its end.
            self.outcome.error = Some("cancelled");
        }
        if !self.is_over && std::thread::panicking() {
            self.outcome.error = Some("panic");
        }
        self.finish();
    }
}

/// What [`Exchange::begin`] reads of a request.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target; the query is never recorded.
    pub uri: &'a Uri,
    /// The protocol's version.
    pub version: Version,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The extensions, where routers leave the route.
    pub extensions: &'a Extensions,
}

impl<'a, B> From<&'a http::Request<B>> for Head<'a> {
    fn from(request: &'a http::Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

impl<'a> From<&'a http::request::Parts> for Head<'a> {
    fn from(parts: &'a http::request::Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            version: parts.version,
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }
}

impl Name {
    fn of(extensions: &Extensions) -> Self {
        if let Some(route) = extensions.get::<Route>() {
            return Self::Route(Arc::clone(&route.0));
        }
        match extensions.get::<MatchedPath>() {
            Some(path) => Self::Matched(path.clone()),
            None => Self::Unknown,
        }
    }

    fn route(&self) -> Option<&str> {
        match self {
            Self::Unknown | Self::Rpc(_) => None,
            Self::Route(route) => Some(route),
            Self::Matched(path) => Some(path.as_str()),
        }
    }

    /// The gRPC method; one that nobody implements shares a name, because callers choose it.
    fn rpc(&self, outcome: Outcome) -> Option<&str> {
        const UNIMPLEMENTED: u8 = 12;
        match self {
            Self::Rpc(_) if matches!(outcome.grpc, None | Some(UNIMPLEMENTED)) => Some(OTHER),
            Self::Rpc(method) => Some(method),
            _ => None,
        }
    }
}

fn describe(recording: &Recording, head: &Head<'_>) {
    recording.annotate(KeyValue::new("http.request.method", MethodName::of(head.method).name()));
    recording.annotate(KeyValue::new("url.path", head.uri.path().to_owned()));
    recording.annotate(KeyValue::new("url.scheme", "http"));
    recording.annotate(KeyValue::new(
        "network.protocol.version",
        match head.version {
            Version::HTTP_09 => "0.9",
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            Version::HTTP_3 => "3",
            _ => "1.1",
        },
    ));
}
