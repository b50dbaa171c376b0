//! Both engines conform, and give their store to any number of processes.

use std::sync::Arc;

use regatta_eventstore::{Append, EventStore, Expected, NewEvent, StreamId, conformance};
use regatta_eventstore_sql::SqlStore;
use serde_json::json;
use uuid::Uuid;

use crate::databases;

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_sqlite_conforms() {
    let fresh = databases::sqlite().await;
    conformance::all(Arc::new(SqlStore::new(&fresh.database))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_postgres_conforms() {
    let fresh = databases::postgres().await;
    conformance::all(Arc::new(SqlStore::new(&fresh.database))).await;
}

#[tokio::test]
async fn an_append_and_what_is_written_with_it_happen_together_or_not() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        let stream = StreamId::try_new("order", 1).unwrap();
        let event = NewEvent::new(Uuid::now_v7(), "Placed", json!({}));
        let append = Append::new(stream, Expected::Any, vec![event.clone()]);
        let mut given_up = fresh.database.begin().await.unwrap();
        store.append_in(&mut given_up, &append).await.unwrap();
        given_up.rollback().await.unwrap();
        assert_eq!(store.find(event.id).await.unwrap(), None);
        let mut made = fresh.database.begin().await.unwrap();
        store.append_in(&mut made, &append).await.unwrap();
        made.commit().await.unwrap();
        assert_eq!(store.find(event.id).await.unwrap().unwrap().version.get(), 1);
    }
}

#[tokio::test]
async fn the_same_append_in_two_processes_at_once_happens_once() {
    for fresh in databases::both().await {
        let other = databases::open(&fresh.url).await;
        let (here, there) = (SqlStore::new(&fresh.database), SqlStore::new(&other));
        for number in 0..20 {
            let stream = StreamId::try_new("order", number).unwrap();
            let event = NewEvent::new(Uuid::now_v7(), "Placed", json!({}));
            let append = Append::new(stream, Expected::Any, vec![event]);
            let (one, two) = tokio::join!(here.append(&append), there.append(&append));
            let (one, two) = (one.unwrap(), two.unwrap());
            assert_eq!(one.position, two.position);
            assert!(one.repeated != two.repeated, "{one:?} {two:?}");
        }
    }
}
