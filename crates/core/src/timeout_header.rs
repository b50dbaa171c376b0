//! Deadlines on the wire: `grpc-timeout` and Envoy's header in milliseconds.

use std::time::Duration;

/// gRPC's header: at most eight digits and a unit (gRPC over HTTP/2, "Timeout").
pub const GRPC_TIMEOUT: &str = "grpc-timeout";

/// Envoy's header: whole milliseconds that the caller still waits.
pub const ENVOY_TIMEOUT: &str = "x-envoy-expected-rq-timeout-ms";

/// Reads a `grpc-timeout`, such as `100m` or `2S`; none when it is malformed.
pub fn parse_grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount = digits.parse::<u64>().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// Writes a `grpc-timeout` in the finest unit whose number has at most eight digits.
///
/// Rounds down, because a callee must never believe that it has more time than its caller.
pub fn format_grpc_timeout(timeout: Duration) -> String {
    const MOST: u128 = 99_999_999;
    let units =
        [(1, "n"), (1_000, "u"), (1_000_000, "m"), (1_000_000_000, "S"), (60_000_000_000, "M")];
    for (nanos, unit) in units {
        let amount = timeout.as_nanos() / nanos;
        if amount <= MOST {
            return format!("{amount}{unit}");
        }
    }
    format!("{}H", (timeout.as_secs() / 3600).min(99_999_999))
}

/// Reads whole milliseconds; none when malformed.
pub fn parse_millis(text: &str) -> Option<Duration> {
    let valid = (1..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if valid { text.parse().ok().map(Duration::from_millis) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_the_grammar_refuses() {
        for text in ["", "S", "1", "1s", "-1S", "+1S", "123456789S", "1.5S", "1 S", "ü", "1ü"] {
            assert_eq!(parse_grpc_timeout(text), None, "{text}");
        }
        for text in ["", "-1", "+1", "1.5", "1ms", "99999999999999999999"] {
            assert_eq!(parse_millis(text), None, "{text}");
        }
    }

    #[test]
    fn reads_every_unit() {
        assert_eq!(parse_grpc_timeout("99999999H"), Some(Duration::from_secs(359_999_996_400)));
        assert_eq!(parse_grpc_timeout("2M"), Some(Duration::from_secs(120)));
        assert_eq!(parse_grpc_timeout("2S"), Some(Duration::from_secs(2)));
        assert_eq!(parse_grpc_timeout("2m"), Some(Duration::from_millis(2)));
        assert_eq!(parse_grpc_timeout("2u"), Some(Duration::from_micros(2)));
        assert_eq!(parse_grpc_timeout("2n"), Some(Duration::from_nanos(2)));
        assert_eq!(parse_millis("250"), Some(Duration::from_millis(250)));
    }

    proptest! {
        #[test]
        fn a_timeout_on_the_wire_is_never_longer_and_loses_little(nanos in 1_u64..u64::MAX) {
            let sent = Duration::from_nanos(nanos);
            let read = parse_grpc_timeout(&format_grpc_timeout(sent)).unwrap();
            prop_assert!(read <= sent);
            prop_assert!(sent - read <= sent / 1_000_000 + Duration::from_nanos(1));
        }
    }
}
