//! What the database itself holds of a person, before and after.

use std::time::Duration;

use regatta_database::{Database, Engine, Options};
use regatta_eventstore::{
    Append, EventStore, Expected, NewEvent, Personal, Snapshot, StreamId, SubjectId,
};
use regatta_eventstore_sql::SqlStore;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::databases;

#[tokio::test]
async fn the_tables_never_hold_personal_data_in_the_clear() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        let ada = SubjectId::try_new("user-1").unwrap();
        let Value::Object(members) = json!({ "email": "ada@example.com" }) else { panic!() };
        let personal = Some(Personal { subject: ada.clone(), members });
        let event =
            NewEvent { personal, ..NewEvent::new(Uuid::now_v7(), "Joined", json!({ "id": 1 })) };
        let stream = StreamId::try_new("user", 1).unwrap();
        store.append(&Append::new(stream, Expected::Any, vec![event.clone()])).await.unwrap();
        let read = store.find(event.id).await.unwrap().unwrap();
        assert_eq!(read.data["email"], "ada@example.com");
        assert!(!columns(&fresh.database).await.contains("ada@"));
        assert_eq!(keys(&fresh.database).await, 1);
        store.erase(&ada).await.unwrap();
        assert_eq!(keys(&fresh.database).await, 0);

        let again = Append::new(read.stream, Expected::Any, vec![event]);
        assert!(store.append(&again).await.unwrap().repeated, "it happened before the erasure");
    }
}

async fn columns(database: &Database) -> String {
    let (data, sealed): (String, Vec<u8>) = match database.engine() {
        Engine::Sqlite(sqlite) => {
            let select = "SELECT data || metadata, sealed FROM regatta_events";
            sqlx::query_as(select).fetch_one(sqlite.reader()).await.unwrap()
        }
        Engine::Postgres(postgres) => {
            let select = "SELECT data::text || metadata::text, sealed FROM regatta_events";
            sqlx::query_as(select).fetch_one(postgres.pool()).await.unwrap()
        }
    };
    format!("{data} {}", String::from_utf8_lossy(&sealed))
}

async fn keys(database: &Database) -> i64 {
    let select = "SELECT count(key) FROM regatta_subjects";
    match database.engine() {
        Engine::Sqlite(sqlite) => sqlx::query_scalar(select).fetch_one(sqlite.reader()).await,
        Engine::Postgres(postgres) => sqlx::query_scalar(select).fetch_one(postgres.pool()).await,
    }
    .unwrap()
}

/// A deleted row is only free space, and a write-ahead log keeps each page as it was.
#[tokio::test]
async fn the_files_of_sqlite_do_not_hold_a_key_that_was_erased_nor_what_a_snapshot_knew() {
    let fresh = databases::sqlite().await;
    let store = SqlStore::new(&fresh.database);
    // Many, so that pages were split and rows moved.
    for number in 0..300 {
        join(&store, number).await;
    }
    let erased = ["user-0", "user-7", "user-150", "user-299"];
    let mut keys = Vec::new();
    for subject in erased {
        keys.push(key(&fresh.database, subject).await);
    }
    let kept = key(&fresh.database, "user-8").await;
    assert!(keys.iter().all(|key| fresh.files_hold(key)), "they are looked for where they are");
    assert!(fresh.files_hold(b"person-7@example.com"), "a snapshot is in the clear");
    for subject in erased {
        store.erase(&SubjectId::try_new(subject).unwrap()).await.unwrap();
    }
    for (subject, key) in erased.iter().zip(&keys) {
        assert!(!fresh.files_hold(key), "the key of {subject}");
    }
    assert!(!fresh.files_hold(b"person-7@example.com"));
    assert!(fresh.files_hold(&kept));
}

#[tokio::test]
async fn an_erasure_that_a_reader_keeps_from_the_files_is_told_and_done_again() {
    let fresh = databases::sqlite().await;
    let mut options = Options::default();
    options.lock_timeout = Duration::from_millis(50);
    let store = SqlStore::new(&Database::open(&fresh.url, &options).unwrap());
    join(&store, 1).await;
    let subject = SubjectId::try_new("user-1").unwrap();
    let key = key(&fresh.database, "user-1").await;
    let Engine::Sqlite(sqlite) = fresh.database.engine() else { panic!("is SQLite") };
    let mut reading = sqlite.reader().begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM regatta_events").execute(&mut *reading).await.unwrap();
    let busy = store.erase(&subject).await.unwrap_err();
    assert!(busy.is_retryable(), "{busy:?}");
    reading.rollback().await.unwrap();
    assert!(store.erase(&subject).await.unwrap());
    assert!(!fresh.files_hold(&key));
}

async fn join(store: &SqlStore, number: u32) {
    let email = format!("person-{number}@example.com");
    let Value::Object(members) = json!({ "email": email }) else { panic!("is an object") };
    let subject = SubjectId::try_new(format!("user-{number}")).unwrap();
    let personal = Some(Personal { subject, members });
    let event =
        NewEvent { personal, ..NewEvent::new(Uuid::now_v7(), "Joined", json!({ "id": number })) };
    let stream = StreamId::try_new("user", number).unwrap();
    let append = Append::new(stream.clone(), Expected::Any, vec![event]);
    let version = store.append(&append).await.unwrap().version;
    let state = json!({ "email": email });
    store.save_snapshot(&Snapshot { stream, version, revision: 1, state }).await.unwrap();
}

async fn key(database: &Database, subject: &str) -> Vec<u8> {
    let Engine::Sqlite(sqlite) = database.engine() else { panic!("is SQLite") };
    let select = "SELECT key FROM regatta_subjects WHERE subject = $1";
    sqlx::query_scalar(select).bind(subject).fetch_one(sqlite.reader()).await.unwrap()
}
