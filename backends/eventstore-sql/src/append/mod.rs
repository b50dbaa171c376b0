//! Appending: one statement where that does; else a function of PostgreSQL, a group of SQLite.

mod group;
mod judge;
mod postgres;
mod sqlite;
mod written;

use regatta_database::{Error as DatabaseError, Transaction};
use regatta_eventstore::{Append, AppendError, Appended, Expected, StoreError, Version};

use crate::engine::{broken, failed};

pub(crate) use group::Group;
pub(crate) use postgres::{Length, append as postgres_append};
pub(crate) use written::Written;

/// Appends in a transaction of the caller, who commits it or rolls it back.
pub(crate) async fn append_in(
    transaction: &mut Transaction,
    append: &Append,
) -> Result<Appended, AppendError> {
    append.validate()?;
    let sealed = match crate::keys::seal(transaction, append).await {
        // It may have been appended before the subject was erased: then its ids are there.
        Err(erased @ AppendError::Erased { .. }) => {
            let written = Written::plain(append);
            let found = found(transaction, &written).await.map_err(failed)?;
            return if found.is_empty() { Err(erased) } else { written.repeated(&found) };
        }
        sealed => sealed?,
    };
    let written = Written::new(append, sealed);
    match transaction {
        Transaction::Sqlite(sqlite) => {
            let mut answers = sqlite::together(sqlite, &[&written]).await.map_err(failed)?;
            let answer = answers.pop().flatten();
            answer.unwrap_or_else(|| Err(broken("an append without an answer").into()))
        }
        Transaction::Postgres(postgres) => postgres::append_in(postgres, &written).await,
    }
}

/// The events of the append that are there already.
async fn found(
    transaction: &mut Transaction,
    append: &Written,
) -> Result<Vec<written::Found>, DatabaseError> {
    match transaction {
        Transaction::Sqlite(sqlite) => Ok(sqlite::look(sqlite, &[append]).await?.found),
        Transaction::Postgres(postgres) => postgres::found(postgres, append).await,
    }
}

/// Whether an append failed because another one was in the way, so that it may be repeated at once.
pub(crate) fn is_lost_race(append: &Append, error: &AppendError) -> bool {
    match error {
        // The other one may have been the same append.
        AppendError::IdTaken { .. } => true,
        AppendError::Conflict { actual, .. } => {
            !matches!(append.expected, Expected::Exactly(_)) && *actual > Version::NONE
        }
        AppendError::Store(StoreError::Unavailable(source)) => {
            source.downcast_ref::<DatabaseError>().is_some_and(DatabaseError::is_retryable)
        }
        _ => false,
    }
}
