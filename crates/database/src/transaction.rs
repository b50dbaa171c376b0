//! A transaction of either engine.

use sqlx::{PgTransaction, SqliteTransaction};

use crate::Error;

/// A transaction that may write; dropped without a commit, it is rolled back.
///
/// Parts that keep their own tables beside the service's (an event store, an outbox, an inbox) write
/// in one of these, so that all of it happens or none.
#[derive(Debug)]
pub enum Transaction {
    /// On SQLite's one writer.
    Sqlite(SqliteTransaction<'static>),
    /// On a connection of the pool.
    Postgres(PgTransaction<'static>),
}

impl Transaction {
    /// Makes what was written last.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the database went away: it may or may not have been committed.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped commit may have been made.
    pub async fn commit(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await?,
            Self::Postgres(transaction) => transaction.commit().await?,
        }
        Ok(())
    }

    /// Undoes what was written, now rather than when the connection is next used.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the database went away, which undoes it too.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it is undone all the same.
    pub async fn rollback(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(transaction) => transaction.rollback().await?,
            Self::Postgres(transaction) => transaction.rollback().await?,
        }
        Ok(())
    }
}
