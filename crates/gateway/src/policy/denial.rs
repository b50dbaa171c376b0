//! An answer the gateway gives by itself.

use std::time::Duration;

use regatta_core::{Code, Problem};
use regatta_resilience::concurrency::Rejected;
use regatta_traffic::cluster::PickError;
use regatta_traffic::retry_info;

use super::whole_seconds;
use crate::http1::Refusal;

/// An error answer of the gateway's own: a problem, and the header fields that belong to it.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    /// Boxed, so that results which may be one stay small.
    pub(crate) problem: Box<Problem>,
    pub(crate) fields: Vec<(&'static str, String)>,
    again: Option<Again>,
}

/// When a call may be repeated, as far as that is known.
#[derive(Clone, Copy, Debug)]
enum Again {
    After(Duration),
    /// It may have been begun, and nobody knows how it ended.
    Never,
}

impl Denial {
    pub(crate) fn new(problem: Problem) -> Self {
        Self { problem: Box::new(problem), fields: Vec::new(), again: None }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Says when to come back: `Retry-After` in whole seconds, 1 at least, and to a gRPC client in
    /// milliseconds.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.again = Some(Again::After(wait));
        self.with("Retry-After", whole_seconds(wait).max(1).to_string())
    }

    /// The fields of an answer of trailers only, as gRPC has it.
    pub(crate) fn grpc_fields(&self) -> Vec<(&'static str, String)> {
        let (code, message) = (self.code(), &self.problem.detail);
        let mut fields = self.fields.clone();
        fields.push(("grpc-status", code.grpc().to_string()));
        fields.push(("grpc-message", crate::grpc::encode_message(message)));
        match self.again {
            None => (),
            Some(Again::Never) => fields.push((retry_info::PUSHBACK, "-1".to_owned())),
            Some(Again::After(wait)) => {
                // Rounded up: who comes back then is let in.
                let millis = wait.as_nanos().div_ceil(1_000_000).max(1);
                fields.push((retry_info::PUSHBACK, millis.to_string()));
                fields.push((retry_info::DETAILS, retry_info::field(code, message, wait)));
            }
        }
        fields
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
        const SECOND: Duration = Duration::from_secs(1);
        let wait = why.retry_after().map_or(SECOND, |wait| wait.clamp(SECOND, SECOND * 3600));
        Self::new(Problem::of(
            Code::Unavailable,
            format!("`{service}` has no healthy instance now; try again"),
        ))
        .map(|problem| problem.with_code("no_healthy_instance").with_member("reason", why.name()))
        .retry_after(wait)
    }

    pub(crate) fn overloaded(service: &str, why: &Rejected) -> Self {
        let detail = format!("too many requests to `{service}` are in flight; try again");
        Self::new(Problem::of(Code::Unavailable, detail))
            .map(|problem| problem.with_code("overloaded").with_member("reason", why.name()))
            .retry_after(Duration::from_secs(1))
    }

    pub(crate) fn no_keys() -> Self {
        let detail = "the keys of the issuer are not known yet; try again".into();
        Self::new(Problem::of(Code::Unavailable, detail))
            .map(|problem| problem.with_code("keys_unavailable"))
            .retry_after(Duration::from_secs(1))
    }

    pub(crate) fn head_too_slow() -> Self {
        let detail = "the request's head did not come in time; send it without pauses".into();
        Self::new(Problem::new(408, "head_too_slow", "Request timeout", detail))
    }

    pub(crate) fn too_many_connections() -> Self {
        let detail = "all connections of this gateway are taken; try again".into();
        Self::new(Problem::of(Code::Unavailable, detail))
            .map(|problem| problem.with_code("too_many_connections"))
            .retry_after(Duration::from_secs(1))
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

    /// The service may have begun what it was asked for.
    pub(crate) fn bad_upstream(service: &str, what: &str) -> Self {
        // UNAVAILABLE without a message says that nothing was begun, unless it pushes back.
        Self { again: Some(Again::Never), ..Self::untaken(service, what) }
    }

    /// The service says that it has not looked at the request.
    pub(crate) fn untaken(service: &str, what: &str) -> Self {
        let detail = format!("`{service}` gave no valid answer: {what}");
        Self::new(Problem::new(502, "bad_upstream", "Bad gateway", detail))
    }

    pub(crate) fn map(mut self, change: impl FnOnce(Problem) -> Problem) -> Self {
        self.problem = Box::new(change(*self.problem));
        self
    }
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        let (code, title) = match refusal.status() {
            400 => ("malformed_request", "Bad request"),
            405 => ("method_not_allowed", "Method not allowed"),
            413 => ("body_too_long", "Content too large"),
            414 => ("target_too_long", "URI too long"),
            417 => ("unknown_expectation", "Expectation failed"),
            431 => ("head_too_long", "Request header fields too large"),
            _ => ("unknown_version", "HTTP version not supported"),
        };
        let problem = Problem::new(refusal.status(), code, title, refusal.detail().into());
        match refusal {
            Refusal::Method => Self::new(problem).with("Allow", Refusal::SERVED),
            _ => Self::new(problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(denial: &Denial, name: &str) -> Option<String> {
        let fields = denial.grpc_fields();
        fields.into_iter().find(|field| field.0 == name).map(|field| field.1)
    }

    #[test]
    fn a_grpc_client_is_told_to_the_millisecond_when_to_come_back() {
        let problem = Problem::of(Code::ResourceExhausted, "too many".to_owned());
        let denial = Denial::new(problem).retry_after(Duration::from_micros(1_500_100));
        assert_eq!(field(&denial, "grpc-status").as_deref(), Some("8"));
        assert_eq!(field(&denial, "Retry-After").as_deref(), Some("2"));
        assert_eq!(field(&denial, retry_info::PUSHBACK).as_deref(), Some("1501"));
        let details = field(&denial, retry_info::DETAILS).unwrap();
        assert_eq!(retry_info::read(details.as_bytes()), Some(Duration::from_micros(1_500_100)));
    }

    #[test]
    fn every_refusal_that_says_retry_after_says_so_to_grpc_too() {
        let refusals = [
            Denial::no_instance("a", &PickError::AllTried),
            Denial::overloaded("a", &Rejected::Full { limit: 1 }),
            Denial::no_keys(),
        ];
        for denial in refusals {
            assert_eq!(field(&denial, "grpc-status").as_deref(), Some("14"));
            assert_eq!(field(&denial, retry_info::PUSHBACK).as_deref(), Some("1000"));
        }
    }

    #[test]
    fn what_may_have_been_begun_is_not_to_be_repeated() {
        let denial = Denial::bad_upstream("a", "the connection broke");
        assert_eq!(field(&denial, "grpc-status").as_deref(), Some("14"));
        assert_eq!(field(&denial, retry_info::PUSHBACK).as_deref(), Some("-1"));
        assert!(field(&Denial::untaken("a", "no"), retry_info::PUSHBACK).is_none());
    }
}
