//! An error as its client sees it: RFC 9457 problem details.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{Code, Context};

/// Problem details (RFC 9457), with the members `code`, `trace_id` and `error` beside the standard
/// ones. What the client may know, and nothing else; causes go to the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// HTTP status, 400 to 599.
    pub status: u16,
    /// Stable machine-readable code, such as `not_found` or `payment_declined`.
    pub code: Cow<'static, str>,
    /// Short text that does not change from case to case.
    pub title: Cow<'static, str>,
    /// What happened in this case and what to do.
    pub detail: String,
    /// The value of the member `error`; the title unless set.
    pub error: Option<Cow<'static, str>>,
    /// Further members, such as `retry_after`.
    pub members: Map<String, Value>,
}

impl Problem {
    /// The media type of [`Problem::to_json`].
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// A problem with a status of HTTP's own, such as 405 or 413.
    pub fn new(status: u16, code: &'static str, title: &'static str, detail: String) -> Self {
        let (code, title) = (Cow::Borrowed(code), Cow::Borrowed(title));
        Self { status, code, title, detail, error: None, members: Map::new() }
    }

    /// A problem of one of the codes that gRPC has too.
    pub fn of(code: Code, detail: String) -> Self {
        let title = match code {
            Code::Cancelled => "Cancelled",
            Code::Unknown | Code::Internal | Code::DataLoss => "Internal error",
            Code::InvalidArgument => "Invalid argument",
            Code::DeadlineExceeded => "Deadline exceeded",
            Code::NotFound => "Not found",
            Code::AlreadyExists => "Already exists",
            Code::PermissionDenied => "Insufficient permissions",
            Code::ResourceExhausted => "Limit exceeded",
            Code::FailedPrecondition => "Failed precondition",
            Code::Aborted => "Conflict",
            Code::OutOfRange => "Out of range",
            Code::Unimplemented => "Not implemented",
            Code::Unavailable => "Unavailable",
            Code::Unauthenticated => "Unauthenticated",
        };
        Self::new(code.http_status(), code.name(), title, detail)
    }

    /// The same problem with a code of the service's own.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = Cow::Borrowed(code);
        self
    }

    /// The same problem with this short text in the member `error`.
    #[must_use]
    pub fn with_error(mut self, error: &'static str) -> Self {
        self.error = Some(Cow::Borrowed(error));
        self
    }

    /// The same problem with one more member; a standard member is not replaced.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// The body, with the trace id of the current [`Context`].
    pub fn to_json(&self) -> String {
        let context = Context::current();
        let trace = context.as_ref().and_then(|context| context.trace.as_ref());
        let mut members = self.members.clone();
        members.insert("type".into(), "about:blank".into());
        members.insert("title".into(), self.title.as_ref().into());
        members.insert("status".into(), self.status.into());
        members.insert("detail".into(), self.detail.as_str().into());
        members.insert("code".into(), self.code.as_ref().into());
        members.insert("error".into(), self.error.as_ref().unwrap_or(&self.title).as_ref().into());
        if let Some(trace) = trace {
            members.insert("trace_id".into(), trace.trace_id_hex().into());
        }
        Value::Object(members).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_standard_members_and_ours() {
        let problem = Problem::of(Code::ResourceExhausted, "60 a minute".into())
            .with_error("Rate limit exceeded")
            .with_member("retry_after", 7)
            .with_member("status", 200);
        let body: Value = serde_json::from_str(&problem.to_json()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "about:blank", "title": "Limit exceeded", "status": 429,
                "detail": "60 a minute", "code": "resource_exhausted",
                "error": "Rate limit exceeded", "retry_after": 7,
            })
        );
    }

    #[test]
    fn names_the_trace_it_happened_in() {
        let trace = crate::TraceContext::try_new(5, 6, true);
        let context = std::sync::Arc::new(Context { trace, ..Context::default() });
        let future = std::pin::pin!(
            context.scope(async { Problem::of(Code::NotFound, String::new()).to_json() })
        );
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(body) = future.poll(&mut cx) else { panic!("is ready") };
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["trace_id"], "00000000000000000000000000000005");
    }
}
