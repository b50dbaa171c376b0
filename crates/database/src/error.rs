//! What went wrong with a query, sorted by what a caller can do about it.

use std::fmt;
use std::sync::Arc;

use regatta_core::{Code, Origin};
use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::postgres::PgDatabaseError;

/// A query failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A row with the same value is there already. Nothing was written.
    #[error("a row breaks the unique constraint `{constraint}`")]
    UniqueViolation {
        /// The constraint or index, such as `users_email_key`; for a `UNIQUE` column of SQLite
        /// `table.column`.
        constraint: String,
    },
    /// A foreign key, check or not-null constraint refused the row. Nothing was written.
    #[error("a row breaks a constraint")]
    ConstraintViolation(#[source] Cause),
    /// Another transaction was in the way. Nothing was written; repeating the whole is safe.
    #[error("another transaction got in the way; repeat the whole transaction")]
    Conflict(#[source] Cause),
    /// The database does not answer. What was being committed may or may not have been.
    #[error("the database does not answer; see that it runs and that its URL is right")]
    Unavailable(#[source] Cause),
    /// The statement ran past its time and was stopped. Nothing was written.
    #[error("the statement was stopped; it ran past its time limit")]
    TimedOut(#[source] Cause),
    /// The database answers and its schema is not up to date yet.
    #[error("the schema is not migrated yet; see the log for the reason")]
    SchemaPending,
    /// The statement does not fit the schema or its values: a bug of the service.
    #[error("the statement failed")]
    Statement(#[source] Cause),
}

impl Error {
    /// A reader keeps SQLite's write-ahead log from being emptied.
    pub(crate) fn log_is_held() -> Self {
        let held = std::io::Error::other("a reader keeps an older state of the file");
        Self::Conflict(Cause(Arc::new(sqlx::Error::Io(held))))
    }

    /// Whether repeating the whole transaction at once may succeed and does no harm.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// Whether a table that the statement names is not there, such as where nobody has migrated.
    pub fn is_missing_table(&self) -> bool {
        let Self::Statement(cause) = self else { return false };
        cause.0.as_database_error().is_some_and(|error| {
            // undefined_table of PostgreSQL; SQLite has no code for it.
            error.code().is_some_and(|code| code == "42P01")
                || error.message().starts_with("no such table: ")
        })
    }

    /// Whether it is the unique constraint or index of this name that was broken.
    pub fn violates(&self, name: &str) -> bool {
        matches!(self, Self::UniqueViolation { constraint } if constraint == name)
    }

    /// Whose fault it is.
    pub fn origin(&self) -> Origin {
        match self {
            Self::UniqueViolation { .. } => Origin::Caller,
            Self::ConstraintViolation(_) | Self::Statement(_) => Origin::Us,
            Self::Conflict(_) | Self::Unavailable(_) | Self::SchemaPending | Self::TimedOut(_) => {
                Origin::Upstream
            }
        }
    }

    /// The code for the caller of the service, when the service knows no better one.
    pub fn code(&self) -> Code {
        match self {
            Self::UniqueViolation { .. } => Code::AlreadyExists,
            Self::ConstraintViolation(_) | Self::Statement(_) => Code::Internal,
            Self::Conflict(_) | Self::Unavailable(_) | Self::SchemaPending => Code::Unavailable,
            Self::TimedOut(_) => Code::DeadlineExceeded,
        }
    }

    /// The name in spans, metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UniqueViolation { .. } => "unique_violation",
            Self::ConstraintViolation(_) => "constraint_violation",
            Self::Conflict(_) => "conflict",
            Self::Unavailable(_) => "unavailable",
            Self::TimedOut(_) => "timed_out",
            Self::SchemaPending => "schema_pending",
            Self::Statement(_) => "statement",
        }
    }
}

/// The driver's error. Its `Debug` is its `Display`: a server's details quote the row, and rows
/// hold what logs must not.
#[derive(Clone)]
pub struct Cause(Arc<sqlx::Error>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_database_error() {
            Some(error) => match error.code() {
                Some(code) => write!(f, "{} ({code})", error.message()),
                None => f.write_str(error.message()),
            },
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Cause {}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let class = match &error {
            sqlx::Error::Database(database) => classify_database(database.as_ref()),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed
            | sqlx::Error::Protocol(_) => Class::Unavailable,
            _ => Class::Statement,
        };
        let cause = Cause(Arc::new(error));
        match class {
            Class::Unique(constraint) => Self::UniqueViolation { constraint },
            Class::Constraint => Self::ConstraintViolation(cause),
            Class::Conflict => Self::Conflict(cause),
            Class::Unavailable => Self::Unavailable(cause),
            Class::TimedOut => Self::TimedOut(cause),
            Class::Statement => Self::Statement(cause),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Unique(String),
    Constraint,
    Conflict,
    Unavailable,
    TimedOut,
    Statement,
}

fn classify_database(error: &dyn DatabaseError) -> Class {
    match error.kind() {
        ErrorKind::UniqueViolation => {
            let constraint = error.constraint().map(str::to_owned);
            return Class::Unique(constraint.unwrap_or_else(|| sqlite_constraint(error.message())));
        }
        ErrorKind::ForeignKeyViolation
        | ErrorKind::NotNullViolation
        | ErrorKind::CheckViolation
        | ErrorKind::ExclusionViolation => return Class::Constraint,
        _ => (),
    }
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<PgDatabaseError>().is_some() {
        classify_sqlstate(&code)
    } else {
        classify_sqlite(code.parse().unwrap_or_default())
    }
}

/// By the classes of PostgreSQL's manual, appendix A.
fn classify_sqlstate(code: &str) -> Class {
    match code {
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => Class::Conflict,
        // query_canceled, which is also what statement_timeout raises
        "57014" => Class::TimedOut,
        // idle_in_transaction_session_timeout; the connection is gone
        "25P03" => Class::Unavailable,
        // invalid_catalog_name: there is no such database (yet)
        "3D000" => Class::Unavailable,
        // read_only_sql_transaction: a failover left us on a replica
        "25006" => Class::Unavailable,
        _ => match code.get(..2) {
            // connection, authorisation, resources, operator intervention, system error
            Some("08" | "28" | "53" | "57" | "58") => Class::Unavailable,
            _ => Class::Statement,
        },
    }
}

/// By the result codes of SQLite; the low byte of an extended code is its primary one.
fn classify_sqlite(extended: i32) -> Class {
    match extended & 0xff {
        // BUSY, LOCKED
        5 | 6 => Class::Conflict,
        // PERM, NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB
        3 | 7 | 8 | 10 | 11 | 13 | 14 | 15 | 26 => Class::Unavailable,
        // INTERRUPT
        9 => Class::TimedOut,
        _ => Class::Statement,
    }
}

/// The name in SQLite's message: `index 'i'` for an index on an expression, else `table.column`
/// (the first, when there are several).
fn sqlite_constraint(message: &str) -> String {
    let rest = message.rsplit_once("constraint failed: ").map_or("", |(_, rest)| rest);
    let name = match rest.strip_prefix("index '") {
        Some(name) => name.trim_end_matches('\''),
        None => rest.split(", ").next().unwrap_or_default(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_names_the_column_or_the_index() {
        for (message, name) in [
            ("UNIQUE constraint failed: users.email", "users.email"),
            ("UNIQUE constraint failed: orders.caller, orders.key", "orders.caller"),
            ("UNIQUE constraint failed: index 'users_email_key'", "users_email_key"),
            ("something new", ""),
        ] {
            assert_eq!(sqlite_constraint(message), name);
        }
    }

    #[test]
    fn lost_races_are_conflicts_and_lost_servers_are_not() {
        for code in ["40001", "40P01", "55P03"] {
            assert_eq!(classify_sqlstate(code), Class::Conflict, "{code}");
        }
        for code in ["08006", "57P01", "57P03", "53300", "28P01", "3D000", "25P03", "58030"] {
            assert_eq!(classify_sqlstate(code), Class::Unavailable, "{code}");
        }
        assert_eq!(classify_sqlstate("57014"), Class::TimedOut);
        for code in ["42P01", "22003", "", "4"] {
            assert_eq!(classify_sqlstate(code), Class::Statement, "{code}");
        }
    }

    #[test]
    fn extended_codes_of_sqlite_count_as_their_primary_ones() {
        // BUSY, BUSY_SNAPSHOT, LOCKED_SHAREDCACHE
        for code in [5, 517, 262] {
            assert_eq!(classify_sqlite(code), Class::Conflict, "{code}");
        }
        // IOERR_FSYNC, FULL, CANTOPEN, READONLY_DBMOVED, NOTADB
        for code in [1034, 13, 14, 1032, 26] {
            assert_eq!(classify_sqlite(code), Class::Unavailable, "{code}");
        }
        assert_eq!(classify_sqlite(1), Class::Statement);
    }

    #[test]
    fn a_conflict_may_be_repeated_and_a_lost_connection_may_not() {
        let pool = Error::from(sqlx::Error::PoolTimedOut);
        assert!(matches!(pool, Error::Unavailable(_)) && !pool.is_retryable());
        assert_eq!((pool.code(), pool.origin()), (Code::Unavailable, Origin::Upstream));
        let conflict = Error::Conflict(Cause(Arc::new(sqlx::Error::RowNotFound)));
        assert!(conflict.is_retryable());
    }

    #[test]
    fn a_violation_is_asked_for_by_name() {
        let error = Error::UniqueViolation { constraint: "users_email_key".into() };
        assert!(error.violates("users_email_key") && !error.violates("users_name_key"));
        assert_eq!(error.code(), Code::AlreadyExists);
    }
}
