//! What is told of a change, in the transaction that makes it.

use std::fmt;
use std::sync::Arc;

use regatta::events::CloudEvent;
use regatta::eventstore::StoreError;
use regatta::eventstore_sql::SqlStore;
use regatta_database::{Database, Transaction};

use super::row::domain_error;
use crate::domain::{Error, UserEvent};

/// Makes the message to other services of what happened.
pub type Tell = Arc<dyn Fn(&UserEvent) -> CloudEvent + Send + Sync>;

/// An outbox, and what is put into it.
#[derive(Clone)]
pub(super) struct Telling {
    database: Database,
    store: SqlStore,
    tell: Tell,
}

impl Telling {
    pub(super) fn new(database: &Database, store: &SqlStore, tell: Tell) -> Self {
        Self { database: database.clone(), store: store.clone(), tell }
    }

    /// Makes a change and what is told of it last: both or neither.
    pub(super) async fn commit(
        &self,
        mut changing: Transaction,
        event: &UserEvent,
    ) -> Result<(), Error> {
        let message = (self.tell)(event);
        let told = self.store.enqueue(&mut changing, &[message]).await;
        told.map_err(|error| match error {
            StoreError::Unavailable(_) => Error::Unavailable(error.into()),
            _ => Error::Broken(error.into()),
        })?;
        let commit = self.database.query("COMMIT", "users", changing.commit());
        commit.await.map_err(domain_error)?;
        self.store.announce();
        Ok(())
    }
}

impl fmt::Debug for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telling").finish_non_exhaustive()
    }
}
