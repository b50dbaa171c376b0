//! Errors that handlers return, over REST and gRPC alike.

use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use regatta_core::Code;
use regatta_traffic::retry_info::PUSHBACK;
use serde_json::Value;
use tonic::metadata::MetadataMap;
use tonic_types::{ErrorDetails, StatusExt};

/// What a handler answers when it cannot do what was asked: problem details over REST (RFC 9457,
/// `application/problem+json`), the code of the same meaning over gRPC.
///
/// Convert a domain's errors into it once, and return it from both kinds of handler:
///
/// ```
/// use regatta::{Code, Problem};
///
/// struct UnknownUser(i32);
///
/// impl From<UnknownUser> for Problem {
///     fn from(UnknownUser(id): UnknownUser) -> Self {
///         Problem::of(Code::NotFound, format!("there is no user `{id}`")).with_code("user_not_found")
///     }
/// }
///
/// let status = tonic::Status::from(Problem::from(UnknownUser(7)));
/// assert_eq!(status.code(), tonic::Code::NotFound);
/// ```
// Boxed: a `Result<_, Problem>` is moved along every handler, and errors are rare.
#[derive(Clone, PartialEq)]
pub struct Problem(Box<Inner>);

#[derive(Clone, PartialEq)]
struct Inner {
    http: regatta_core::Problem,
    /// The code it was made of; two codes may share one HTTP status, so it cannot be recovered.
    grpc: Option<Code>,
}

/// A marker in a response's extensions: its body is a problem already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IsProblem;

impl Problem {
    /// A problem with a status of HTTP's own, such as 405 or 413.
    ///
    /// `code` is stable and machine-readable, `title` does not change from case to case, `detail`
    /// says what happened in this case and what to do.
    pub fn new(
        status: u16,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        regatta_core::Problem::new(status, code, title, detail.into()).into()
    }

    /// A problem of one of the codes that gRPC has too.
    pub fn of(code: Code, detail: impl Into<String>) -> Self {
        let http = regatta_core::Problem::of(code, detail.into());
        Self(Box::new(Inner { http, grpc: Some(code) }))
    }

    /// The caller sent something that is wrong whatever the state of the system: 400.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::of(Code::InvalidArgument, detail)
    }

    /// There is no such thing: 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::of(Code::NotFound, detail)
    }

    /// The thing to be created is there already: 409.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::of(Code::AlreadyExists, detail)
    }

    /// Cannot serve now, a retry may help: 503.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::of(Code::Unavailable, detail)
    }

    /// A bug of ours: 500. Logs the cause with its chain; the client learns only that it happened.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %regatta_core::Chain(cause), "a request failed");
        Self::of(Code::Internal, "the service failed to answer; the trace id finds the cause")
    }

    /// The same problem with a code of the service's own.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.0.http = self.0.http.with_code(code);
        self
    }

    /// The same problem with this short text in the member `error`; the title unless set.
    #[must_use]
    pub fn with_error(mut self, error: &'static str) -> Self {
        self.0.http = self.0.http.with_error(error);
        self
    }

    /// The same problem with one more member; a standard member is not replaced.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.http = self.0.http.with_member(name, value);
        self
    }

    /// HTTP status, 400 to 599.
    pub fn status(&self) -> u16 {
        self.0.http.status
    }

    /// Stable machine-readable code.
    pub fn code(&self) -> &str {
        &self.0.http.code
    }

    /// What happened in this case and what to do.
    pub fn detail(&self) -> &str {
        &self.0.http.detail
    }
}

impl From<regatta_core::Problem> for Problem {
    fn from(problem: regatta_core::Problem) -> Self {
        Self(Box::new(Inner { http: problem, grpc: None }))
    }
}

impl From<Problem> for regatta_core::Problem {
    fn from(problem: Problem) -> Self {
        problem.0.http
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = http::StatusCode::from_u16(self.0.http.status).unwrap_or_default();
        let media = HeaderValue::from_static(regatta_core::Problem::MEDIA_TYPE);
        let mut response =
            (status, [(header::CONTENT_TYPE, media)], self.0.http.to_json()).into_response();
        let headers = response.headers_mut();
        if status == http::StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // The member and the header say the same, so a client may read either.
        if let Some(seconds) = self.0.http.members.get("retry_after").and_then(Value::as_u64) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(IsProblem);
        response
    }
}

impl From<Problem> for tonic::Status {
    /// The gRPC code of the problem's status, the detail as the message, and the problem's own
    /// code as the reason of a `google.rpc.ErrorInfo`. The member `retry_after`, in seconds, is a
    /// `google.rpc.RetryInfo` too, and the metadata `retry-after` and `grpc-retry-pushback-ms`.
    fn from(problem: Problem) -> Self {
        let Inner { http: problem, grpc } = *problem.0;
        let code = grpc.or_else(|| Code::from_http_status(problem.status)).unwrap_or(Code::Unknown);
        let metadata: std::collections::HashMap<String, String> = problem
            .members
            .iter()
            .map(|(name, value)| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                (name.clone(), text)
            })
            .collect();
        let seconds = problem.members.get("retry_after").and_then(Value::as_u64);
        let mut details = ErrorDetails::with_error_info(problem.code.to_uppercase(), "", metadata);
        let mut fields = MetadataMap::new();
        if let Some(seconds) = seconds {
            details.set_retry_info(Some(Duration::from_secs(seconds)));
            fields.insert("retry-after", seconds.into());
            fields.insert(PUSHBACK, seconds.saturating_mul(1000).into());
        }
        let code = tonic::Code::from_i32(code.grpc());
        Self::with_error_details_and_metadata(code, problem.detail, details, fields)
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.http, f)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.http.status, self.0.http.title, self.0.http.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_its_status_and_media_type() {
        let response = Problem::not_found("no user `7`").into_response();
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }

    #[test]
    fn says_when_to_retry_and_how_to_authenticate_in_headers_too() {
        let busy = Problem::unavailable("busy").with_member("retry_after", 7).into_response();
        assert_eq!(busy.headers()["retry-after"], "7");
        let unknown = Problem::of(Code::Unauthenticated, "who are you?").into_response();
        assert_eq!(unknown.headers()["www-authenticate"], "Bearer");
    }

    #[test]
    fn keeps_its_code_over_grpc() {
        for code in (1..=16).filter_map(Code::from_grpc) {
            let status = tonic::Status::from(Problem::of(code, "why").with_code("because"));
            assert_eq!(Code::from_grpc(i32::from(status.code())), Some(code));
            assert_eq!(status.message(), "why");
            let info = status.get_error_details().error_info().cloned().unwrap();
            assert_eq!(info.reason, "BECAUSE");
        }
    }

    #[test]
    fn says_when_to_retry_to_a_grpc_client_too() {
        let busy = Problem::unavailable("busy").with_member("retry_after", 7);
        let status = tonic::Status::from(busy);
        assert_eq!(status.metadata().get("retry-after").unwrap(), "7");
        assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "7000");
        let delay = status.get_details_retry_info().unwrap().retry_delay;
        assert_eq!(delay, Some(Duration::from_secs(7)));
        // As our client reads it.
        let headers = status.into_http::<()>().into_parts().0.headers;
        let details = headers[regatta_traffic::retry_info::DETAILS].as_bytes();
        assert_eq!(regatta_traffic::retry_info::read(details), delay);
        let status = tonic::Status::from(Problem::unavailable("busy"));
        assert!(status.metadata().is_empty() && status.get_details_retry_info().is_none());
    }

    #[test]
    fn a_status_that_only_http_has_finds_its_grpc_code() {
        let status = tonic::Status::from(Problem::new(413, "body_too_large", "Too large", "2 MiB"));
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    }
}
