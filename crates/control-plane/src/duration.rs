//! Durations as Go writes them: `10s`, `1m30s`, `1.5s`, `15000ms`.

use std::time::Duration;

/// Reads a Go duration that is not negative (Go, `time.ParseDuration`); none when malformed or
/// longer than Go's limit of some 292 years.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0_u128;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        nanos = nanos.checked_add(amount(number, unit_nanos(unit)?)?)?;
        rest = tail;
    }
    u64::try_from(nanos)
        .ok()
        .filter(|nanos| i64::try_from(*nanos).is_ok())
        .map(Duration::from_nanos)
}

/// Writes it as Go prints it, such as `1m30s` or `1.5s`.
pub(crate) fn format(duration: Duration) -> String {
    let fraction = |whole: u64, part: u32, width: usize, unit: &str| {
        let digits = format!("{part:0width$}");
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() { format!("{whole}{unit}") } else { format!("{whole}.{digits}{unit}") }
    };
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 {
        return match nanos {
            0 => "0s".to_owned(),
            1..1_000 => format!("{nanos}ns"),
            1_000..1_000_000 => fraction(u64::from(nanos / 1_000), nanos % 1_000, 3, "µs"),
            _ => fraction(u64::from(nanos / 1_000_000), nanos % 1_000_000, 6, "ms"),
        };
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let seconds = fraction(seconds % 60, nanos, 9, "s");
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, _) => format!("{minutes}m{seconds}"),
        _ => format!("{hours}h{minutes}m{seconds}"),
    }
}

fn unit_nanos(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter, as Go accepts both.
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `number` units, a fraction of a nanosecond cut off.
fn amount(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || whole.len() > 19 || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u128>().ok()? };
    // Digits past the 18th are below a nanosecond for every unit.
    let fraction = &fraction[..fraction.len().min(18)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    whole.checked_mul(unit)?.checked_add(part * unit / scale)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_go_reads() {
        let millis = Duration::from_millis;
        for (text, duration) in [
            ("0", Duration::ZERO),
            ("20ms", millis(20)),
            ("1.5s", millis(1500)),
            ("15000ms", millis(15_000)),
            ("10s", millis(10_000)),
            ("1m", millis(60_000)),
            ("1h1m1s", millis(3_661_000)),
            (".5s", millis(500)),
            ("1.s", millis(1000)),
            ("3us", Duration::from_micros(3)),
            ("3µs", Duration::from_micros(3)),
        ] {
            assert_eq!(parse(text), Some(duration), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in ["", "10", "s", ".s", "-1s", "1 s", "1d", "1..5s", "1s1", "99999999999h", "ü"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn prints_as_go_prints() {
        let nanos = Duration::from_nanos;
        for (duration, text) in [
            (nanos(0), "0s"),
            (nanos(1), "1ns"),
            (nanos(1_100), "1.1µs"),
            (nanos(2_200_000), "2.2ms"),
            (nanos(1_500_000_000), "1.5s"),
            (Duration::from_secs(90), "1m30s"),
            (Duration::from_secs(3600), "1h0m0s"),
        ] {
            assert_eq!(format(duration), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(nanos in 0_u64..i64::MAX as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(duration)), Some(duration));
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "[0-9.a-zµ]{0,40}") {
            let _ = parse(&text);
        }
    }
}
