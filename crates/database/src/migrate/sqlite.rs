//! Migrations under SQLite's own write lock.

use std::time::Duration;

use sqlx::SqliteTransaction;

use super::{Applied, MigrateError, Migration, announce, checksum, plan};
use crate::{Error, Sqlite};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS regatta_migrations (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum BLOB NOT NULL,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)";

pub(super) async fn run(
    sqlite: &Sqlite,
    migrations: &[Migration],
    limit: Duration,
) -> Result<(), MigrateError> {
    // SQLite's busy timeout is per statement and shorter than another replica may need.
    let deadline = tokio::time::Instant::now() + limit;
    let mut transaction = loop {
        match sqlite.begin().await {
            Ok(transaction) => break transaction,
            Err(Error::Conflict(_)) if tokio::time::Instant::now() < deadline => {
                tracing::info!("waiting for another process that writes to the database");
            }
            Err(error) => return Err(error.into()),
        }
    };
    sqlx::raw_sql(TABLE).execute(&mut *transaction).await.map_err(Error::from)?;
    let applied = applied(&mut transaction).await?;
    let pending = plan::pending(migrations, &applied, |migration| migration.sqlite)?;
    for migration in &pending {
        apply(&mut transaction, migration)
            .await
            .map_err(|source| MigrateError::Step { version: migration.version, source })?;
    }
    transaction.commit().await.map_err(Error::from)?;
    pending.into_iter().for_each(announce);
    Ok(())
}

async fn applied(transaction: &mut SqliteTransaction<'_>) -> Result<Vec<Applied>, Error> {
    let rows: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM regatta_migrations ORDER BY version")
            .fetch_all(&mut **transaction)
            .await?;
    Ok(rows.into_iter().map(|(version, checksum)| Applied { version, checksum }).collect())
}

async fn apply(
    transaction: &mut SqliteTransaction<'_>,
    migration: &Migration,
) -> Result<(), Error> {
    sqlx::raw_sql(migration.sqlite).execute(&mut **transaction).await?;
    sqlx::query("INSERT INTO regatta_migrations (version, name, checksum) VALUES (?1, ?2, ?3)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(checksum(migration.sqlite))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
