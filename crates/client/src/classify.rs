//! Reads from messages what [`verdict`] judges.

use std::time::SystemTime;

use http::{HeaderMap, Method, StatusCode};
use regatta_traffic::retry_info::{DETAILS, PUSHBACK};
use regatta_traffic::verdict::{self, Head, Verdict};

/// Judges the head of an HTTP response.
pub(crate) fn http(status: StatusCode, headers: &HeaderMap) -> Verdict {
    verdict::http(&head(status, headers), wall)
}

/// Judges the head of a gRPC response. A status among the headers came before any message.
pub(crate) fn grpc(status: StatusCode, headers: &HeaderMap) -> Verdict {
    verdict::grpc(&head(status, headers), wall)
}

fn head(status: StatusCode, headers: &HeaderMap) -> Head<'_> {
    let value = |name| headers.get(name).map(http::HeaderValue::as_bytes);
    Head {
        status: status.as_u16(),
        retry_after: value("retry-after"),
        grpc_status: value(GRPC_STATUS),
        grpc_pushback: value(PUSHBACK),
        grpc_details: value(DETAILS),
    }
}

/// Whether a gRPC answer has begun without saying how the call went: its frames will.
pub(crate) fn is_open<B: http_body::Body>(response: &http::Response<B>) -> bool {
    response.status() == StatusCode::OK
        && !response.headers().contains_key(GRPC_STATUS)
        && !response.body().is_end_stream()
}

/// How the call went, as the end of such an answer says.
pub(crate) fn grpc_status(trailers: &HeaderMap) -> Option<&[u8]> {
    trailers.get(GRPC_STATUS).map(http::HeaderValue::as_bytes)
}

const GRPC_STATUS: &str = "grpc-status";

/// Whether doing this twice is as good as once.
pub(crate) fn is_idempotent(method: &Method, headers: &HeaderMap) -> bool {
    verdict::is_idempotent(method.as_str()) || has_key(headers)
}

/// Whether the service does this once, however often it is sent.
pub(crate) fn has_key(headers: &HeaderMap) -> bool {
    headers.contains_key(IDEMPOTENCY_KEY)
}

/// The header that makes any call safe to repeat.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What `Retry-After` asks for.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<std::time::Duration> {
    let value = headers.get(http::header::RETRY_AFTER)?;
    verdict::retry_after(value.as_bytes(), wall)
}

#[expect(clippy::disallowed_methods, reason = "a date in `Retry-After` is one of the wall clock")]
fn wall() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use regatta_resilience::retry::Failure;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn each_field_is_read_where_it_belongs() {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let later = |seconds| Some(Failure::Refused { retry_after: Some(seconds) });
        let busy = headers(&[("retry-after", "7")]);
        assert_eq!(http(unavailable, &busy).failure, later(Duration::from_secs(7)));
        assert_eq!(retry_after(&busy), Some(Duration::from_secs(7)));
        let pushed = headers(&[("grpc-status", "14"), (PUSHBACK, "250")]);
        assert_eq!(grpc(StatusCode::OK, &pushed).failure, later(Duration::from_millis(250)));
        assert!(grpc(StatusCode::OK, &pushed).is_turned_away);
    }

    #[test]
    fn a_key_makes_a_post_repeatable() {
        let none = HeaderMap::new();
        assert!(is_idempotent(&Method::GET, &none) && is_idempotent(&Method::DELETE, &none));
        assert!(!is_idempotent(&Method::POST, &none) && !is_idempotent(&Method::PATCH, &none));
        assert!(is_idempotent(&Method::POST, &headers(&[(IDEMPOTENCY_KEY, "a")])));
    }
}
