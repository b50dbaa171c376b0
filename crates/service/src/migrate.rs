//! Bringing the schema up without waiting for a database that is away.

use regatta_core::Chain;
use regatta_database::{Database, Migration};

use crate::{Error, Result, Service};

impl Service {
    /// Brings the schema of the service's database up to date. When the database is away it goes on
    /// trying in the background and the service starts all the same: not ready, until the schema is
    /// there. Replicas that start together take turns.
    ///
    /// # Errors
    ///
    /// [`Error::Own`] with the reason, when the migrations do not fit the database.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: each try applies all migrations or none.
    pub async fn migrate(&self, database: &Database, migrations: &'static [Migration]) -> Result {
        let error = match database.migrate(migrations).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_unavailable() => error,
            Err(error) => return Err(Error::own(error)),
        };
        tracing::warn!(error = %Chain(&error), "starting without the database");
        let database = database.clone();
        self.tasks().spawn("migrate", |drain| async move {
            let migrating = database.migrate_when_reachable(migrations);
            if let Some(Err(error)) = drain.run_until_cancelled(migrating).await {
                tracing::error!(error = %Chain(&error), "the schema cannot be brought up to date");
            }
        });
        Ok(())
    }
}
