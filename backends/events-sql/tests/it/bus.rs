//! Both engines conform; processes share the bus.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use regatta_events::{BusError, CloudEvent, EventBus, GroupName, Start, Subscription, conformance};
use regatta_events_sql::SqlBus;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::databases;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_bus_in_sqlite_conforms() {
    let fresh = databases::sqlite().await;
    conformance::all(Arc::new(SqlBus::new(&fresh.database))).await;
}

#[tokio::test]
async fn the_bus_in_postgres_conforms() {
    let fresh = databases::postgres().await;
    conformance::all(Arc::new(SqlBus::new(&fresh.database))).await;
}

#[tokio::test]
async fn an_event_of_another_process_comes_without_waiting_for_a_poll() {
    for fresh in databases::both().await {
        let here = SqlBus::new(&fresh.database);
        let there = SqlBus::new(&databases::open(&fresh.url).await);
        let mut deliveries = here.subscribe(subscription("wakes")).await.unwrap();
        let mut fastest = Duration::MAX;
        for number in 0..5 {
            let next = deliveries.next();
            tokio::pin!(next);
            let early = timeout(Duration::from_millis(100), &mut next).await;
            assert!(early.is_err(), "it has looked, and waits: {early:?}");
            there.publish(&[event(number, None)]).await.unwrap();
            let published = Instant::now();
            let delivery = timeout(LIMIT, next).await.unwrap().unwrap();
            fastest = fastest.min(published.elapsed());
            delivery.ack().await.unwrap();
        }
        // Watchers look by themselves every second; half of that shows that one was woken.
        assert!(fastest < Duration::from_millis(500), "{fastest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_in_several_processes_share_a_group_and_keep_each_keys_order() {
    const EVENTS: u64 = 120;
    const KEYS: u64 = 6;
    for fresh in databases::both().await {
        let bus = SqlBus::new(&fresh.database);
        bus.subscribe(subscription("shared")).await.unwrap();
        let mut members = JoinSet::new();
        let (sender, mut handled) = tokio::sync::mpsc::channel(1000);
        for _ in 0..3 {
            let own = SqlBus::new(&databases::open(&fresh.url).await);
            let sender = sender.clone();
            members.spawn(async move {
                let mut deliveries = own.subscribe(subscription("shared")).await.unwrap();
                loop {
                    let delivery = deliveries.next().await.unwrap();
                    let event = delivery.event();
                    let number: u64 = event.id().parse().unwrap();
                    // Every tenth fails once, so order has to survive redelivery.
                    if number.is_multiple_of(10) && delivery.number() == 1 {
                        delivery.retry("once").await.unwrap();
                        continue;
                    }
                    sender.send(number).await.unwrap();
                    delivery.ack().await.unwrap();
                }
            });
        }
        for number in 0..EVENTS {
            let key = format!("key-{}", number % KEYS);
            bus.publish(&[event(number, Some(&key))]).await.unwrap();
        }
        let mut last: HashMap<u64, u64> = HashMap::new();
        for _ in 0..EVENTS {
            let number = timeout(LIMIT, handled.recv()).await.unwrap().unwrap();
            let before = last.insert(number % KEYS, number);
            assert!(before.is_none_or(|before| before < number), "{number} after {before:?}");
        }
        members.shutdown().await;
        assert_eq!(last.len() as u64, KEYS);
    }
}

#[tokio::test]
async fn an_event_that_is_too_large_is_refused_with_its_size() {
    for fresh in databases::both().await {
        let bus = SqlBus::new(&fresh.database);
        let large = event(1, None).with_json("x".repeat(1 << 20).into());
        let refused = bus.publish(&[event(0, None), large]).await;
        assert!(matches!(refused, Err(BusError::TooLarge { .. })), "{refused:?}");
        assert!(bus.history(&Default::default()).await.unwrap().is_empty(), "all or none");
    }
}

fn subscription(group: &str) -> Subscription {
    let mut asks = Subscription::new(GroupName::try_new(group).unwrap());
    asks.start = Start::Beginning;
    asks.first_backoff = Duration::from_millis(10);
    asks
}

fn event(number: u64, key: Option<&str>) -> CloudEvent {
    let event = CloudEvent::try_new(number.to_string(), "/shop", "order.placed").unwrap();
    match key {
        Some(key) => event.with_extension(CloudEvent::PARTITION_KEY, key).unwrap(),
        None => event,
    }
}
