//! One statement for both engines, where their dialects agree.
//!
//! `$1` and `ON CONFLICT` are read alike by both; booleans, arrays and dates are not. Each macro
//! writes its statement out once for each engine, since drivers share no type.

/// Awaits a statement on the connection of a [`Transaction`](crate::Transaction).
///
/// ```ignore
/// let row: Option<(i64,)> = in_transaction!(&mut transaction, |connection| {
///     sqlx::query_as("SELECT version FROM orders WHERE id = $1").bind(id).fetch_optional(connection)
/// })?;
/// ```
#[macro_export]
macro_rules! in_transaction {
    ($transaction:expr, |$connection:ident| $statement:expr) => {
        match $transaction {
            $crate::Transaction::Sqlite(sqlite) => {
                let $connection = &mut **sqlite;
                $statement.await.map_err($crate::Error::from)
            }
            $crate::Transaction::Postgres(postgres) => {
                let $connection = &mut **postgres;
                $statement.await.map_err($crate::Error::from)
            }
        }
    };
}

/// Executes a statement on the connection of a [`Transaction`](crate::Transaction); answers how many
/// rows it wrote.
#[macro_export]
macro_rules! executing {
    ($transaction:expr, |$connection:ident| $statement:expr) => {
        $crate::in_transaction!($transaction, |$connection| async {
            $statement.await.map(|done| done.rows_affected())
        })
    };
}

/// Awaits a statement that only reads, on a connection of a [`Database`](crate::Database).
#[macro_export]
macro_rules! reading {
    ($database:expr, |$pool:ident| $statement:expr) => {
        match $database.engine() {
            $crate::Engine::Sqlite(sqlite) => {
                let $pool = sqlite.reader();
                $statement.await.map_err($crate::Error::from)
            }
            $crate::Engine::Postgres(postgres) => {
                let $pool = postgres.pool();
                $statement.await.map_err($crate::Error::from)
            }
        }
    };
}

/// Executes a statement that commits by itself; answers how many rows it wrote.
#[macro_export]
macro_rules! writing {
    ($database:expr, |$pool:ident| $statement:expr) => {
        match $database.engine() {
            $crate::Engine::Sqlite(sqlite) => {
                let $pool = sqlite.writer();
                let done = $statement.await.map_err($crate::Error::from);
                done.map(|done| done.rows_affected())
            }
            $crate::Engine::Postgres(postgres) => {
                let $pool = postgres.pool();
                let done = $statement.await.map_err($crate::Error::from);
                done.map(|done| done.rows_affected())
            }
        }
    };
}

/// Awaits a statement that commits by itself and answers rows.
#[macro_export]
macro_rules! returning {
    ($database:expr, |$pool:ident| $statement:expr) => {
        match $database.engine() {
            $crate::Engine::Sqlite(sqlite) => {
                let $pool = sqlite.writer();
                $statement.await.map_err($crate::Error::from)
            }
            $crate::Engine::Postgres(postgres) => {
                let $pool = postgres.pool();
                $statement.await.map_err($crate::Error::from)
            }
        }
    };
}
