//! What an answer says about the instance and about repeating the call.
//!
//! # Source
//!
//! RFC 9110, sections 9.2.2, 10.2.3 and 15; gRPC proposal A6, "Pushback"; gRPC, "HTTP to gRPC
//! Status Code Mapping"; the table of codes and statuses in `regatta_core::Code`.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use regatta_core::Code;
use regatta_resilience::retry::Failure;
use regatta_traffic::cluster::Outcome;

/// What the head of a response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// For the instance's breaker.
    pub(crate) outcome: Outcome,
    /// For the retry policy; none for an answer to be handed on with no further thought.
    pub(crate) failure: Option<Failure>,
}

const ANSWERED: Verdict = Verdict { outcome: Outcome::Success, failure: None };

/// Judges the head of an HTTP response.
///
/// A 5xx counts against the instance, but 501, which says what it never does. 502, 503 and 504 say
/// that it could not serve *now*; 500 says that this request fails, and will again.
pub(crate) fn http(status: StatusCode, headers: &HeaderMap) -> Verdict {
    match status.as_u16() {
        502..=504 => {
            let retry_after = retry_after(headers);
            let failure = Some(Failure::Refused { retry_after });
            Verdict { outcome: Outcome::Failure, failure }
        }
        501 => ANSWERED,
        500.. => Verdict { outcome: Outcome::Failure, failure: Some(Failure::Final) },
        _ => ANSWERED,
    }
}

/// Judges the head of a gRPC response. A status among the headers came before any message.
///
/// That does not say that the call was not begun: a handler that fails before its first message
/// answers the same way.
pub(crate) fn grpc(status: StatusCode, headers: &HeaderMap) -> Verdict {
    let number = headers.get(GRPC_STATUS).and_then(|value| value.to_str().ok());
    let Some(number) = number.and_then(|text| text.parse::<i32>().ok()) else {
        return match status.as_u16() {
            200 => ANSWERED,
            // A proxy that passed the call on and got no answer it could use.
            502 | 504 => Verdict { outcome: Outcome::Failure, failure: Some(Failure::Lost) },
            _ => http(status, headers),
        };
    };
    match Code::from_grpc(number) {
        Some(Code::Unavailable) => {
            let failure = Some(match pushback(headers) {
                Pushback::Never => Failure::Final,
                Pushback::After(wait) => Failure::Refused { retry_after: Some(wait) },
                Pushback::Unsaid => Failure::Refused { retry_after: None },
            });
            Verdict { outcome: Outcome::Failure, failure }
        }
        Some(code) if code.http_status() >= 500 && code != Code::Unimplemented => {
            Verdict { outcome: Outcome::Failure, failure: Some(Failure::Final) }
        }
        _ => ANSWERED,
    }
}

/// Whether a gRPC answer has begun without saying how the call went: its first frame will.
pub(crate) fn is_open<B: http_body::Body>(response: &http::Response<B>) -> bool {
    response.status() == StatusCode::OK
        && !response.headers().contains_key(GRPC_STATUS)
        && !response.body().is_end_stream()
}

/// What the first frame of such an answer says: a message, or trailers in place of one.
pub(crate) fn first_frame(trailers: Option<&HeaderMap>) -> Outcome {
    trailers.map_or(Outcome::Success, |trailers| match trailers.contains_key(GRPC_STATUS) {
        true => grpc(StatusCode::OK, trailers).outcome,
        false => Outcome::Failure,
    })
}

const GRPC_STATUS: &str = "grpc-status";

/// Whether doing this twice is as good as once.
pub(crate) fn is_idempotent(method: &Method, headers: &HeaderMap) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS | Method::TRACE
    ) || has_key(headers)
}

/// Whether the service does this once, however often it is sent.
pub(crate) fn has_key(headers: &HeaderMap) -> bool {
    headers.contains_key(IDEMPOTENCY_KEY)
}

/// The header that makes any call safe to repeat.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Reads `Retry-After` in seconds.
///
/// The form with a date is not read: it needs both clocks to agree, and a service that sheds load
/// sends seconds.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
        .map(Duration::from_secs)
}

enum Pushback {
    Unsaid,
    After(Duration),
    Never,
}

fn pushback(headers: &HeaderMap) -> Pushback {
    let Some(value) = headers.get("grpc-retry-pushback-ms") else { return Pushback::Unsaid };
    // Negative or unreadable means: do not retry.
    match value.to_str().ok().and_then(|text| text.parse::<u64>().ok()) {
        Some(millis) => Pushback::After(Duration::from_millis(millis)),
        None => Pushback::Never,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        )])
    }

    fn judged(status: u16) -> Verdict {
        http(StatusCode::from_u16(status).unwrap(), &HeaderMap::new())
    }

    #[test]
    fn what_the_caller_got_wrong_is_never_repeated_and_not_held_against_the_instance() {
        for status in 400..500 {
            assert_eq!(judged(status), ANSWERED, "{status}");
        }
    }

    #[test]
    fn only_what_says_not_now_is_repeated() {
        for status in [502, 503, 504] {
            let failure = Some(Failure::Refused { retry_after: None });
            assert_eq!(judged(status), Verdict { outcome: Outcome::Failure, failure });
        }
        for status in [500, 505, 599] {
            let failure = Some(Failure::Final);
            assert_eq!(judged(status), Verdict { outcome: Outcome::Failure, failure });
        }
        assert_eq!(judged(501), ANSWERED);
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        assert_eq!(retry_after(&headers("retry-after", "7")), Some(Duration::from_secs(7)));
        for text in ["", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "99999999999999999999"] {
            assert_eq!(retry_after(&headers("retry-after", text)), None, "{text}");
        }
    }

    #[test]
    fn grpc_unavailable_before_a_message_says_not_now_unless_the_server_pushes_back() {
        let verdict = |headers: &HeaderMap| grpc(StatusCode::OK, headers).failure;
        let mut unavailable = headers("grpc-status", "14");
        assert_eq!(verdict(&unavailable), Some(Failure::Refused { retry_after: None }));
        unavailable.insert("grpc-retry-pushback-ms", HeaderValue::from_static("250"));
        let retry_after = Some(Duration::from_millis(250));
        assert_eq!(verdict(&unavailable), Some(Failure::Refused { retry_after }));
        unavailable.insert("grpc-retry-pushback-ms", HeaderValue::from_static("-1"));
        assert_eq!(verdict(&unavailable), Some(Failure::Final));
    }

    #[test]
    fn grpc_codes_of_the_caller_are_not_held_against_the_instance() {
        for (code, outcome) in [
            ("0", Outcome::Success),
            ("3", Outcome::Success),
            ("5", Outcome::Success),
            ("12", Outcome::Success),
            ("16", Outcome::Success),
            ("2", Outcome::Failure),
            ("4", Outcome::Failure),
            ("13", Outcome::Failure),
            ("15", Outcome::Failure),
        ] {
            let verdict = grpc(StatusCode::OK, &headers("grpc-status", code));
            assert_eq!(verdict.outcome, outcome, "{code}");
            assert!(!matches!(verdict.failure, Some(Failure::Refused { .. })), "{code}");
        }
        assert_eq!(grpc(StatusCode::OK, &HeaderMap::new()), ANSWERED);
    }

    #[test]
    fn a_proxy_that_passed_a_grpc_call_on_lost_it_and_one_that_did_not_refused_it() {
        let judged = |status, headers: &HeaderMap| {
            let verdict = grpc(StatusCode::from_u16(status).unwrap(), headers);
            assert_eq!(verdict.outcome, Outcome::Failure, "{status}");
            verdict.failure
        };
        let none = HeaderMap::new();
        for status in [502, 504] {
            assert_eq!(judged(status, &none), Some(Failure::Lost), "{status}");
        }
        assert_eq!(judged(503, &none), Some(Failure::Refused { retry_after: None }));
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(
            judged(503, &headers("retry-after", "7")),
            Some(Failure::Refused { retry_after })
        );
        assert_eq!(judged(500, &none), Some(Failure::Final));
    }

    #[test]
    fn a_grpc_status_says_more_than_the_http_status_beside_it() {
        let internal = headers("grpc-status", "13");
        for status in [200, 502, 503, 504] {
            let verdict = grpc(StatusCode::from_u16(status).unwrap(), &internal);
            assert_eq!(verdict.failure, Some(Failure::Final), "{status}");
        }
        let verdict = grpc(StatusCode::SERVICE_UNAVAILABLE, &headers("grpc-status", "5"));
        assert_eq!(verdict, ANSWERED);
    }

    #[test]
    fn an_open_grpc_answer_is_judged_by_its_first_frame() {
        assert_eq!(first_frame(None), Outcome::Success);
        assert_eq!(first_frame(Some(&headers("grpc-status", "0"))), Outcome::Success);
        assert_eq!(first_frame(Some(&headers("grpc-status", "5"))), Outcome::Success);
        assert_eq!(first_frame(Some(&headers("grpc-status", "14"))), Outcome::Failure);
        assert_eq!(first_frame(Some(&HeaderMap::new())), Outcome::Failure);
    }

    #[test]
    fn a_key_makes_a_post_repeatable() {
        let none = HeaderMap::new();
        assert!(is_idempotent(&Method::GET, &none) && is_idempotent(&Method::DELETE, &none));
        assert!(!is_idempotent(&Method::POST, &none) && !is_idempotent(&Method::PATCH, &none));
        assert!(is_idempotent(&Method::POST, &headers(IDEMPOTENCY_KEY, "a")));
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(text in "[ -~]{0,30}") {
            let _ = retry_after(&headers("retry-after", &text));
            let _ = grpc(StatusCode::OK, &headers("grpc-retry-pushback-ms", &text));
            let _ = grpc(StatusCode::OK, &headers("grpc-status", &text));
        }
    }
}
