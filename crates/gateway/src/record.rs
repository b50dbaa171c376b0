//! What is remembered about a request for metrics and the access log.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;
use regatta_core::{Code, ServiceName, TraceContext};
use regatta_telemetry::{grpc_name, grpc_status};
use regatta_traffic::cluster::{Effect, Picked};
use tokio::time::Instant;

use crate::access_log::Line;
use crate::policy::ids::{RequestId, Trace};
use crate::policy::{Plan, Request, Verdict};
use crate::shared::{Shared, wall_clock};
use crate::spans::Spans;

/// A request under way. Counted and logged once, by [`Record::finish`].
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) started: Instant,
    pub(crate) method: Method,
    pub(crate) service: Option<ServiceName>,
    pub(crate) route: Option<Arc<str>>,
    pub(crate) status: u16,
    pub(crate) attempts: u8,
    is_grpc: bool,
    /// gRPC's status of the answer, 0 to 16; none when it is not known, or not gRPC.
    pub(crate) grpc: Option<u8>,
    line: Option<Box<Line>>,
    spans: Option<Box<Spans>>,
}

/// By what a request is found again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids<'i> {
    pub(crate) request_id: &'i RequestId,
    pub(crate) trace: &'i Trace,
}

/// A method as metrics name it; unknown ones are one, so that clients cannot make series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Other,
}

impl Method {
    pub(crate) fn of(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            // OpenTelemetry's name for what is not in its list.
            Self::Other => "_OTHER",
        }
    }
}

impl Record {
    /// Begins the request's span too, if spans are exported; then the plan's trace names it.
    pub(crate) fn begin(
        shared: &Shared,
        plan: &mut Plan<'_>,
        asked: &Request<'_>,
        version: http::Version,
        started: Instant,
    ) -> Self {
        let (method, path, client) = (asked.method, asked.path, asked.client);
        // Its own health is nobody's trace.
        let telemetry =
            shared.telemetry.as_ref().filter(|_| !matches!(plan.verdict, Verdict::Health(_)));
        let spans = telemetry
            .map(|telemetry| Box::new(Spans::begin(telemetry, plan, method, path, version)));
        if let (Some(spans), Verdict::Deny(denial)) = (&spans, &plan.verdict) {
            spans.note("regatta.denied", &denial.problem.code);
        }
        let service = plan.service.clone();
        let line = shared.log.as_ref().map(|_| {
            Box::new(Line {
                at: wall_clock(),
                client,
                method: method.to_owned(),
                path: path.to_owned(),
                request_id: plan.request_id.as_str().to_owned(),
                trace_id: plan.trace.trace_id().to_owned(),
            })
        });
        let route = plan.route.clone();
        let (method, is_grpc) = (Method::of(method), plan.is_grpc);
        Self { is_grpc, line, spans, ..Self::new(started, method, service, route) }
    }

    /// A request that could not be read; the log has what is known of it.
    pub(crate) fn refused(
        shared: &Shared,
        client: IpAddr,
        ids: &Ids<'_>,
        started: Instant,
    ) -> Self {
        let method = Method::Other;
        let line = shared.log.as_ref().map(|_| {
            Box::new(Line {
                at: wall_clock(),
                client,
                method: "-".to_owned(),
                path: "-".to_owned(),
                request_id: ids.request_id.as_str().to_owned(),
                trace_id: ids.trace.trace_id().to_owned(),
            })
        });
        Self { line, ..Self::new(started, method, None, None) }
    }

    fn new(
        started: Instant,
        method: Method,
        service: Option<ServiceName>,
        route: Option<Arc<str>>,
    ) -> Self {
        let (status, attempts, is_grpc, grpc, line, spans) = (0, 0, false, None, None, None);
        Self { started, method, service, route, status, attempts, is_grpc, grpc, line, spans }
    }

    /// A try at an instance begins; says what `traceparent` it carries if spans are made.
    pub(crate) fn call(
        &mut self,
        picked: &Picked<SocketAddr>,
    ) -> Option<[u8; TraceContext::LENGTH]> {
        let spans = self.spans.as_mut()?;
        let service = self.service.as_ref().map_or("", |name| name.as_str());
        spans.call(service, picked, u32::from(self.attempts.saturating_sub(1)));
        spans.traceparent()
    }

    /// What the end of a try did to its instance.
    pub(crate) fn effect(&mut self, effect: Effect) {
        if let Some(spans) = &self.spans {
            spans.effect(effect);
        }
    }

    /// A second try begins beside the first; says what `traceparent` it carries if spans are made.
    pub(crate) fn hedge(
        &mut self,
        picked: &Picked<SocketAddr>,
    ) -> Option<[u8; TraceContext::LENGTH]> {
        let spans = self.spans.as_mut()?;
        let service = self.service.as_ref().map_or("", |name| name.as_str());
        spans.hedge(service, picked, u32::from(self.attempts.saturating_sub(1)))
    }

    /// One of two tries has an answer, and the other is given up.
    pub(crate) fn hedge_ended(&mut self, is_second: bool) {
        if let Some(spans) = &mut self.spans {
            spans.hedge_ended(is_second);
        }
    }

    /// Notes a decision on the request's span.
    pub(crate) fn note(&mut self, key: &'static str, value: &str) {
        if let Some(spans) = &self.spans {
            spans.note(key, value);
        }
    }

    /// The try's answer.
    pub(crate) fn answered(&mut self, status: u16, headers: Option<&HeaderMap>) {
        if let Some(spans) = &mut self.spans {
            spans.answered(status, headers.unwrap_or(&HeaderMap::new()));
        }
    }

    /// The try came to nothing.
    pub(crate) fn call_failed(&mut self, why: &'static str) {
        if let Some(spans) = &mut self.spans {
            spans.failed(why);
        }
    }

    /// The head or the trailers of the answer that is passed on; gRPC's status is in one of them.
    pub(crate) fn grpc_status(&mut self, headers: &HeaderMap) {
        if self.is_grpc && self.grpc.is_none() {
            self.grpc = grpc_status(headers);
        }
    }

    /// The trailers of the answer that is passed on.
    pub(crate) fn trailers(&mut self, trailers: &HeaderMap) {
        self.grpc_status(trailers);
        if let Some(spans) = &mut self.spans {
            spans.trailers(trailers);
        }
    }

    /// The answer is cut off.
    pub(crate) fn broke(&mut self) {
        if let Some(spans) = &mut self.spans {
            spans.broke();
        }
    }

    #[must_use]
    pub(crate) fn with(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// An answer of the gateway's own to a gRPC call.
    #[must_use]
    pub(crate) fn with_code(mut self, code: Code) -> Self {
        self.grpc = u8::try_from(code.grpc()).ok();
        self
    }

    /// gRPC's status by its name, if it is known.
    pub(crate) fn grpc_name(&self) -> Option<&'static str> {
        self.grpc.map(grpc_name)
    }

    /// Counts and logs the request. A status of 0 is a client that left before the answer (499).
    pub(crate) fn finish(mut self, shared: &Shared, now: Instant) {
        let spans = self.spans.take();
        if self.status == 0 {
            // Spans that are dropped say that it was cancelled.
            self.status = 499;
        } else if let Some(spans) = spans {
            spans.end(self.status);
        }
        let took = now.duration_since(self.started);
        shared.metrics.request(&self, took);
        if let (Some(log), Some(line)) = (&shared.log, self.line.take()) {
            log.write(&line, &self, took, shared);
        }
    }
}

#[cfg(test)]
impl Record {
    #[expect(clippy::disallowed_methods, reason = "any instant does")]
    pub(crate) fn for_tests(status: u16) -> Self {
        let started = Instant::from_std(std::time::Instant::now());
        Self { status, ..Self::new(started, Method::Get, None, None) }
    }
}
