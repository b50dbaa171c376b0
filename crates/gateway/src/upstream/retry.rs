//! What may be sent again (RFC 9110, section 9.2.2).

/// How an attempt ended without an answer for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// No byte of the request was sent.
    Unsent,
    /// The connection broke before a byte of the answer came.
    NoAnswer,
    /// The answer says that the upstream cannot serve now: 502, 503 or 504.
    Unavailable,
}

/// Whether a request may be sent again; the budget is asked last, by the caller.
///
/// `is_replayable`: its body, if any, is still at hand, or untouched.
pub(crate) fn may_retry(is_idempotent: bool, is_replayable: bool, failed: Failed) -> bool {
    match failed {
        Failed::Unsent => is_replayable,
        Failed::NoAnswer | Failed::Unavailable => is_replayable && is_idempotent,
    }
}

pub(crate) fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE" | "TRACE")
}

/// Whether a status says that the upstream cannot serve now.
pub(crate) fn is_unavailable(status: u16) -> bool {
    matches!(status, 502..=504)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_may_be_sent_by_any_method() {
        assert!(may_retry(is_idempotent("POST"), true, Failed::Unsent));
        assert!(may_retry(is_idempotent("GET"), true, Failed::Unsent));
        assert!(!may_retry(is_idempotent("POST"), false, Failed::Unsent));
    }

    #[test]
    fn what_may_have_been_done_is_repeated_only_if_twice_is_as_good_as_once() {
        for failed in [Failed::NoAnswer, Failed::Unavailable] {
            assert!(may_retry(is_idempotent("GET"), true, failed));
            assert!(may_retry(is_idempotent("PUT"), true, failed));
            assert!(!may_retry(is_idempotent("POST"), true, failed));
            assert!(!may_retry(is_idempotent("PATCH"), true, failed));
            assert!(!may_retry(is_idempotent("PUT"), false, failed));
            assert!(!may_retry(is_idempotent("BREW"), true, failed));
        }
    }

    #[test]
    fn only_answers_of_a_server_that_cannot_serve_are_repeated() {
        let repeated: Vec<u16> = (100..600).filter(|status| is_unavailable(*status)).collect();
        assert_eq!(repeated, [502, 503, 504]);
    }
}
