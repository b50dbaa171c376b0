//! Where the two dialects differ, and errors in the port's words.

use regatta_database::{Database, Engine, Error as DatabaseError};
use regatta_events::BusError;
use time::OffsetDateTime;

/// What each engine writes for the same thing.
pub(crate) struct Dialect {
    /// Microseconds since 1970, by the clock that all processes share.
    pub(crate) now: &'static str,
    /// After a SELECT: takes rows for this transaction, and leaves those that others have.
    pub(crate) take: &'static str,
    /// After a SELECT: takes rows for this transaction, and waits for others.
    pub(crate) hold: &'static str,
    /// The numbers of a JSON array that is the second argument.
    pub(crate) numbers: &'static str,
}

const SQLITE: Dialect = Dialect {
    now: "CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)",
    take: "",
    hold: "",
    numbers: "SELECT value FROM json_each($2)",
};
const POSTGRES: Dialect = Dialect {
    now: "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
    take: "FOR UPDATE SKIP LOCKED",
    hold: "FOR UPDATE",
    numbers: "SELECT value::bigint FROM json_array_elements_text($2::json)",
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
