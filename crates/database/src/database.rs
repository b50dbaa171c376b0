//! The handle a service holds.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use regatta_core::Chain;

use crate::changes::Hub;
use crate::migrate::{self, MigrateError, Migration, Schema};
use crate::url::Target;
use crate::{Changes, Error, OpenError, Options, Postgres, Sqlite, Transaction};

/// First and longest pause between two tries to migrate a database that is away. The longest one
/// bounds how long a service stays unready after its database came back.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A service's database; clones share the pools.
#[derive(Clone, Debug)]
pub struct Database {
    engine: Engine,
    changes: Arc<Hub>,
    migration_timeout: Duration,
    /// The schemas that are wanted and not there: from the first try to migrate until one succeeds.
    pending: Arc<Mutex<BTreeSet<&'static str>>>,
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
        let (changes, pending) = (Arc::new(Hub::new(&engine)), Arc::default());
        Ok(Self { engine, changes, migration_timeout: options.migration_timeout, pending })
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
        let system = self.system();
        regatta_telemetry::query_classified(system, operation, table, query, Error::kind).await
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
        self.migrate_schema(&Schema::service(migrations)).await
    }

    /// As [`Database::migrate`], for the tables of a part that the service uses, which are numbered
    /// by themselves.
    ///
    /// # Errors
    ///
    /// As [`Database::migrate`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing or everything is applied.
    pub async fn migrate_schema(&self, schema: &Schema<'_>) -> Result<(), MigrateError> {
        self.pending().insert(schema.name);
        // Boxed: compiled here, and not once more in each program that polls it.
        let run: Pin<Box<dyn Future<Output = _> + Send + '_>> =
            Box::pin(migrate::run(&self.engine, schema, self.migration_timeout));
        run.await?;
        self.pending().remove(schema.name);
        Ok(())
    }

    /// [`Database::migrate`], again and again while the database is away: at first after 250 ms, then
    /// ever more seldom, at last every 5 s. Until it returns, [`Database::probe`] fails.
    ///
    /// A service awaits this in a task of its own, so that it starts without its database.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] when trying again cannot help.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing or everything is applied.
    pub async fn migrate_when_reachable(
        &self,
        migrations: &[Migration],
    ) -> Result<(), MigrateError> {
        self.migrate_schema_when_reachable(&Schema::service(migrations)).await
    }

    /// [`Database::migrate_schema`], again and again while the database is away, as
    /// [`Database::migrate_when_reachable`] does.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] when trying again cannot help.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing or everything is applied.
    pub async fn migrate_schema_when_reachable(
        &self,
        schema: &Schema<'_>,
    ) -> Result<(), MigrateError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.migrate_schema(schema).await {
                Err(error) if error.is_unavailable() => {
                    tracing::warn!(error = %Chain(&error), "cannot migrate yet; trying again");
                }
                result => return result,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Asks the database in its own protocol whether it serves; at most about 5 s.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] with the reason; [`Error::SchemaPending`] while a migration is wanted
    /// and not done.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn probe(&self) -> Result<(), Error> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.probe().await?,
            Engine::Postgres(postgres) => postgres.probe().await?,
        }
        if !self.pending().is_empty() {
            return Err(Error::SchemaPending);
        }
        Ok(())
    }

    /// Begins a transaction that may write: `BEGIN IMMEDIATE` in SQLite, READ COMMITTED in
    /// PostgreSQL. Dropped without a commit, it is rolled back.
    ///
    /// # Errors
    ///
    /// As [`Sqlite::begin`] and [`Postgres::begin`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun is rolled back.
    pub async fn begin(&self) -> Result<Transaction, Error> {
        Ok(match &self.engine {
            Engine::Sqlite(sqlite) => Transaction::Sqlite(sqlite.begin().await?),
            Engine::Postgres(postgres) => Transaction::Postgres(postgres.begin().await?),
        })
    }

    /// Begins a transaction that may write, whose commit does not wait for the disk: a crash of
    /// PostgreSQL's server, or of SQLite's machine, may take it back with what else did not wait. For
    /// what may be done twice.
    ///
    /// # Errors
    ///
    /// As [`Database::begin`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun is rolled back.
    pub async fn begin_lax(&self) -> Result<Transaction, Error> {
        Ok(match &self.engine {
            Engine::Sqlite(sqlite) => Transaction::Sqlite(sqlite.begin_lax().await?),
            Engine::Postgres(postgres) => {
                let begin = "BEGIN; SET LOCAL synchronous_commit = off";
                Transaction::Postgres(postgres.pool().begin_with(begin).await?)
            }
        })
    }

    /// Tells and hears of commits, in whatever process they are made. `channel` names what changed:
    /// at most 63 characters. However many are asked for, one connection listens for all.
    pub fn changes(&self, channel: &'static str) -> Changes {
        Changes::new(self.changes.clone(), channel)
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

    fn pending(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        // A set of names is whole whatever happened to who held it.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
