//! Migrations under a PostgreSQL advisory lock.

use std::time::Duration;

use sqlx::{Acquire, AssertSqlSafe, PgTransaction};

use super::{Applied, MigrateError, Migration, Schema, announce, checksum, plan};
use crate::{Error, Postgres};

/// `regatta` in ASCII. Advisory locks are per database, so services do not meet on it.
const LOCK: i64 = 0x0072_6567_6174_7461;

/// The columns of the table with what is applied.
const COLUMNS: &str = "(
    version BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    checksum BYTEA NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
)";

pub(super) async fn run(
    postgres: &Postgres,
    schema: &Schema<'_>,
    limit: Duration,
) -> Result<(), MigrateError> {
    let mut connection = postgres.connect().await?;
    let mut transaction = connection.begin().await.map_err(Error::from)?;
    lock(&mut transaction, limit).await?;
    // The name is made of letters and `_` alone, so it needs no quotes here and below.
    let table = schema.table();
    let create = AssertSqlSafe(format!("CREATE TABLE IF NOT EXISTS {table} {COLUMNS}"));
    sqlx::raw_sql(create).execute(&mut *transaction).await.map_err(Error::from)?;
    let applied = applied(&mut transaction, &table).await?;
    let pending = plan::pending(schema.migrations, &applied, |migration| migration.postgres)?;
    for migration in &pending {
        apply(&mut transaction, &table, migration)
            .await
            .map_err(|source| MigrateError::Step { version: migration.version, source })?;
    }
    transaction.commit().await.map_err(Error::from)?;
    pending.into_iter().for_each(announce);
    Ok(())
}

/// Waits for the other replicas; the lock ends with the transaction, also when we are killed.
async fn lock(transaction: &mut PgTransaction<'_>, limit: Duration) -> Result<(), Error> {
    let limit = limit.as_millis();
    let limits = format!("SET LOCAL lock_timeout = {limit}; SET LOCAL statement_timeout = {limit}");
    // Only a number is interpolated.
    sqlx::raw_sql(AssertSqlSafe(limits)).execute(&mut **transaction).await?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK);
    lock.execute(&mut **transaction).await?;
    Ok(())
}

async fn applied(transaction: &mut PgTransaction<'_>, table: &str) -> Result<Vec<Applied>, Error> {
    let select = AssertSqlSafe(format!("SELECT version, checksum FROM {table} ORDER BY version"));
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(select).fetch_all(&mut **transaction).await?;
    Ok(rows.into_iter().map(|(version, checksum)| Applied { version, checksum }).collect())
}

async fn apply(
    transaction: &mut PgTransaction<'_>,
    table: &str,
    migration: &Migration,
) -> Result<(), Error> {
    sqlx::raw_sql(migration.postgres).execute(&mut **transaction).await?;
    let insert = format!("INSERT INTO {table} (version, name, checksum) VALUES ($1, $2, $3)");
    sqlx::query(AssertSqlSafe(insert))
        .bind(migration.version)
        .bind(migration.name)
        .bind(checksum(migration.postgres))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
