//! A database that goes away and comes back.

use std::time::Duration;

use regatta_database::{Database, Options};
use regatta_eventstore::{Append, AppendError, EventStore, Expected, NewEvent, StreamId};
use regatta_eventstore_sql::{SCHEMA, SqlStore};
use regatta_testkit::{Postgres, wait_until};
use serde_json::json;
use uuid::Uuid;

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
