//! What is remembered about a request for metrics and the access log.

use std::net::IpAddr;
use std::sync::Arc;

use regatta_core::ServiceName;
use tokio::time::Instant;

use crate::access_log::Line;
use crate::policy::{Plan, Verdict};
use crate::shared::{Shared, wall_clock};

/// A request under way. Counted and logged once, by [`Record::finish`].
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) started: Instant,
    pub(crate) method: Method,
    pub(crate) service: Option<ServiceName>,
    pub(crate) route: Option<Arc<str>>,
    pub(crate) status: u16,
    pub(crate) attempts: u8,
    line: Option<Box<Line>>,
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
    pub(crate) fn begin(
        shared: &Shared,
        plan: &Plan<'_>,
        method: &str,
        path: &str,
        client: IpAddr,
        started: Instant,
    ) -> Self {
        let service = match &plan.verdict {
            Verdict::Forward { upstream, .. } => Some(upstream.name.clone()),
            _ => None,
        };
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
        let method = Method::of(method);
        Self { started, method, service, route, status: 0, attempts: 0, line }
    }

    /// A request that could not be read.
    pub(crate) fn refused(_shared: &Shared, started: Instant) -> Self {
        let method = Method::Other;
        Self { started, method, service: None, route: None, status: 0, attempts: 0, line: None }
    }

    #[must_use]
    pub(crate) fn with(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Counts and logs the request. A status of 0 is a client that left before the answer (499).
    pub(crate) fn finish(mut self, shared: &Shared, now: Instant) {
        if self.status == 0 {
            self.status = 499;
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
        let method = Method::Get;
        Self { started, method, service: None, route: None, status, attempts: 0, line: None }
    }
}
