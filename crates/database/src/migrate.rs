//! Schema migrations: forwards only, checked, and safe with several replicas.

mod plan;
mod postgres;
mod sqlite;

use std::borrow::Cow;
use std::time::Duration;

use sqlx::migrate::MigrationType;

use crate::{Engine, Error};

/// One step of a schema, in both dialects.
///
/// Once released it is never edited; a change is a new step. A replica of the release before must
/// work with the new schema while a roll-out lasts: add first, remove a release later. A step runs
/// in a transaction, so `CREATE INDEX CONCURRENTLY` is not for here.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its place in the order: 1 or more, ascending.
    pub version: i64,
    /// What it does, in a word or two.
    pub name: &'static str,
    /// Statements for SQLite, separated by `;`.
    pub sqlite: &'static str,
    /// Statements for PostgreSQL, separated by `;`.
    pub postgres: &'static str,
}

/// A part's tables, migrated apart from the service's own.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a> {
    /// Its name: lower-case letters and `_`. What is applied is kept in `regatta_migrations_<name>`.
    pub name: &'static str,
    /// Its steps, numbered from 1.
    pub migrations: &'a [Migration],
}

impl<'a> Schema<'a> {
    /// The service's own tables, whose steps are kept in `regatta_migrations`.
    pub fn service(migrations: &'a [Migration]) -> Self {
        Self { name: "", migrations }
    }

    /// The table with what is applied.
    fn table(&self) -> String {
        match self.name {
            "" => "regatta_migrations".to_owned(),
            name => format!("regatta_migrations_{name}"),
        }
    }

    /// The name goes into statements, so it is held to what needs no quotes.
    fn validate(&self) -> Result<(), MigrateError> {
        let is_name = self.name.len() <= 32
            && self.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if is_name { Ok(()) } else { Err(MigrateError::Name { name: self.name }) }
    }
}

/// The schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The schema's name is none.
    #[error("schema name `{name}` is not valid; use up to 32 lower-case letters and `_`")]
    Name {
        /// What it was.
        name: &'static str,
    },
    /// The service's own list is wrong.
    #[error("migration `{version}` is out of order; number migrations from 1 upwards, each once")]
    Unordered {
        /// The version that is not above the one before it.
        version: i64,
    },
    /// What was applied is not what the service now carries.
    #[error(
        "migration `{version}` ({name}) was changed after it was applied; restore its text and put \
         the change into a new migration"
    )]
    Changed {
        /// The version.
        version: i64,
        /// Its name in the service.
        name: &'static str,
    },
    /// The database has a step, below the newest one known here, that the service lacks.
    #[error("migration `{version}` was applied and is not known here; is this the right database?")]
    Foreign {
        /// The version.
        version: i64,
    },
    /// A step was added below one that is applied already.
    #[error(
        "migration `{version}` comes before `{applied}`, which is applied; give it a higher number"
    )]
    Late {
        /// The version that is missing.
        version: i64,
        /// The newest applied one.
        applied: i64,
    },
    /// A statement of a step failed; nothing was applied.
    #[error("migration `{version}` failed; nothing was changed")]
    Step {
        /// The version.
        version: i64,
        /// Why.
        #[source]
        source: Error,
    },
    /// The database does not answer, or another replica migrates longer than allowed.
    #[error("cannot migrate the database")]
    Database(#[from] Error),
}

impl MigrateError {
    /// Whether the database was away or busy, so that the same call may succeed later.
    pub fn is_unavailable(&self) -> bool {
        let (Self::Database(error) | Self::Step { source: error, .. }) = self else {
            return false;
        };
        matches!(error, Error::Unavailable(_) | Error::Conflict(_) | Error::TimedOut(_))
    }
}

/// A step that the database has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Applied {
    version: i64,
    checksum: Vec<u8>,
}

/// Brings the engine's schema up; `limit` bounds the wait for another replica and each statement.
pub(crate) async fn run(
    engine: &Engine,
    schema: &Schema<'_>,
    limit: Duration,
) -> Result<(), MigrateError> {
    schema.validate()?;
    match engine {
        Engine::Sqlite(sqlite) => sqlite::run(sqlite, schema, limit).await,
        Engine::Postgres(postgres) => postgres::run(postgres, schema, limit).await,
    }
}

/// SHA-384 of the text, as sqlx computes it.
fn checksum(sql: &'static str) -> Vec<u8> {
    let migration = sqlx::migrate::Migration::new(
        0,
        Cow::Borrowed(""),
        MigrationType::Simple,
        sqlx::SqlSafeStr::into_sql_str(sql),
        false,
    );
    migration.checksum.into_owned()
}

fn announce(migration: &Migration) {
    tracing::info!(version = migration.version, name = migration.name, "migration applied");
}
