//! Moments as they are typed.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment: RFC 3339, or how long ago, such as 10m.
///
/// # Errors
///
/// What to write instead.
pub(crate) fn moment(text: &str) -> Result<OffsetDateTime, String> {
    at(text, OffsetDateTime::now_utc())
}

fn at(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time);
    }
    let ago: Option<Duration> = regatta_yaml::parse_duration(text).ok();
    let then = ago.and_then(|ago| now.checked_sub(ago.try_into().ok()?));
    then.ok_or_else(|| "write a time such as 2026-11-29T12:00:00Z, or how long ago: 10m".to_owned())
}

/// As people and programs read it.
pub(crate) fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let ago = at("10m", now).unwrap();
        assert_eq!(now - ago, time::Duration::minutes(10));
        assert_eq!(rfc3339(at("2027-01-15T08:00:00Z", now).unwrap()), "2027-01-15T08:00:00Z");
        for wrong in ["", "yesterday", "10", "-1m"] {
            assert!(at(wrong, now).is_err(), "{wrong}");
        }
    }
}
