//! What an answer, or none, says about an instance and about repeating.
//!
//! One classifier for the calls of services and for the gateway, so that both open breakers and
//! repeat calls for the same reasons.
//!
//! # Source
//!
//! RFC 9110, sections 9.2.2, 10.2.3 and 15; gRPC proposal A6 (retries before a message, pushback);
//! gRPC, "HTTP to gRPC Status Code Mapping"; the table of codes in `regatta_core::Code`.

use std::time::{Duration, SystemTime};

use regatta_core::Code;
pub use regatta_resilience::retry::Failure;

use crate::fault::Fault;
use crate::retry_info;

/// What the end of a try says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// For the instance: what went wrong, of which its policies say whether it counts; none for a
    /// good answer.
    pub fault: Option<Fault>,
    /// For the retry policy; none for an answer to be handed on with no further thought.
    pub failure: Option<Failure>,
    /// Whether the other side says that it turned the call away: any call may be repeated then,
    /// also one that must not be done twice.
    pub is_turned_away: bool,
}

/// What the head of an answer has to say, as it stands in its fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'a> {
    /// HTTP's status.
    pub status: u16,
    /// `retry-after`.
    pub retry_after: Option<&'a [u8]>,
    /// `grpc-status`, of an answer without a message.
    pub grpc_status: Option<&'a [u8]>,
    /// `grpc-retry-pushback-ms`.
    pub grpc_pushback: Option<&'a [u8]>,
    /// `grpc-status-details-bin`, where servers that do not push back may say the same.
    pub grpc_details: Option<&'a [u8]>,
}

/// How a try ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Silence {
    /// Nobody listens there: the instance restarts, or is gone and will be taken out.
    Refused,
    /// No connection was made for another reason, or not in time.
    Unreached,
    /// A kept connection closed before it took the call.
    Stale,
    /// The other side says that it has not looked at it (RFC 9113, sections 6.8 and 8.7).
    Untaken,
    /// The connection broke, or what came is no answer.
    Broken,
    /// The time that the policy gives a try was over.
    Late,
    /// The caller's own time was over, which is shorter than the policy's.
    Impatient,
    /// The request's own body broke off, so that the request never was whole.
    Withdrawn,
}

const ANSWERED: Verdict = Verdict { fault: None, failure: None, is_turned_away: false };

const fn of(fault: Fault, failure: Option<Failure>) -> Verdict {
    Verdict { fault: Some(fault), failure, is_turned_away: false }
}

/// Judges the head of an HTTP answer. `wall` is asked only for a `Retry-After` that is a date.
///
/// 502, 503 and 504 say that the instance could not serve *now*; 500 says that this request fails,
/// and will again.
#[must_use]
pub fn http(head: &Head<'_>, wall: impl FnOnce() -> SystemTime) -> Verdict {
    let failure = match head.status {
        ..400 => return ANSWERED,
        502..=504 => {
            let retry_after = head.retry_after.and_then(|value| retry_after(value, wall));
            Some(Failure::Refused { retry_after })
        }
        400..=499 | 501 => None,
        _ => Some(Failure::Final),
    };
    of(Fault::Status(head.status), failure)
}

/// Judges the head of a gRPC answer. A status in it came before any message.
#[must_use]
pub fn grpc(head: &Head<'_>, wall: impl FnOnce() -> SystemTime) -> Verdict {
    let Some(code) = head.grpc_status.and_then(number) else {
        return match head.status {
            200 => ANSWERED,
            // A proxy that passed the call on and got no answer it could use.
            502 | 504 => of(Fault::Status(head.status), Some(Failure::Lost)),
            _ => http(head, wall),
        };
    };
    let Some(code) = i32::try_from(code).ok().and_then(Code::from_grpc) else { return ANSWERED };
    let fault = Fault::Grpc(code);
    match code {
        Code::Unavailable => match head.grpc_pushback.map(number) {
            // Negative or unreadable means: do not retry.
            Some(None) => of(fault, Some(Failure::Final)),
            asked => {
                let pushback = asked.flatten().map(Duration::from_millis);
                let retry_after = pushback.or_else(|| retry_info::read(head.grpc_details?));
                let failure = Some(Failure::Refused { retry_after });
                Verdict { is_turned_away: true, ..of(fault, failure) }
            }
        },
        code if code.http_status() >= 500 && code != Code::Unimplemented => {
            of(fault, Some(Failure::Final))
        }
        _ => of(fault, None),
    }
}

/// Judges a try without an answer.
#[must_use]
pub const fn silence(silence: Silence) -> Verdict {
    let failure = match silence {
        Silence::Refused | Silence::Stale | Silence::Unreached | Silence::Untaken => {
            Failure::Unsent
        }
        Silence::Broken | Silence::Late | Silence::Impatient => Failure::Lost,
        Silence::Withdrawn => Failure::Final,
    };
    of(Fault::Silent(silence), Some(failure))
}

/// Whether doing it twice is as good as once (RFC 9110, section 9.2.2).
#[must_use]
pub fn is_idempotent(method: &str) -> bool {
    is_read(method) || matches!(method, "PUT" | "DELETE" | "TRACE")
}

/// Whether it only reads, so that it may be sent twice at the same time.
#[must_use]
pub fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// How long `Retry-After` asks to wait, in seconds or until a date (RFC 9110, section 10.2.3).
/// What cannot be read counts for nothing.
pub fn retry_after(value: &[u8], wall: impl FnOnce() -> SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return text.parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(wall()).unwrap_or_default())
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::Outcome;
    use crate::fault::FailureOn;

    /// What it says by default, to the breaker and to the retry.
    fn says(verdict: Verdict) -> (Outcome, Option<Failure>) {
        (FailureOn::default().outcome(verdict.fault), verdict.failure)
    }

    const GOOD: (Outcome, Option<Failure>) = (Outcome::Success, None);

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const WALL: Duration = Duration::from_secs(784_111_777);

    fn wall() -> SystemTime {
        SystemTime::UNIX_EPOCH + WALL
    }

    fn judged(status: u16) -> Verdict {
        http(&Head { status, ..Head::default() }, wall)
    }

    fn called(status: u16, grpc_status: Option<&str>, pushback: Option<&str>) -> Verdict {
        let grpc_status = grpc_status.map(str::as_bytes);
        let grpc_pushback = pushback.map(str::as_bytes);
        grpc(&Head { status, grpc_status, grpc_pushback, ..Head::default() }, wall)
    }

    const NOT_NOW: Option<Failure> = Some(Failure::Refused { retry_after: None });

    #[test]
    fn what_the_caller_got_wrong_is_never_repeated_and_not_held_against_the_instance() {
        assert!((100..500).all(|status| says(judged(status)) == GOOD));
        assert!((100..400).all(|status| judged(status) == ANSWERED));
        assert_eq!(judged(429).fault, Some(Fault::Status(429)), "who asks may count it");
    }

    #[test]
    fn only_what_says_not_now_is_repeated() {
        for status in 502..=504 {
            assert_eq!(says(judged(status)), (Outcome::Failure, NOT_NOW));
        }
        for status in [500, 505, 599] {
            assert_eq!(says(judged(status)), (Outcome::Failure, Some(Failure::Final)));
        }
        assert_eq!(says(judged(501)), GOOD);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let read = |text: &str| retry_after(text.as_bytes(), wall);
        assert_eq!(read(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:07 GMT"), Some(Duration::ZERO));
        for text in ["soon", "-1", "", "1.5", "99999999999999999999"] {
            assert_eq!(read(text), None, "{text}");
        }
        let head = Head { status: 503, retry_after: Some(b"7"), ..Head::default() };
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(http(&head, wall).failure, Some(Failure::Refused { retry_after }));
    }

    #[test]
    fn grpc_unavailable_before_a_message_was_turned_away_unless_the_server_pushes_back() {
        let unavailable = called(200, Some("14"), None);
        assert_eq!(unavailable.failure, NOT_NOW);
        assert!(unavailable.is_turned_away && says(unavailable).0 == Outcome::Failure);
        let retry_after = Some(Duration::from_millis(250));
        let later = called(200, Some("14"), Some("250"));
        assert_eq!(later.failure, Some(Failure::Refused { retry_after }));
        assert!(later.is_turned_away);
        for never in ["-1", "soon", ""] {
            let verdict = called(200, Some("14"), Some(never));
            assert_eq!(says(verdict), (Outcome::Failure, Some(Failure::Final)), "{never}");
            assert!(!verdict.is_turned_away, "{never}");
        }
        assert!(!judged(503).is_turned_away, "a service may answer so after half the work");
    }

    #[test]
    fn grpc_details_say_when_to_come_back_where_the_server_does_not_push_back() {
        let details = retry_info::field(Code::Unavailable, "busy", Duration::from_secs(3));
        let details = Some(details.as_bytes());
        let unavailable = Head {
            status: 200,
            grpc_status: Some(b"14"),
            grpc_details: details,
            ..Head::default()
        };
        let after = |head: &Head<'_>| grpc(head, wall).failure;
        let seconds = |it| Some(Failure::Refused { retry_after: Some(Duration::from_secs(it)) });
        assert_eq!(after(&unavailable), seconds(3));
        assert!(grpc(&unavailable, wall).is_turned_away);
        assert_eq!(after(&Head { grpc_pushback: Some(b"1000"), ..unavailable }), seconds(1));
        let never = Head { grpc_pushback: Some(b"-1"), ..unavailable };
        assert_eq!(after(&never), Some(Failure::Final));
        let unreadable = Head { grpc_details: Some(b"busy!"), ..unavailable };
        assert_eq!(after(&unreadable), NOT_NOW);
    }

    #[test]
    fn grpc_codes_of_the_caller_are_not_held_against_the_instance() {
        for code in ["0", "3", "5", "8", "12", "16", "99"] {
            assert_eq!(says(called(200, Some(code), None)), GOOD, "{code}");
        }
        for code in ["2", "4", "13", "15"] {
            let verdict = called(200, Some(code), None);
            assert_eq!(says(verdict), (Outcome::Failure, Some(Failure::Final)), "{code}");
        }
        assert_eq!(called(200, None, None), ANSWERED);
    }

    #[test]
    fn a_proxy_that_passed_a_grpc_call_on_lost_it_and_one_that_did_not_refused_it() {
        for status in [502, 504] {
            let verdict = called(status, None, None);
            assert_eq!(says(verdict), (Outcome::Failure, Some(Failure::Lost)));
            assert_eq!(verdict.fault, Some(Fault::Status(status)), "a list may name it");
        }
        assert_eq!(says(called(503, None, None)), (Outcome::Failure, NOT_NOW));
        assert_eq!(called(500, None, None).failure, Some(Failure::Final));
    }

    #[test]
    fn a_grpc_status_says_more_than_the_http_status_beside_it() {
        for status in [200, 502, 503, 504] {
            assert_eq!(called(status, Some("13"), None).failure, Some(Failure::Final), "{status}");
        }
        assert_eq!(says(called(503, Some("5"), None)), GOOD);
    }

    #[test]
    fn only_what_speaks_of_the_instance_counts_against_it() {
        use Silence::{Broken, Impatient, Late, Refused, Stale, Unreached, Untaken, Withdrawn};
        let all = [Refused, Unreached, Stale, Untaken, Broken, Late, Impatient, Withdrawn];
        let outcome = |it: &Silence| says(silence(*it)).0;
        let against: Vec<_> =
            all.into_iter().filter(|it| outcome(it) == Outcome::Failure).collect();
        assert_eq!(against, [Unreached, Untaken, Broken, Late]);
        assert!(all.iter().all(|it| outcome(it) != Outcome::Success));
    }

    #[test]
    fn only_what_never_arrived_may_always_be_repeated() {
        use Silence::{Broken, Impatient, Late, Refused, Stale, Unreached, Untaken, Withdrawn};
        assert_eq!(silence(Withdrawn).failure, Some(Failure::Final), "half a body is none");
        for unsent in [Refused, Unreached, Stale, Untaken] {
            assert_eq!(silence(unsent).failure, Some(Failure::Unsent), "{unsent:?}");
        }
        for lost in [Broken, Late, Impatient] {
            assert_eq!(silence(lost).failure, Some(Failure::Lost), "{lost:?}");
        }
    }

    #[test]
    fn only_methods_that_are_safe_to_repeat_are_idempotent() {
        for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"] {
            assert!(is_idempotent(method), "{method}");
        }
        for method in ["POST", "PATCH", "BREW", "get", ""] {
            assert!(!is_idempotent(method), "{method}");
        }
        assert!(is_read("GET") && is_read("HEAD") && !is_read("PUT") && !is_read("DELETE"));
    }

    proptest! {
        #[test]
        fn any_head_is_read_without_a_panic(status: u16, value: Vec<u8>) {
            let value = Some(value.as_slice());
            let (retry_after, grpc_status, grpc_pushback, grpc_details) = (value, value, value, value);
            let head = Head { status, retry_after, grpc_status, grpc_pushback, grpc_details };
            _ = (http(&head, wall), grpc(&head, wall));
            let unavailable = Head { grpc_status: Some(b"14"), grpc_pushback: None, ..head };
            _ = grpc(&unavailable, wall);
        }
    }
}
