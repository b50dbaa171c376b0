//! Durations as people write them: `30s`, `1.5m`, `250ms`, `1h30m`.

use std::time::Duration;

/// The text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDuration {
    /// A number without a unit.
    #[error("`{text}` has no unit; write `{text}s` for seconds or `{text}ms` for milliseconds")]
    NoUnit {
        /// What was given.
        text: String,
    },
    /// A unit that does not exist.
    #[error("`{unit}` is not a unit of time; use ns, us, ms, s, m, h or d, such as 30s or 1.5m")]
    BadUnit {
        /// What stands where the unit belongs.
        unit: String,
    },
    /// Not a number and a unit.
    #[error("`{text}` is not a duration; write a number and a unit, such as 30s, 1.5m or 250ms")]
    Malformed {
        /// What was given.
        text: String,
    },
    /// Longer than fits.
    #[error("`{text}` is too long; use at most 36500d")]
    TooLong {
        /// What was given.
        text: String,
    },
}

/// A hundred years: far above any timeout, far below where instants overflow.
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// Nanoseconds of each unit, the largest first.
const UNITS: [(&str, u64); 8] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

/// Reads a duration: numbers with units one after the other; `0` alone needs no unit.
///
/// Fractions are exact to the nanosecond and cut below. At most `36500d`.
///
/// # Errors
///
/// [`InvalidDuration`] says what is missing.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let malformed = || InvalidDuration::Malformed { text: text.to_owned() };
    let too_long = || InvalidDuration::TooLong { text: text.to_owned() };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(malformed());
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let dangling = number.ends_with('.') || fraction.contains('.');
        if whole.is_empty() || dangling {
            return Err(malformed());
        }
        if unit.is_empty() {
            return Err(InvalidDuration::NoUnit { text: text.to_owned() });
        }
        let (_, nanos) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| InvalidDuration::BadUnit { unit: unit.to_owned() })?;
        let part = part(whole, fraction, *nanos).ok_or_else(too_long)?;
        total = total.checked_add(part).filter(|sum| *sum <= LONGEST).ok_or_else(too_long)?;
        rest = after;
    }
    Ok(total)
}

/// `whole.fraction` units of so many nanoseconds.
fn part(whole: &str, fraction: &str, nanos: u64) -> Option<Duration> {
    let mut sum = whole.parse::<u128>().ok()?.checked_mul(u128::from(nanos))?;
    let mut place = u128::from(nanos);
    let mut left = 0_u128;
    // 19 digits are below a nanosecond even of a day.
    for digit in fraction.bytes().take(19) {
        left = left * 10 + u128::from(digit - b'0') * place;
        place = u128::from(nanos);
    }
    let digits = u32::try_from(fraction.len().min(19)).ok()?;
    sum = sum.checked_add(left / 10_u128.pow(digits))?;
    let seconds = u64::try_from(sum / 1_000_000_000).ok()?;
    let below = u32::try_from(sum % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, below))
}

/// Writes a duration so that [`parse_duration`] reads the same: `1h30m`, `250ms`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    for (name, nanos) in UNITS {
        let count = rest / u128::from(nanos);
        if count > 0 && name != "µs" {
            text.push_str(&format!("{count}{name}"));
            rest %= u128::from(nanos);
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_and_a_unit_is_a_duration() {
        for (text, nanos) in [
            ("30s", 30_000_000_000),
            ("1.5m", 90_000_000_000),
            ("250ms", 250_000_000),
            ("1h30m", 5_400_000_000_000),
            ("2d", 172_800_000_000_000),
            ("0.1s", 100_000_000),
            ("1.000000001s", 1_000_000_001),
            ("7us", 7_000),
            ("7µs", 7_000),
            ("9ns", 9),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn says_what_is_missing() {
        let error = |text: &str| parse_duration(text).unwrap_err().to_string();
        assert!(error("30").contains("`30s` for seconds"));
        assert!(error("1m30").contains("no unit"));
        assert!(error("30 s").contains("` s` is not a unit"));
        assert!(error("30sec").contains("`sec` is not a unit"));
        assert!(error("36501d").contains("at most 36500d"));
        assert!(error(&format!("{}d", "9".repeat(60))).contains("at most 36500d"));
        for text in ["", "s", "-1s", "1..5s", ".5s", "1.s", "soon"] {
            assert!(error(text).contains("write a number and a unit"), "{text}: {}", error(text));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(nanos in 0..LONGEST.as_nanos()) {
            let seconds = u64::try_from(nanos / 1_000_000_000).unwrap();
            let below = u32::try_from(nanos % 1_000_000_000).unwrap();
            let duration = Duration::new(seconds, below);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse_duration(&text);
        }

        #[test]
        fn no_number_panics(text in "[0-9.]{0,60}(d|h|m|s|ms|us|ns)") {
            let _ = parse_duration(&text);
        }
    }
}
