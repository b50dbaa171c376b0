//! The two clocks, each read in one place.

use std::time::Instant;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// RFC 3339 in UTC with three digits of a second, always: as text it sorts as time does.
const MILLISECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The clock that tests may pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The wall clock as text, such as `2026-11-23T14:31:02.123Z`: what stands in logs and in the state.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub(crate) fn wall_text() -> String {
    text(OffsetDateTime::from(std::time::SystemTime::now()))
}

fn text(time: OffsetDateTime) -> String {
    time.format(MILLISECONDS).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_texts() {
        let base = OffsetDateTime::UNIX_EPOCH;
        let texts = [0_i64, 9, 90, 100, 950, 951, 1000, 60_000]
            .map(|millis| text(base + time::Duration::milliseconds(millis)));
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts[1], "1970-01-01T00:00:00.009Z");
    }
}
