//! Snapshots, one per stream.

use regatta_database::{Database, Error as DatabaseError, Transaction, executing, reading};
use regatta_eventstore::{Snapshot, StoreError, StreamId, Version};

use crate::engine::{broken, failed, signed, unsigned};

pub(crate) async fn load(
    database: &Database,
    stream: &StreamId,
    revision: u32,
) -> Result<Option<Snapshot>, StoreError> {
    let select = "SELECT version, state FROM regatta_snapshots WHERE stream = $1 AND revision = $2";
    let select = async {
        reading!(database, |pool| {
            sqlx::query_as(select)
                .bind(stream.as_str())
                .bind(i64::from(revision))
                .fetch_optional(pool)
        })
    };
    let held: Option<(i64, String)> =
        database.query("SELECT", "regatta_snapshots", select).await.map_err(failed)?;
    let Some((version, state)) = held else { return Ok(None) };
    let state = serde_json::from_str(&state).map_err(broken)?;
    let version = Version::new(unsigned(version));
    Ok(Some(Snapshot { stream: stream.clone(), version, revision, state }))
}

/// Keeps a snapshot in place of an older one, unless it may remember who is erased.
pub(crate) async fn save(database: &Database, snapshot: &Snapshot) -> Result<(), StoreError> {
    let save = async {
        let mut transaction = database.begin().await?;
        if let Transaction::Postgres(postgres) = &mut transaction {
            // An erasure at the same time waits, and then deletes what is written here.
            let lock = "SELECT FROM regatta_subjects WHERE subject IN
                (SELECT subject FROM regatta_events WHERE stream = $1) FOR SHARE";
            let lock = sqlx::query(lock).bind(snapshot.stream.as_str());
            lock.execute(&mut **postgres).await?;
        }
        write(&mut transaction, snapshot).await?;
        transaction.commit().await
    };
    database.query("INSERT", "regatta_snapshots", save).await.map_err(failed)
}

async fn write(transaction: &mut Transaction, snapshot: &Snapshot) -> Result<(), DatabaseError> {
    let upsert = "INSERT INTO regatta_snapshots (stream, version, revision, state)
        SELECT $1, $2, $3, $4 WHERE NOT EXISTS (
            SELECT 1 FROM regatta_events e JOIN regatta_subjects s ON s.subject = e.subject
            WHERE e.stream = $1 AND s.key IS NULL
        )
        ON CONFLICT (stream) DO UPDATE SET
            version = excluded.version, revision = excluded.revision, state = excluded.state
        WHERE regatta_snapshots.revision <> excluded.revision
            OR regatta_snapshots.version < excluded.version";
    executing!(transaction, |connection| {
        sqlx::query(upsert)
            .bind(snapshot.stream.as_str())
            .bind(signed(snapshot.version.get()))
            .bind(i64::from(snapshot.revision))
            .bind(snapshot.state.to_string())
            .execute(connection)
    })
    .map(drop)
}
