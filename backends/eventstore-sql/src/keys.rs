//! The keys of the people that events are about.

use std::collections::{BTreeSet, HashMap};

use regatta_database::{
    Database, Engine, Error as DatabaseError, Transaction, executing, in_transaction,
};
use regatta_eventstore::{Append, AppendError, StoreError, SubjectId, SubjectKey};

use crate::engine::{broken, failed, micros, wall_clock};
use crate::row::Row;

/// The keys of the rows' subjects, without those that are erased.
pub(crate) async fn of_rows(
    database: &Database,
    rows: &[Row],
) -> Result<HashMap<String, SubjectKey>, StoreError> {
    let subjects: BTreeSet<&str> = rows.iter().filter_map(|row| row.subject.as_deref()).collect();
    if subjects.is_empty() {
        return Ok(HashMap::new());
    }
    let subjects: Vec<_> = subjects.into_iter().map(str::to_owned).collect();
    let held: Result<Vec<(String, Vec<u8>)>, DatabaseError> = match database.engine() {
        Engine::Sqlite(sqlite) => {
            let select = "SELECT subject, key FROM regatta_subjects
                WHERE key IS NOT NULL AND subject IN (SELECT value FROM json_each($1))";
            let select = sqlx::query_as(select).bind(serde_json::Value::from(subjects).to_string());
            database.query("SELECT", "regatta_subjects", select.fetch_all(sqlite.reader())).await
        }
        Engine::Postgres(postgres) => {
            let select = "SELECT subject, key FROM regatta_subjects
                WHERE key IS NOT NULL AND subject = ANY ($1)";
            let select = sqlx::query_as(select).bind(subjects);
            database.query("SELECT", "regatta_subjects", select.fetch_all(postgres.pool())).await
        }
    };
    let key = |(subject, bytes): (String, Vec<u8>)| {
        let key = SubjectKey::from_bytes(&bytes).ok_or_else(|| broken("a key of no length"))?;
        Ok((subject, key))
    };
    held.map_err(failed)?.into_iter().map(key).collect()
}

/// What of each event is sealed; new subjects get their key in this transaction.
pub(crate) async fn seal(
    transaction: &mut Transaction,
    append: &Append,
) -> Result<Vec<Option<Vec<u8>>>, AppendError> {
    let mut keys: HashMap<&SubjectId, SubjectKey> = HashMap::new();
    let mut sealed = Vec::with_capacity(append.events.len());
    for event in &append.events {
        let Some(personal) = &event.personal else {
            sealed.push(None);
            continue;
        };
        let subject = &personal.subject;
        if !keys.contains_key(subject) {
            let key = key_of(transaction, subject).await.map_err(failed)?;
            let key = key.ok_or_else(|| AppendError::Erased { subject: subject.clone() })?;
            keys.insert(subject, key);
        }
        sealed.push(keys.get(subject).map(|key| key.seal(event.id, &personal.members)));
    }
    Ok(sealed)
}

/// The subject's key, made now when it is new; none when it is erased.
///
/// The row is locked until the transaction ends (by the upsert, which also waits for another one
/// that makes or erases it), so that nothing is sealed with a key that goes at the same time.
async fn key_of(
    transaction: &mut Transaction,
    subject: &SubjectId,
) -> Result<Option<SubjectKey>, DatabaseError> {
    let fresh = SubjectKey::generate();
    let upsert = "INSERT INTO regatta_subjects (subject, key) VALUES ($1, $2)
        ON CONFLICT (subject) DO UPDATE SET subject = excluded.subject RETURNING key";
    let (held,): (Option<Vec<u8>>,) = in_transaction!(transaction, |connection| {
        sqlx::query_as(upsert).bind(subject.as_str()).bind(fresh.as_bytes()).fetch_one(connection)
    })?;
    Ok(held.and_then(|bytes| SubjectKey::from_bytes(&bytes)))
}

/// Forgets the key and what snapshots may remember; false when the subject is not known.
pub(crate) async fn erase(
    transaction: &mut Transaction,
    subject: &SubjectId,
) -> Result<bool, DatabaseError> {
    let erase = "UPDATE regatta_subjects SET key = NULL, erased_at = coalesce(erased_at, $2)
        WHERE subject = $1";
    let now = micros(wall_clock());
    let erased = executing!(transaction, |connection| {
        sqlx::query(erase).bind(subject.as_str()).bind(now).execute(connection)
    })?;
    let forget = "DELETE FROM regatta_snapshots WHERE stream IN
        (SELECT stream FROM regatta_events WHERE subject = $1)";
    executing!(transaction, |connection| {
        sqlx::query(forget).bind(subject.as_str()).execute(connection)
    })?;
    Ok(erased > 0)
}
