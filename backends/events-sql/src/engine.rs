//! Where the two dialects differ, and errors in the port's words.

use std::time::Duration;

use regatta_database::{Database, Engine, Error as DatabaseError};
use regatta_events::BusError;
use time::OffsetDateTime;

/// What each engine writes for the same thing.
pub(crate) struct Dialect {
    /// Microseconds since 1970, by the clock that all processes share.
    pub(crate) now: &'static str,
    /// After a SELECT: takes rows for this transaction, and waits for others.
    pub(crate) hold: &'static str,
    /// The positions and claims of a JSON array of pairs that is the second argument.
    pub(crate) pairs: &'static str,
}

pub(crate) const SQLITE: Dialect = Dialect {
    now: "CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)",
    hold: "",
    pairs: "SELECT value ->> 0, value ->> 1 FROM json_each($2)",
};
pub(crate) const POSTGRES: Dialect = Dialect {
    now: "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
    hold: "FOR UPDATE",
    pairs: "SELECT (value ->> 0)::bigint, value ->> 1 FROM json_array_elements($2::json)",
};

pub(crate) fn dialect(database: &Database) -> Dialect {
    match database.engine() {
        Engine::Sqlite(_) => SQLITE,
        Engine::Postgres(_) => POSTGRES,
    }
}

/// A database's error as the port tells it.
pub(crate) fn failed(error: DatabaseError) -> BusError {
    match error {
        DatabaseError::Unavailable(_)
        | DatabaseError::Conflict(_)
        | DatabaseError::TimedOut(_)
        | DatabaseError::SchemaPending => BusError::Unavailable(error.into()),
        _ => BusError::Broken(error.into()),
    }
}

/// So many microseconds.
pub(crate) fn length(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 2)
}

/// Microseconds since 1970.
pub(crate) fn micros(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1000)).unwrap_or(i64::MAX)
}

/// The time of so many microseconds since 1970; those of a log are years of four digits.
pub(crate) fn from_micros(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A number of the port as the engines keep it.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The error for each of several who asked at once.
pub(crate) fn again(error: &BusError) -> BusError {
    let text = regatta_core::Chain(error).to_string();
    match error {
        BusError::Unavailable(_) => BusError::Unavailable(text.into()),
        _ => BusError::Broken(text.into()),
    }
}
