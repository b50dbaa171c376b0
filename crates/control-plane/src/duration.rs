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

    proptest! {
        #[test]
        fn parts_add_up(hours in 0_u64..1000, millis in 0_u64..100_000) {
            let sum = Duration::from_secs(hours * 3600) + Duration::from_millis(millis);
            prop_assert_eq!(parse(&format!("{hours}h{millis}ms")), Some(sum));
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "[0-9.a-zµ]{0,40}") {
            let _ = parse(&text);
        }
    }
}
