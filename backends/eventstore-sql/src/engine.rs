//! Times, numbers and errors, between the engines and the port.

use regatta_database::Error as DatabaseError;
use regatta_eventstore::StoreError;
use time::OffsetDateTime;

/// A database's error as the port tells it.
pub(crate) fn failed(error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::Unavailable(_)
        | DatabaseError::Conflict(_)
        | DatabaseError::TimedOut(_)
        | DatabaseError::SchemaPending => StoreError::Unavailable(error.into()),
        error if error.is_missing_table() => StoreError::Absent(error.into()),
        _ => StoreError::Broken(error.into()),
    }
}

/// What is in the tables and cannot be read.
pub(crate) fn broken(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Broken(what.into())
}

/// Microseconds since 1970, which is as fine as either engine keeps time.
pub(crate) fn micros(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1000)).unwrap_or(i64::MAX)
}

/// The time of so many microseconds since 1970.
pub(crate) fn from_micros(micros: i64) -> Result<OffsetDateTime, StoreError> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).map_err(broken)
}

/// A number of the port as the engines keep it.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number of the engines as the port has it; they keep none below 0.
pub(crate) fn unsigned(number: i64) -> u64 {
    number.unsigned_abs()
}

/// The wall clock, for what people read and for leases between processes of one machine.
pub(crate) fn wall_clock() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_to_the_microsecond() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_750_000_000_123_456_789).unwrap();
        let kept = from_micros(micros(time)).unwrap();
        assert_eq!((time - kept).whole_nanoseconds(), 789);
        let before = OffsetDateTime::UNIX_EPOCH - std::time::Duration::from_nanos(1);
        assert_eq!(micros(before), -1);
    }
}
