//! The two clocks, each read in one place.

use std::time::Instant;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The clock that tests may pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The wall clock, cut to milliseconds: what stands in logs and in the state.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub(crate) fn wall() -> OffsetDateTime {
    let now = OffsetDateTime::from(std::time::SystemTime::now());
    now.replace_millisecond(now.millisecond()).unwrap_or(now)
}

/// The wall clock as RFC 3339 text in UTC, such as `2026-11-23T14:31:02.123Z`.
pub(crate) fn wall_text() -> String {
    wall().format(&Rfc3339).unwrap_or_default()
}
