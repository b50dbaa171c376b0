//! What an answer, or none, says about sending a request again.

use std::time::{Duration, SystemTime};

use regatta_core::Code;
pub(crate) use regatta_resilience::retry::Failure;
use regatta_traffic::cluster::Outcome;

/// Whether doing it twice is as good as once (RFC 9110, section 9.2.2).
pub(crate) fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE" | "TRACE")
}

/// Whether a status says that the upstream cannot serve now.
pub(crate) fn is_unavailable(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// What a status says about the instance: any 5xx counts against it but 501, which says what it
/// never does.
pub(crate) fn outcome(status: u16) -> Outcome {
    match status {
        501 => Outcome::Success,
        500..=599 => Outcome::Failure,
        _ => Outcome::Success,
    }
}

/// What a gRPC status says about the instance; the same, by the statuses that stand for its codes.
pub(crate) fn grpc_outcome(code: Code) -> Outcome {
    outcome(code.http_status())
}

/// How long `Retry-After` asks to wait, in seconds or until a date (RFC 9110, section 10.2.3).
/// What cannot be read counts for nothing.
pub(crate) fn retry_after(value: &[u8], wall: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(wall).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_that_are_safe_to_repeat_are_idempotent() {
        for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
            assert!(is_idempotent(method), "{method}");
        }
        for method in ["POST", "PATCH", "BREW", "get"] {
            assert!(!is_idempotent(method), "{method}");
        }
    }

    #[test]
    fn only_answers_of_a_server_that_cannot_serve_are_repeated() {
        let repeated: Vec<u16> = (100..600).filter(|status| is_unavailable(*status)).collect();
        assert_eq!(repeated, [502, 503, 504]);
    }

    #[test]
    fn answers_of_a_server_that_fails_count_against_it() {
        let against: Vec<u16> =
            (100..600).filter(|status| outcome(*status) == Outcome::Failure).collect();
        assert_eq!(against.len(), 99, "all 5xx but one");
        assert!(against.contains(&500) && !against.contains(&501));
        for code in [Code::Internal, Code::Unavailable, Code::DeadlineExceeded] {
            assert_eq!(grpc_outcome(code), Outcome::Failure, "{code:?}");
        }
        for code in [Code::Unimplemented, Code::NotFound, Code::ResourceExhausted] {
            assert_eq!(grpc_outcome(code), Outcome::Success, "{code:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let read = |text: &str| retry_after(text.as_bytes(), wall);
        assert_eq!(read(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:07 GMT"), Some(Duration::ZERO));
        for text in ["soon", "-1", "", "1.5"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
