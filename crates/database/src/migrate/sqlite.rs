//! Migrations under SQLite's own write lock.

use std::time::Duration;

use sqlx::{AssertSqlSafe, SqliteTransaction};

use super::{Applied, MigrateError, Migration, Schema, announce, checksum, plan};
use crate::{Error, Sqlite};

/// The columns of the table with what is applied.
const COLUMNS: &str = "(
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum BLOB NOT NULL,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)";

pub(super) async fn run(
    sqlite: &Sqlite,
    schema: &Schema<'_>,
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
    // The name is made of letters and `_` alone, so it needs no quotes here and below.
    let table = schema.table();
    let create = AssertSqlSafe(format!("CREATE TABLE IF NOT EXISTS {table} {COLUMNS}"));
    sqlx::raw_sql(create).execute(&mut *transaction).await.map_err(Error::from)?;
    let applied = applied(&mut transaction, &table).await?;
    let pending = plan::pending(schema.migrations, &applied, |migration| migration.sqlite)?;
    for migration in &pending {
        apply(&mut transaction, &table, migration)
            .await
            .map_err(|source| MigrateError::Step { version: migration.version, source })?;
    }
    transaction.commit().await.map_err(Error::from)?;
    pending.into_iter().for_each(announce);
    Ok(())
}

async fn applied(
    transaction: &mut SqliteTransaction<'_>,
    table: &str,
) -> Result<Vec<Applied>, Error> {
    let select = AssertSqlSafe(format!("SELECT version, checksum FROM {table} ORDER BY version"));
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(select).fetch_all(&mut **transaction).await?;
    Ok(rows.into_iter().map(|(version, checksum)| Applied { version, checksum }).collect())
}

async fn apply(
    transaction: &mut SqliteTransaction<'_>,
    table: &str,
    migration: &Migration,
) -> Result<(), Error> {
    sqlx::raw_sql(migration.sqlite).execute(&mut **transaction).await?;
    let insert = format!("INSERT INTO {table} (version, name, checksum) VALUES (?1, ?2, ?3)");
    sqlx::query(AssertSqlSafe(insert))
        .bind(migration.version)
        .bind(migration.name)
        .bind(checksum(migration.sqlite))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
