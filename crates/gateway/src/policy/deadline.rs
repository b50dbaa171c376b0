//! How long an exchange may take: the route's time, or the caller's when that is shorter.
//!
//! Both are times until the head of the answer. A gRPC caller's `grpc-timeout` is more: the end of
//! the whole call, which a stream may reach long after its head, so it is passed on beside them.

use std::time::Duration;

use regatta_core::{parse_grpc_timeout, parse_millis};

/// How the time of an exchange is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Time until the response's head.
    pub(crate) timeout: Duration,
    /// Whether the caller set it: then it runs from the request's head, else from its end.
    pub(crate) is_callers: bool,
    /// Time until the end of the call, where the caller set it over gRPC; may be longer.
    pub(crate) whole: Option<Duration>,
}

/// The shortest of the route's time and what the caller says in either header.
///
/// A malformed header counts for nothing; zero is a caller that has stopped waiting.
pub(crate) fn allowance(
    route: Duration,
    grpc_timeout: Option<&[u8]>,
    envoy_timeout: Option<&[u8]>,
) -> Allowance {
    let text = |bytes: &'_ [u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let grpc = grpc_timeout.and_then(text).and_then(|text| parse_grpc_timeout(&text));
    let envoy = envoy_timeout.and_then(text).and_then(|text| parse_millis(&text));
    match [grpc, envoy].into_iter().flatten().min() {
        Some(callers) if callers <= route => {
            Allowance { timeout: callers, is_callers: true, whole: grpc }
        }
        _ => Allowance { timeout: route, is_callers: false, whole: grpc },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: Duration = Duration::from_secs(15);

    #[test]
    fn a_caller_may_shorten_the_routes_time_and_not_extend_it() {
        let found = allowance(ROUTE, Some(b"2S"), Some(b"1500"));
        assert_eq!((found.timeout, found.is_callers), (Duration::from_millis(1500), true));
        assert_eq!(allowance(ROUTE, Some(b"1H"), None).timeout, ROUTE);
        assert_eq!(allowance(ROUTE, None, None).timeout, ROUTE);
    }

    #[test]
    fn the_end_of_a_grpc_call_is_the_callers_alone() {
        let found = allowance(ROUTE, Some(b"60S"), Some(b"1500"));
        assert_eq!(found.whole, Some(Duration::from_secs(60)));
        assert_eq!((found.timeout, found.is_callers), (Duration::from_millis(1500), true));
        let found = allowance(ROUTE, Some(b"60S"), None);
        assert_eq!((found.timeout, found.is_callers), (ROUTE, false));
        assert_eq!(allowance(ROUTE, None, Some(b"1500")).whole, None, "no stream is cut by it");
    }

    #[test]
    fn a_malformed_header_counts_for_nothing() {
        for junk in [&b"soon"[..], b"", b"-1", b"\xff"] {
            assert_eq!(allowance(ROUTE, Some(junk), Some(junk)).timeout, ROUTE);
        }
    }
}
