//! A database that goes away and comes back.

use std::process::Command;
use std::time::Duration;

use regatta_database::{Database, Engine, Options};
use regatta_eventstore::{Append, AppendError, EventStore, Expected, NewEvent, Range, StreamId};
use regatta_eventstore_sql::{SCHEMA, SqlStore};
use regatta_testkit::{Postgres, wait_until};
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::databases;

#[tokio::test]
async fn an_append_that_failed_is_repeated_with_its_ids_when_the_server_is_back() {
    let mut server = Postgres::start().await.unwrap();
    let mut options = Options::default();
    options.acquire_timeout = Duration::from_millis(300);
    let database = Database::open(&server.database().await.unwrap(), &options).unwrap();
    database.migrate_schema(&SCHEMA).await.unwrap();
    let store = SqlStore::new(&database);
    let event = NewEvent::new(Uuid::now_v7(), "Placed", json!({}));
    let append = Append::new(StreamId::try_new("order", 1).unwrap(), Expected::Any, vec![event]);
    store.append(&append).await.unwrap();
    server.stop();
    let error = store.append(&append).await.unwrap_err();
    assert!(matches!(&error, AppendError::Store(error) if error.is_retryable()), "{error:?}");
    server.resume().await.unwrap();
    wait_until("the pool to heal", Duration::from_secs(30), async || {
        store.append(&append).await.is_ok_and(|done| done.repeated)
    })
    .await;
}

#[tokio::test]
async fn a_store_without_its_tables_says_so() {
    let database = Database::open("sqlite::memory:", &Options::default()).unwrap();
    let store = SqlStore::new(&database);
    let error = store.head().await.unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn a_full_disk_refuses_appends_loses_nothing_and_is_written_to_again_when_there_is_room() {
    let fresh = databases::sqlite().await;
    let store = SqlStore::new(&fresh.database);
    let stream = StreamId::try_new("order", 1).unwrap();
    let next = || {
        let event = NewEvent::new(Uuid::now_v7(), "Placed", json!({ "note": "x".repeat(3000) }));
        Append::new(stream.clone(), Expected::Any, vec![event])
    };
    allow_pages(&fresh.database, 80).await;
    let mut acknowledged = 0;
    let refused = loop {
        match store.append(&next()).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&refused, AppendError::Store(error) if error.is_retryable()), "{refused:?}");
    let versions = async || {
        let events = store.read_stream(&stream, Range::default(), 1000).await.unwrap();
        events.iter().map(|event| event.version.get()).collect::<Vec<_>>()
    };
    assert!(acknowledged > 3, "{acknowledged}");
    assert_eq!(versions().await, (1..=acknowledged).collect::<Vec<_>>());
    allow_pages(&fresh.database, 100_000).await;
    store.append(&next()).await.unwrap();
    assert_eq!(versions().await, (1..=acknowledged + 1).collect::<Vec<_>>());
}

#[tokio::test]
async fn psql_reads_what_was_appended() {
    let fresh = databases::postgres().await;
    let store = SqlStore::new(&fresh.database);
    let event = NewEvent::new(Uuid::now_v7(), "Placed", json!({ "amount": 42.5, "for": "Zoë" }));
    let stream = StreamId::try_new("order", 7).unwrap();
    store.append(&Append::new(stream, Expected::Any, vec![event])).await.unwrap();
    let select = "SELECT stream, version, type, data->>'amount', data->>'for' FROM regatta_events";
    let mut psql = Command::new("psql");
    let output = psql.args([&fresh.url, "-tAc", select]).output();
    let output = output.expect("psql is installed: apt-get install postgresql-client");
    assert!(output.status.success(), "{output:?}");
    let line = String::from_utf8(output.stdout).unwrap();
    assert_eq!(line.trim(), "order-7|1|Placed|42.5|Zoë");
}

/// Lets the file grow to so many pages, as a disk of that size would.
async fn allow_pages(database: &Database, pages: u32) {
    let Engine::Sqlite(sqlite) = database.engine() else { panic!("is a file") };
    let pragma = format!("PRAGMA max_page_count = {pages}");
    sqlx::query(AssertSqlSafe(pragma)).execute(sqlite.writer()).await.unwrap();
}
