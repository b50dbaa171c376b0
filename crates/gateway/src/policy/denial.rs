//! An answer the gateway gives by itself.

use std::time::Duration;

use regatta_core::{Code, Problem};
use regatta_resilience::concurrency::Rejected;
use regatta_traffic::cluster::PickError;

use super::whole_seconds;

/// An error answer of the gateway's own: a problem, and the header fields that belong to it.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    /// Boxed, so that results which may be one stay small.
    pub(crate) problem: Box<Problem>,
    pub(crate) fields: Vec<(&'static str, String)>,
}

impl Denial {
    pub(crate) fn new(problem: Problem) -> Self {
        Self { problem: Box::new(problem), fields: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub(crate) fn status(&self) -> u16 {
        self.problem.status
    }

    /// The gRPC code of the same meaning.
    pub(crate) fn code(&self) -> Code {
        match self.problem.status {
            // A path that leads nowhere is a method that nobody implements (gRPC over HTTP/2).
            404 => Code::Unimplemented,
            status => Code::from_http_status(status).unwrap_or(Code::Unknown),
        }
    }

    /// The problem as JSON, with the request's trace id.
    pub(crate) fn body(&self, trace_id: Option<&str>) -> String {
        match trace_id {
            Some(id) => (*self.problem).clone().with_member("trace_id", id).to_json(),
            None => self.problem.to_json(),
        }
    }

    pub(crate) fn no_service(name: &str) -> Self {
        let shown: String = name.chars().take(63).collect();
        Self::new(Problem::of(
            Code::NotFound,
            format!(
                "no service `{shown}` is offered here; ask /{{service}}/{{path}} and list the \
                 service under `services` in regatta.yaml"
            ),
        ))
        .map(|problem| problem.with_code("unknown_service"))
    }

    pub(crate) fn no_instance(service: &str, why: &PickError) -> Self {
        let wait = why.retry_after().map_or(1, |wait| whole_seconds(wait).clamp(1, 3600));
        Self::new(Problem::of(
            Code::Unavailable,
            format!("`{service}` has no healthy instance now; try again"),
        ))
        .map(|problem| problem.with_code("no_healthy_instance").with_member("reason", why.name()))
        .with("Retry-After", wait.to_string())
    }

    pub(crate) fn overloaded(service: &str, why: &Rejected) -> Self {
        let detail = format!("too many requests to `{service}` are in flight; try again");
        Self::new(Problem::of(Code::Unavailable, detail))
            .map(|problem| problem.with_code("overloaded").with_member("reason", why.name()))
            .with("Retry-After", "1")
    }

    pub(crate) fn no_keys() -> Self {
        let detail = "the keys of the issuer are not known yet; try again".into();
        Self::new(Problem::of(Code::Unavailable, detail))
            .map(|problem| problem.with_code("keys_unavailable"))
            .with("Retry-After", "1")
    }

    pub(crate) fn head_too_slow() -> Self {
        let detail = "the request's head did not come in time; send it without pauses".into();
        Self::new(Problem::new(408, "head_too_slow", "Request timeout", detail))
    }

    pub(crate) fn too_many_connections() -> Self {
        let detail = "all connections of this gateway are taken; try again".into();
        Self::new(Problem::of(Code::Unavailable, detail))
            .map(|problem| problem.with_code("too_many_connections"))
            .with("Retry-After", "1")
    }

    pub(crate) fn body_too_slow() -> Self {
        let detail = "the body stopped coming; send it without pauses".into();
        Self::new(Problem::new(408, "body_too_slow", "Request timeout", detail))
    }

    pub(crate) fn timed_out(service: &str, after: Duration) -> Self {
        Self::new(Problem::of(
            Code::DeadlineExceeded,
            format!("`{service}` did not answer within {} ms", after.as_millis()),
        ))
        .map(|problem| problem.with_code("upstream_timeout"))
    }

    pub(crate) fn bad_upstream(service: &str, what: &str) -> Self {
        let detail = format!("`{service}` gave no valid answer: {what}");
        Self::new(Problem::new(502, "bad_upstream", "Bad gateway", detail))
    }

    pub(crate) fn map(mut self, change: impl FnOnce(Problem) -> Problem) -> Self {
        self.problem = Box::new(change(*self.problem));
        self
    }
}

impl From<crate::http1::Refusal> for Denial {
    fn from(refusal: crate::http1::Refusal) -> Self {
        let (code, title) = match refusal.status() {
            400 => ("malformed_request", "Bad request"),
            405 => ("method_not_allowed", "Method not allowed"),
            413 => ("body_too_long", "Content too large"),
            414 => ("target_too_long", "URI too long"),
            417 => ("unknown_expectation", "Expectation failed"),
            431 => ("head_too_long", "Request header fields too large"),
            _ => ("unknown_version", "HTTP version not supported"),
        };
        Self::new(Problem::new(refusal.status(), code, title, refusal.detail().into()))
    }
}
