//! OpenTelemetry spans of a request: its own, and one for each try.

use std::net::SocketAddr;

use futures::FutureExt;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Extensions, HeaderMap, Method, Uri, Version};
use regatta_core::TraceContext;
use regatta_telemetry::client::{ClientSpan, Outgoing};
use regatta_telemetry::{Exchange, Head, REQUEST_ID, Telemetry};
use regatta_traffic::cluster::{Effect, Picked};

use crate::policy::{Plan, Verdict};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The spans of one request; made only when they are exported. Dropped unended, it was cancelled.
#[derive(Debug)]
pub(crate) struct Spans {
    telemetry: Telemetry,
    exchange: Exchange,
    call: Option<ClientSpan>,
    /// Of a second try beside it.
    second: Option<ClientSpan>,
    method: Method,
    /// As the service sees it.
    path: Box<str>,
    is_grpc: bool,
    /// Of the answer that is passed on.
    grpc_status: Option<HeaderValue>,
    is_broken: bool,
}

impl Spans {
    /// Starts the request's span, and makes the plan's trace name it.
    pub(crate) fn begin(
        telemetry: &Telemetry,
        plan: &mut Plan<'_>,
        method: &str,
        path: &str,
        version: Version,
    ) -> Self {
        let forwarded = match &plan.verdict {
            Verdict::Forward { path, from, .. } => &path[*from..],
            Verdict::Health(_) | Verdict::Deny(_) | Verdict::Wait(_) => path,
        };
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        // A gRPC method has one name, with the service's name in front of it or not.
        let shown = if plan.is_grpc { forwarded } else { path };
        let uri = shown.parse::<Uri>().unwrap_or_default();
        let mut headers = HeaderMap::with_capacity(3);
        if let Ok(id) = HeaderValue::from_bytes(plan.request_id.as_bytes()) {
            headers.insert(REQUEST_ID, id);
        }
        if plan.trace.is_callers
            && let Ok(parent) = HeaderValue::from_bytes(&plan.trace.header)
        {
            headers.insert(TRACEPARENT, parent);
        }
        if plan.is_grpc {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        }
        let extensions = Extensions::new();
        let head = Head {
            method: &method,
            uri: &uri,
            version,
            headers: &headers,
            extensions: &extensions,
        };
        let mut exchange = Exchange::begin(telemetry, head);
        if let Some(route) = &plan.route {
            exchange.set_route(route.clone());
        }
        if let Some(trace) = &exchange.context().trace {
            trace.write_to(&mut plan.trace.header);
        }
        Self {
            telemetry: telemetry.clone(),
            exchange,
            call: None,
            second: None,
            method,
            path: forwarded.into(),
            is_grpc: plan.is_grpc,
            grpc_status: None,
            is_broken: false,
        }
    }

    /// Starts the span of a try, counted from 0; the try before has ended.
    pub(crate) fn call(&mut self, service: &str, picked: &Picked<SocketAddr>, attempt: u32) {
        if let Some(before) = self.call.take() {
            before.end();
        }
        self.grpc_status = None;
        self.call = self.start(service, picked, attempt);
    }

    /// Starts the span of a second try beside the first.
    pub(crate) fn hedge(
        &mut self,
        service: &str,
        picked: &Picked<SocketAddr>,
        attempt: u32,
    ) -> Option<[u8; TraceContext::LENGTH]> {
        self.second = self.start(service, picked, attempt);
        traceparent(self.second.as_ref()?)
    }

    /// One of the two has an answer; the span of the other ends as cancelled.
    pub(crate) fn hedge_ended(&mut self, is_second: bool) {
        let second = self.second.take();
        self.note("regatta.hedge", if is_second { "second" } else { "first" });
        if is_second {
            self.call = second;
        }
    }

    fn start(
        &self,
        service: &str,
        picked: &Picked<SocketAddr>,
        attempt: u32,
    ) -> Option<ClientSpan> {
        let (address, instance) = (*picked.data(), picked.instance());
        let host = address.ip().to_string();
        let mut outgoing = Outgoing::new(&self.method, &self.path, &host, address.port())
            .service(service)
            .attempt(attempt);
        if self.is_grpc {
            outgoing = outgoing.grpc();
        }
        let telemetry = &self.telemetry;
        let start = async { ClientSpan::start(telemetry, outgoing) };
        // The context is the parent; nothing in there waits.
        let call = self.exchange.context().clone().scope(start).now_or_never();
        if let Some(call) = &call {
            call.annotate("regatta.instance.id", instance.id.to_string());
            if let Some(version) = &instance.version {
                call.annotate("regatta.instance.version", version.clone());
            }
            if picked.is_probe() {
                call.annotate("regatta.breaker.probe", true);
            }
        }
        call
    }

    /// A decision about the request.
    pub(crate) fn note(&self, key: &'static str, value: &str) {
        self.exchange.annotate(key, value.to_owned());
    }

    /// What the end of a try did to its instance; its own span may have ended by now.
    pub(crate) fn effect(&self, effect: Effect) {
        if let Some(state) = effect.breaker {
            self.exchange.annotate("regatta.breaker.changed_to", state.name());
        }
        if effect.ejected {
            self.exchange.annotate("regatta.ejected", true);
        }
    }

    /// What the service is told: the try's span as its parent.
    pub(crate) fn traceparent(&self) -> Option<[u8; TraceContext::LENGTH]> {
        traceparent(self.call.as_ref()?)
    }

    /// The try has an answer.
    pub(crate) fn answered(&mut self, status: u16, headers: &HeaderMap) {
        self.grpc_status = headers.get(GRPC_STATUS).cloned();
        if let Some(call) = &mut self.call {
            call.respond(status, headers);
        }
    }

    /// The try has no answer.
    pub(crate) fn failed(&mut self, why: &'static str) {
        if let Some(mut call) = self.call.take() {
            call.fail(why);
            call.end();
        }
    }

    /// The trailers of the answer.
    pub(crate) fn trailers(&mut self, trailers: &HeaderMap) {
        if let Some(status) = trailers.get(GRPC_STATUS) {
            self.grpc_status = Some(status.clone());
        }
        if let Some(call) = &mut self.call {
            call.trailers(trailers);
        }
    }

    /// The answer did not reach its end.
    pub(crate) fn broke(&mut self) {
        self.is_broken = true;
    }

    /// The answer has gone out, with this status.
    pub(crate) fn end(mut self, status: u16) {
        let mut response = http::Response::new(());
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        if let Some(status) = self.grpc_status.take() {
            response.headers_mut().insert(GRPC_STATUS, status);
        }
        self.exchange.respond(&mut response);
        if self.is_broken {
            self.exchange.fail("broken_off");
        }
        if let Some(mut call) = self.call.take() {
            if self.is_broken {
                call.fail("broken_off");
            }
            call.end();
        }
        self.exchange.end();
    }
}

fn traceparent(call: &ClientSpan) -> Option<[u8; TraceContext::LENGTH]> {
    let mut header = [0; TraceContext::LENGTH];
    call.trace().write_to(&mut header);
    Some(header)
}
