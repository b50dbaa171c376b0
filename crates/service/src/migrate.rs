//! Bringing the schema up without waiting for a database that is away.

use std::sync::{Arc, OnceLock};

use regatta_core::Chain;
use regatta_database::{Database, Migration, Schema};

use crate::health::Dependency;
use crate::{Error, Result, Service};

impl Service {
    /// Brings the schema of the service's database up to date. When the database is away it goes on
    /// trying in the background and the service starts all the same: not ready, until the schema is
    /// there. Replicas that start together take turns. When it turns out then that the migrations do
    /// not fit, the service stays unready, and `/health` has the reason under `schema`.
    ///
    /// # Errors
    ///
    /// [`Error::Own`] with the reason, when the migrations do not fit the database.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: each try applies all migrations or none.
    pub async fn migrate(&self, database: &Database, migrations: &'static [Migration]) -> Result {
        self.bring_up(database, "schema", Schema::service(migrations)).await
    }

    /// As [`Service::migrate`], for the tables of a part that the service uses.
    ///
    /// # Errors
    ///
    /// As [`Service::migrate`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: each try applies all migrations or none.
    pub async fn migrate_schema(&self, database: &Database, schema: &Schema<'static>) -> Result {
        self.bring_up(database, &format!("schema {}", schema.name), *schema).await
    }

    async fn bring_up(&self, database: &Database, name: &str, schema: Schema<'static>) -> Result {
        let error = match database.migrate_schema(&schema).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_unavailable() => error,
            Err(error) => return Err(Error::own(error)),
        };
        tracing::warn!(error = %Chain(&error), "starting without the database");
        let database = database.clone();
        let outcome = Arc::new(OnceLock::new());
        let probed = outcome.clone();
        self.depend(Dependency::new(name, true, move || {
            std::future::ready(match probed.get() {
                Some(outcome) => Clone::clone(outcome),
                None => Err("waits for the database to bring it up to date".to_owned()),
            })
        }));
        self.tasks().spawn("migrate", |drain| async move {
            let migrating = database.migrate_schema_when_reachable(&schema);
            let Some(migrated) = drain.run_until_cancelled(migrating).await else { return };
            let migrated = migrated.map_err(|error| Chain(&error).to_string());
            if let Err(error) = &migrated {
                // Nothing here can mend it, and a restart would only lose the reason.
                tracing::error!(error, "the schema cannot be brought up to date");
            }
            let _first_and_only = outcome.set(migrated);
        });
        Ok(())
    }
}
