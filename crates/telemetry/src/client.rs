//! Calls that go out: one span and one measurement an attempt.
//!
//! ```
//! use http::{HeaderMap, Method};
//! use regatta_telemetry::client::{self, Outgoing};
//!
//! let mut headers = HeaderMap::new();
//! let mut call = client::span(Outgoing::new(&Method::GET, "/orders/42", "10.0.0.7", 8080));
//! call.inject(&mut headers);
//! assert!(headers.contains_key("traceparent"));
//! call.respond(200, &HeaderMap::new());
//! call.end();
//! ```

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use regatta_core::{Context, Deadline, TraceContext};

use crate::metrics::OTHER;
use crate::propagation::{self, ATTEMPT_COUNT};
use crate::span::{self, Recording};
use crate::status::{self, MethodName, Outcome};
use crate::{Telemetry, clock, ids};

/// One attempt of a call, as it is about to go out.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    method: &'a Method,
    path: &'a str,
    address: &'a str,
    port: u16,
    service: Option<&'a str>,
    is_grpc: bool,
    attempt: u32,
    deadline: Option<Deadline>,
}

impl<'a> Outgoing<'a> {
    /// The first attempt of an HTTP call to this host and port.
    pub fn new(method: &'a Method, path: &'a str, address: &'a str, port: u16) -> Self {
        // Whoever passes a whole target still does not record a secret in its query.
        let path = path.split(['?', '#']).next().unwrap_or_default();
        Self {
            method,
            path,
            address,
            port,
            service: None,
            is_grpc: false,
            attempt: 0,
            deadline: None,
        }
    }

    /// The same call, to an instance of this service.
    #[must_use]
    pub fn service(mut self, name: &'a str) -> Self {
        self.service = Some(name);
        self
    }

    /// The same call in gRPC; the path is `/package.Service/Method`.
    #[must_use]
    pub fn grpc(mut self) -> Self {
        self.is_grpc = true;
        self
    }

    /// The same call with a deadline of its own; the context's stays if it is earlier.
    #[must_use]
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The same call as its attempt number `attempt`, counted from 0.
    #[must_use]
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }
}

/// Starts the span of an attempt, a child of the current [`Context`].
pub fn span(outgoing: Outgoing<'_>) -> ClientSpan {
    ClientSpan::start(&span::telemetry(), outgoing)
}

/// Records a call that was turned away here, before any attempt: a span that ends at once, with
/// why. It is not measured among the calls, which all went to some peer.
pub fn rejected(outgoing: Outgoing<'_>, why: &'static str) {
    let telemetry = span::telemetry();
    if !telemetry.exports_spans() {
        return;
    }
    let context = Context::current();
    let parent = context.as_ref().and_then(|context| context.trace.as_ref());
    let trace = ids::next(parent, telemetry.sample_ratio());
    let Some(recording) = Recording::start(&telemetry, &trace, parent, SpanKind::Client) else {
        return;
    };
    describe(&recording, &outgoing);
    recording.annotate(KeyValue::new("error.type", why));
    let name = match outgoing.is_grpc {
        true => Cow::Owned(outgoing.path.trim_start_matches('/').to_owned()),
        false => method_name(MethodName::of(outgoing.method)),
    };
    recording.end(&telemetry, name, std::time::Duration::ZERO, Status::error(""));
}

fn method_name(method: MethodName) -> Cow<'static, str> {
    Cow::Borrowed(match method.name() {
        OTHER => "HTTP",
        method => method,
    })
}

/// An attempt on its way. Dropping it unended counts it as `cancelled`.
#[derive(Debug)]
#[must_use = "dropping it at once counts the call as cancelled"]
pub struct ClientSpan {
    telemetry: Telemetry,
    context: Option<Arc<Context>>,
    trace: TraceContext,
    recording: Option<Arc<Recording>>,
    started: Instant,
    method: MethodName,
    is_grpc: bool,
    /// gRPC's method, or nothing.
    rpc: Option<Arc<str>>,
    /// `address:port`, in one piece to look it up without an allocation.
    peer: Box<str>,
    address_length: usize,
    attempt: u32,
    deadline: Option<Deadline>,
    outcome: Outcome,
    is_over: bool,
}

impl ClientSpan {
    /// Starts the span of an attempt for this telemetry.
    pub fn start(telemetry: &Telemetry, outgoing: Outgoing<'_>) -> Self {
        let context = Context::current();
        let parent = context.as_ref().and_then(|context| context.trace.as_ref());
        let trace = ids::next(parent, telemetry.sample_ratio());
        let recording = Recording::start(telemetry, &trace, parent, SpanKind::Client);
        if let Some(recording) = &recording {
            describe(recording, &outgoing);
        }
        let rpc = outgoing.is_grpc.then(|| Arc::from(outgoing.path.trim_start_matches('/')));
        Self {
            telemetry: telemetry.clone(),
            trace,
            recording,
            started: clock::now(),
            method: MethodName::of(outgoing.method),
            is_grpc: outgoing.is_grpc,
            rpc,
            peer: format!("{}:{}", outgoing.address, outgoing.port).into(),
            address_length: outgoing.address.len(),
            attempt: outgoing.attempt,
            deadline: outgoing.deadline,
            outcome: Outcome::failed("cancelled"),
            is_over: false,
            context,
        }
    }

    /// The trace as the callee sees it.
    pub fn trace(&self) -> &TraceContext {
        &self.trace
    }

    /// Writes the context into the call's headers: `traceparent`, `tracestate`, `baggage`,
    /// `x-request-id`, what is left of the earlier deadline, and `x-envoy-attempt-count`.
    ///
    /// The count is 1 for a first attempt; for one made while a retry is served it is at least 2,
    /// so that the mark reaches the end of a chain.
    pub fn inject(&self, headers: &mut HeaderMap) {
        let none = Context::default();
        let context = self.context.as_deref().unwrap_or(&none);
        let now = clock::now();
        propagation::inject(headers, context, &self.trace, now, self.is_grpc);
        if let Some(deadline) = self.deadline {
            propagation::inject_deadline(headers, deadline, now, self.is_grpc);
        }
        let least = if context.serves_retry { 2 } else { 1 };
        let count = self.attempt.saturating_add(1).max(least);
        headers.insert(ATTEMPT_COUNT, HeaderValue::from(count));
    }

    /// Adds an attribute to the span, if one is recorded.
    pub fn annotate(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(recording) = &self.recording {
            recording.annotate(KeyValue::new(key, value));
        }
    }

    /// Notes the head of the response.
    pub fn respond(&mut self, status: u16, headers: &HeaderMap) {
        self.outcome = Outcome::of(status, headers, self.is_grpc);
    }

    /// Notes the trailers of the response; gRPC's status is there.
    pub fn trailers(&mut self, trailers: &HeaderMap) {
        if self.is_grpc
            && let Some(code) = status::grpc_status(trailers)
        {
            self.outcome.grpc = Some(code);
        }
    }

    /// Notes why there is no response, such as `timeout` or `connection_refused`.
    pub fn fail(&mut self, error: &'static str) {
        self.outcome.error = Some(error);
    }

    /// Ends it: the response is there, or is known not to come.
    pub fn end(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let elapsed = clock::now().saturating_duration_since(self.started);
        let (outcome, is_grpc) = (self.outcome, self.is_grpc);
        let instruments = self.telemetry.instruments();
        let address_length = self.address_length;
        let shared = |peer: &str| {
            let mut attributes = Vec::with_capacity(7);
            match peer.split_at_checked(address_length) {
                Some((address, port)) if peer != OTHER => {
                    attributes.push(KeyValue::new("server.address", address.to_owned()));
                    let port = port.trim_start_matches(':').parse::<i64>();
                    attributes.extend(port.map(|port| KeyValue::new("server.port", port)));
                }
                _ => attributes.push(KeyValue::new("server.address", OTHER)),
            }
            attributes.extend(outcome.attributes(is_grpc));
            let error = outcome.client_error(is_grpc);
            attributes.extend(error.map(|error| KeyValue::new("error.type", error)));
            attributes
        };
        match &self.rpc {
            Some(_) => instruments.rpc_client.record(elapsed, &self.peer, (), outcome, |peer| {
                let mut attributes = shared(peer);
                attributes.push(KeyValue::new("rpc.system.name", "grpc"));
                attributes
            }),
            None => {
                let method = self.method;
                let series = &instruments.http_client;
                series.record(elapsed, &self.peer, method, outcome, |peer| {
                    let mut attributes = shared(peer);
                    attributes.push(KeyValue::new("http.request.method", method.name()));
                    attributes
                });
            }
        }
        let Some(recording) = self.recording.take() else { return };
        if let Some(status) = outcome.status {
            recording.annotate(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        if let Some(code) = outcome.grpc {
            recording.annotate(KeyValue::new("rpc.response.status_code", status::grpc_name(code)));
        }
        let status = match outcome.client_error(is_grpc) {
            Some(error) => {
                recording.annotate(KeyValue::new("error.type", error));
                Status::error("")
            }
            None => Status::Unset,
        };
        let name = match &self.rpc {
            Some(rpc) => Cow::Owned(rpc.to_string()),
            None => method_name(self.method),
        };
        recording.end(&self.telemetry, name, elapsed, status);
    }
}

impl Drop for ClientSpan {
    fn drop(&mut self) {
        self.finish();
    }
}

fn describe(recording: &Recording, outgoing: &Outgoing<'_>) {
    let method = MethodName::of(outgoing.method).name();
    recording.annotate(KeyValue::new("http.request.method", method));
    recording.annotate(KeyValue::new("url.path", outgoing.path.to_owned()));
    // A call that was turned away had no peer.
    if !outgoing.address.is_empty() {
        recording.annotate(KeyValue::new("server.address", outgoing.address.to_owned()));
        recording.annotate(KeyValue::new("server.port", i64::from(outgoing.port)));
    }
    if let Some(service) = outgoing.service {
        recording.annotate(KeyValue::new("service.peer.name", service.to_owned()));
    }
    if outgoing.attempt > 0 {
        let attempt = i64::from(outgoing.attempt);
        recording.annotate(KeyValue::new("http.request.resend_count", attempt));
    }
    if outgoing.is_grpc {
        recording.annotate(KeyValue::new("rpc.system.name", "grpc"));
        if let Some((service, method)) = status::split_rpc(outgoing.path) {
            recording.annotate(KeyValue::new("rpc.method", format!("{service}/{method}")));
            recording.annotate(KeyValue::new("rpc.service", service.to_owned()));
        }
    }
}
