//! The outbox conforms, and several relays empty it in order.

use std::sync::Arc;

use regatta_database::Engine;
use regatta_events::{CloudEvent, EventBus, HistoryQuery, MemoryBus};
use regatta_eventstore::{
    Append, EventStore, Expected, NewEvent, Outbox, Relay, RelaySettings, StreamId, conformance,
};
use regatta_eventstore_sql::SqlStore;
use regatta_testkit::wait_until;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::databases;

#[tokio::test]
async fn the_outbox_conforms() {
    for fresh in databases::both().await {
        let store = Arc::new(SqlStore::new(&fresh.database));
        conformance::outbox(store.clone(), store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_relays_publish_each_streams_messages_in_order() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        let bus = MemoryBus::default();
        let (drain, tasks) = (CancellationToken::new(), TaskTracker::new());
        for _ in 0..3 {
            let outbox = SqlStore::new(&databases::open(&fresh.url).await);
            let bus: Arc<dyn EventBus> = Arc::new(bus.clone());
            let relay = Relay::new(Arc::new(outbox), bus, RelaySettings::default());
            tasks.spawn(relay.run(drain.clone()));
        }
        for number in 0..60 {
            store.append(&append(number)).await.unwrap();
        }
        wait_until("the outbox to be empty", std::time::Duration::from_secs(60), async || {
            store.backlog().await.unwrap() == (0, 0)
        })
        .await;
        drain.cancel();
        tasks.close();
        tasks.wait().await;
        let query = HistoryQuery { limit: 1000, ..HistoryQuery::default() };
        let logged = bus.history(&query).await.unwrap();
        let ids: Vec<_> = logged.iter().map(|logged| logged.event.id().to_owned()).collect();
        assert_eq!(ids, (0..60).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_keep_the_turn_for_the_time_it_had() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        store.append(&append(1)).await.unwrap();
        let (killed, next) = (Uuid::new_v4(), Uuid::new_v4());
        let lease = RelaySettings::LONGEST_LEASE;
        assert!(store.claim(killed, lease, 10).await.unwrap().is_some());
        assert!(store.claim(next, lease, 10).await.unwrap().is_none(), "it has the turn");
        // An hour passes on the clock, backwards.
        let set_back = "UPDATE regatta_outbox_turn SET until = until + 3600000000";
        match fresh.database.engine() {
            Engine::Sqlite(sqlite) => drop(sqlx::query(set_back).execute(sqlite.writer()).await),
            Engine::Postgres(postgres) => {
                drop(sqlx::query(set_back).execute(postgres.pool()).await)
            }
        }
        assert!(store.claim(next, lease, 10).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_message_without_an_event_goes_with_its_transaction() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        let message = CloudEvent::try_new("1", "/shop", "happened").unwrap();
        let mut tx = fresh.database.begin().await.unwrap();
        store.enqueue(&mut tx, std::slice::from_ref(&message)).await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!(store.backlog().await.unwrap(), (0, 0));
        let mut tx = fresh.database.begin().await.unwrap();
        store.enqueue(&mut tx, &[message]).await.unwrap();
        tx.commit().await.unwrap();
        store.announce();
        assert_eq!(store.backlog().await.unwrap(), (1, 0));
    }
}

fn append(number: u32) -> Append {
    let event = NewEvent::new(Uuid::now_v7(), "Happened", json!({}));
    let stream = StreamId::try_new("order", 1).unwrap();
    let mut append = Append::new(stream, Expected::Any, vec![event]);
    append.outbox = vec![CloudEvent::try_new(number.to_string(), "/shop", "happened").unwrap()];
    append
}
