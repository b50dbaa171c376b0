//! The handle a service holds.

use std::time::Duration;

use crate::migrate::{self, MigrateError, Migration};
use crate::url::Target;
use crate::{Error, OpenError, Options, Postgres, Sqlite};

/// A service's database; clones share the pools.
#[derive(Clone, Debug)]
pub struct Database {
    engine: Engine,
    migration_timeout: Duration,
}

/// The two engines. SQL is written for each of them.
#[derive(Clone, Debug)]
pub enum Engine {
    /// Embedded: a file beside the service.
    Sqlite(Sqlite),
    /// A server.
    Postgres(Postgres),
}

impl Database {
    /// Makes the pools for a `sqlite:` or `postgres:` URL and connects to nothing yet.
    ///
    /// The folder of a SQLite file is made when it is missing. `sqlite::memory:` is for tests: one
    /// connection, gone with the process. Call it inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the URL or an option is wrong; it never shows the URL.
    pub fn open(url: &str, options: &Options) -> Result<Self, OpenError> {
        options.validate()?;
        let engine = match Target::parse(url)? {
            Target::Sqlite { connect, in_memory } => {
                Engine::Sqlite(Sqlite::open(connect, in_memory, options)?)
            }
            Target::Postgres(connect) => Engine::Postgres(Postgres::open(connect, options)),
        };
        Ok(Self { engine, migration_timeout: options.migration_timeout })
    }

    /// The engine, to write SQL for.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine's name as OpenTelemetry spells it (`db.system.name`): `sqlite` or `postgresql`.
    pub fn system(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite(_) => "sqlite",
            Engine::Postgres(_) => "postgresql",
        }
    }

    /// Awaits a query in a span and a histogram of its own, and sorts its error.
    ///
    /// `operation` (`SELECT`, `INSERT`...) and `table` name it; the statement and its values appear
    /// nowhere.
    ///
    /// # Errors
    ///
    /// [`Error`], sorted by what can be done about it.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as the query: one that writes may have written.
    pub async fn query<T, E: Into<Error>>(
        &self,
        operation: &'static str,
        table: &'static str,
        query: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error> {
        let query = async { query.await.map_err(Into::into) };
        let query = regatta_telemetry::query(self.system(), operation, table, query);
        query.await
    }

    /// Applies the migrations that the database lacks, all in one transaction.
    ///
    /// Replicas that start together take turns: the first migrates, the others find it done.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] when an applied migration was changed, the database is newer than the
    /// service, a statement fails (nothing is applied then), or the database does not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing or everything is applied.
    pub async fn migrate(&self, migrations: &[Migration]) -> Result<(), MigrateError> {
        migrate::run(&self.engine, migrations, self.migration_timeout).await
    }

    /// Asks the database in its own protocol whether it serves; at most about 5 s.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] with the reason.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn probe(&self) -> Result<(), Error> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.probe().await,
            Engine::Postgres(postgres) => postgres.probe().await,
        }
    }

    /// Closes the pools after the queries that run; later ones fail as unavailable.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the pools are closed to new queries at once; call it again to wait.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.close().await,
            Engine::Postgres(postgres) => postgres.close().await,
        }
    }
}
