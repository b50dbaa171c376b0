//! Claims and acknowledgements: many at a time, and none cut off half-way.

use std::sync::Arc;
use std::time::Duration;

use regatta_database::{Database, Engine, Transaction};
use regatta_events::{
    CloudEvent, Consumer, Delivery, EventBus, GroupName, Start, Subscription, handler,
};
use regatta_events_sql::SqlBus;
use regatta_testkit::{Postgres, wait_until};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::databases;

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_is_free_comes_at_once_and_one_of_each_key() {
    for fresh in databases::both().await {
        let bus = SqlBus::new(&fresh.database);
        let mut deliveries = bus.subscribe(asks("many")).await.unwrap();
        let keys = [Some("a"), Some("a"), Some("b"), None, None];
        let events: Vec<_> = (0..).zip(keys).map(|(id, key)| event(id, key)).collect();
        bus.publish(&events).await.unwrap();
        let mut batch = deliveries.next_batch().await.unwrap();
        assert_eq!(ids(&batch), ["0", "2", "3", "4"]);
        batch.remove(0).ack().await.unwrap();
        assert_eq!(ids(&deliveries.next_batch().await.unwrap()), ["1"]);
    }
}

#[tokio::test]
async fn a_batch_has_no_more_than_may_be_in_flight() {
    for fresh in databases::both().await {
        let bus = SqlBus::new(&fresh.database);
        let mut asks = asks("few");
        asks.max_in_flight = 3;
        let mut deliveries = bus.subscribe(asks).await.unwrap();
        let events: Vec<_> = (0..5).map(|id| event(id, None)).collect();
        bus.publish(&events).await.unwrap();
        let batch = deliveries.next_batch().await.unwrap();
        assert_eq!(ids(&batch), ["0", "1", "2"]);
        drop(batch);
        assert_eq!(ids(&deliveries.next_batch().await.unwrap()), ["3", "4"]);
    }
}

#[tokio::test]
async fn a_batch_is_claimed_in_one_statement_and_acknowledged_in_one() {
    let fresh = databases::postgres().await;
    let bus = SqlBus::new(&fresh.database);
    let events: Vec<_> = (0..10).map(|id| event(id, None)).collect();
    bus.publish(&events).await.unwrap();
    for statement in [
        "CREATE TABLE told (what TEXT)",
        "CREATE FUNCTION tell() RETURNS TRIGGER LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO told VALUES (TG_OP); RETURN NULL; END $$",
        "CREATE TRIGGER tell AFTER UPDATE OR DELETE ON regatta_bus_open
             FOR EACH STATEMENT EXECUTE FUNCTION tell()",
    ] {
        sqlx::query(statement).execute(pool(&fresh.database)).await.unwrap();
    }
    let mut deliveries = bus.subscribe(asks("counted")).await.unwrap();
    let batch = deliveries.next_batch().await.unwrap();
    assert_eq!(batch.len(), 10);
    futures::future::try_join_all(batch.into_iter().map(Delivery::ack)).await.unwrap();
    let told: Vec<(String, i64)> =
        sqlx::query_as("SELECT what, count(*) FROM told GROUP BY what ORDER BY what")
            .fetch_all(pool(&fresh.database))
            .await
            .unwrap();
    // The first look found nothing open yet.
    assert_eq!(told, [("DELETE".to_owned(), 1), ("UPDATE".to_owned(), 2)]);
}

#[tokio::test]
async fn a_claim_waits_for_no_disk_and_an_acknowledgement_does() {
    let server = Postgres::start().await.unwrap();
    let database = databases::open(&server.database().await.unwrap()).await;
    let bus = SqlBus::new(&database);
    let mut asks = asks("swift");
    asks.max_in_flight = 1;
    bus.publish(&[event(1, None), event(2, None)]).await.unwrap();
    let (mut one, mut two) =
        (bus.subscribe(asks.clone()).await.unwrap(), bus.subscribe(asks).await.unwrap());
    let first = one.next().await.unwrap();
    // A commit that waits for its log to be safe waits for a standby that is not there.
    for statement in
        ["ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()"]
    {
        sqlx::query(statement).execute(pool(&database)).await.unwrap();
    }
    let mut id = 10;
    wait_until("commits to wait", LIMIT, async || {
        id += 1;
        let more = [event(id, None)];
        timeout(Duration::from_millis(300), bus.publish(&more)).await.is_err()
    })
    .await;
    let second = timeout(LIMIT, two.next()).await.expect("a claim does not wait").unwrap();
    assert_eq!(second.event().id(), "2");
    timeout(Duration::from_millis(300), first.ack()).await.expect_err("it must not be lost");
}

#[tokio::test]
async fn a_claim_that_is_under_way_at_drain_is_given_back() {
    let fresh = databases::postgres().await;
    let bus = SqlBus::new(&fresh.database);
    opened(&bus, "drains").await;
    let held = hold_open_events(&fresh.database).await;
    let (drain, tasks) = (CancellationToken::new(), TaskTracker::new());
    let consumer = Consumer::new(
        Arc::new(bus.clone()),
        asks("drains"),
        handler(async |event: CloudEvent| panic!("nobody asked for {event:?}")),
    );
    let consumer = tasks.spawn(consumer.run(drain.clone()));
    claim_waits(&fresh.database).await;
    drain.cancel();
    // It sees the drain before the claim is through.
    tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>()).await.ok();
    held.rollback().await.unwrap();
    timeout(LIMIT, consumer).await.unwrap().unwrap().unwrap();
    comes_at_once(&bus, "drains").await;
}

#[tokio::test]
async fn a_claim_whose_subscriber_goes_is_given_back_and_one_that_stays_has_it() {
    let fresh = databases::postgres().await;
    let bus = SqlBus::new(&fresh.database);
    for stays in [true, false] {
        let group = if stays { "stays" } else { "goes" };
        opened(&bus, group).await;
        let held = hold_open_events(&fresh.database).await;
        let mut deliveries = bus.subscribe(asks(group)).await.unwrap();
        let waits = async {
            tokio::select! {
                next = deliveries.next() => panic!("it waits for the lock: {next:?}"),
                () = claim_waits(&fresh.database) => (),
            }
        };
        waits.await;
        if stays {
            held.rollback().await.unwrap();
            let delivery = timeout(LIMIT, deliveries.next()).await.unwrap().unwrap();
            assert_eq!((delivery.event().id(), delivery.number()), ("2", 1));
        } else {
            drop(deliveries);
            held.rollback().await.unwrap();
            comes_at_once(&bus, group).await;
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_nobody_wait_for_the_time_it_had() {
    for fresh in databases::both().await {
        let bus = SqlBus::new(&fresh.database);
        let mut asks = asks("clock");
        asks.lease = Duration::from_secs(60);
        bus.publish(&[event(1, None), event(2, None)]).await.unwrap();
        let mut deliveries = bus.subscribe(asks.clone()).await.unwrap();
        let lost = deliveries.next().await.unwrap();
        deliveries.next().await.unwrap().retry("later").await.unwrap();
        // An hour passes on the clock, backwards.
        let set_back = "UPDATE regatta_bus_open SET until = until + 3600000000";
        match fresh.database.engine() {
            Engine::Sqlite(sqlite) => drop(sqlx::query(set_back).execute(sqlite.writer()).await),
            Engine::Postgres(postgres) => {
                drop(sqlx::query(set_back).execute(postgres.pool()).await)
            }
        }
        let mut deliveries = bus.subscribe(asks).await.unwrap();
        for id in ["1", "2"] {
            let again = timeout(LIMIT, deliveries.next()).await.expect("it comes").unwrap();
            assert_eq!((again.event().id(), again.number()), (id, 2));
            again.ack().await.unwrap();
        }
        lost.ack().await.unwrap_err();
    }
}

/// A group with one event that is done and one that is open.
async fn opened(bus: &SqlBus, group: &str) {
    bus.publish(&[event(1, None), event(2, None)]).await.unwrap();
    let mut deliveries = bus.subscribe(asks(group)).await.unwrap();
    deliveries.next().await.unwrap().ack().await.unwrap();
}

/// The second event comes, for the first time, long before a lease could run out.
async fn comes_at_once(bus: &SqlBus, group: &str) {
    let mut deliveries = bus.subscribe(asks(group)).await.unwrap();
    let delivery = timeout(LIMIT, deliveries.next()).await.expect("it was given back").unwrap();
    assert_eq!((delivery.event().id(), delivery.number()), ("2", 1));
}

async fn hold_open_events(database: &Database) -> Transaction {
    let mut held = database.begin().await.unwrap();
    let Transaction::Postgres(postgres) = &mut held else { panic!("is PostgreSQL") };
    let lock = sqlx::query("LOCK TABLE regatta_bus_open IN EXCLUSIVE MODE");
    lock.execute(&mut **postgres).await.unwrap();
    held
}

/// Waits until somebody waits for the table.
async fn claim_waits(database: &Database) {
    wait_until("a claim to wait", LIMIT, async || {
        let waits = "SELECT count(*) FROM pg_locks
            WHERE NOT granted AND relation = 'regatta_bus_open'::regclass";
        let waits: i64 = sqlx::query_scalar(waits).fetch_one(pool(database)).await.unwrap();
        waits > 0
    })
    .await;
}

fn pool(database: &Database) -> &sqlx::PgPool {
    let Engine::Postgres(postgres) = database.engine() else { panic!("is PostgreSQL") };
    postgres.pool()
}

fn asks(group: &str) -> Subscription {
    let mut asks = Subscription::new(GroupName::try_new(group).unwrap());
    asks.start = Start::Beginning;
    asks.lease = Duration::from_secs(600);
    asks
}

fn event(id: u32, key: Option<&str>) -> CloudEvent {
    let event = CloudEvent::try_new(id.to_string(), "/shop", "order.placed").unwrap();
    match key {
        Some(key) => event.with_extension(CloudEvent::PARTITION_KEY, key).unwrap(),
        None => event,
    }
}

fn ids(batch: &[Delivery]) -> Vec<&str> {
    batch.iter().map(|delivery| delivery.event().id()).collect()
}
