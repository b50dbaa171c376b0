//! A relay publishes what is in the outbox, in order, whatever happens to the bus.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use regatta_events::{
    BusError, CloudEvent, DeadLetter, Deliveries, EventBus, GroupName, GroupStanding, HistoryQuery,
    Logged, MemoryBus, Redrive, Start, Subscription,
};
use regatta_eventstore::{
    Append, EventStore, Expected, MemoryStore, NewEvent, Outbox, Relay, RelaySettings, StreamId,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

#[tokio::test(start_paused = true)]
async fn messages_are_published_in_order_though_the_bus_fails() {
    let (store, bus) = (MemoryStore::default(), Flaky::default());
    let relays = Relays::start(&store, &bus, 1);
    put(&store, 0..250).await;
    empty(&store).await;
    relays.stop().await;
    assert_eq!(published(&bus.inner).await, (0..250).collect::<Vec<_>>());
    assert!(bus.calls.load(Ordering::Relaxed) >= 6, "every other call failed");
}

#[tokio::test(start_paused = true)]
async fn several_relays_at_once_publish_each_message_in_order() {
    let (store, bus) = (MemoryStore::default(), Flaky::default());
    let relays = Relays::start(&store, &bus, 4);
    for number in 0..50 {
        put(&store, number * 10..number * 10 + 10).await;
    }
    empty(&store).await;
    relays.stop().await;
    assert_eq!(published(&bus.inner).await, (0..500).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_bus_refuses_does_not_stop_the_others() {
    let (store, bus) = (MemoryStore::default(), Flaky::default());
    bus.refuses.lock().unwrap().insert("3".to_owned());
    put(&store, 0..6).await;
    let relays = Relays::start(&store, &bus, 1);
    empty(&store).await;
    relays.stop().await;
    assert_eq!(published(&bus.inner).await, [0, 1, 2, 4, 5]);
    let aside = store.set_aside_messages();
    assert_eq!(aside[0].0.id(), "3");
    assert!(aside[0].1.contains("has 9 bytes"), "{}", aside[0].1);
}

struct Relays {
    drain: CancellationToken,
    tasks: TaskTracker,
}

impl Relays {
    fn start(store: &MemoryStore, bus: &Flaky, count: u32) -> Self {
        let (drain, tasks) = (CancellationToken::new(), TaskTracker::new());
        for _ in 0..count {
            let (outbox, bus) = (Arc::new(store.clone()), Arc::new(bus.clone()));
            let relay = Relay::new(outbox, bus, RelaySettings::default());
            tasks.spawn(relay.run(drain.clone()));
        }
        Self { drain, tasks }
    }

    async fn stop(self) {
        self.drain.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A bus that fails every other time after publishing, and refuses some messages.
#[derive(Clone, Debug, Default)]
struct Flaky {
    inner: MemoryBus,
    calls: Arc<AtomicU32>,
    refuses: Arc<std::sync::Mutex<HashSet<String>>>,
}

#[async_trait]
impl EventBus for Flaky {
    async fn publish(&self, events: &[CloudEvent]) -> Result<(), BusError> {
        let refuses = self.refuses.lock().unwrap().clone();
        if let Some(event) = events.iter().find(|event| refuses.contains(event.id())) {
            let id = event.id().to_owned();
            return Err(BusError::TooLarge { id, bytes: 9, limit: 8 });
        }
        self.inner.publish(events).await?;
        if self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return Err(BusError::Unavailable("the answer was lost".into()));
        }
        Ok(())
    }

    async fn subscribe(&self, asks: Subscription) -> Result<Box<dyn Deliveries>, BusError> {
        self.inner.subscribe(asks).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Logged>, BusError> {
        self.inner.history(query).await
    }

    async fn replay(&self, group: &GroupName, start: Start) -> Result<(), BusError> {
        self.inner.replay(group, start).await
    }

    async fn dead_letters(
        &self,
        group: &GroupName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, BusError> {
        self.inner.dead_letters(group, after, limit).await
    }

    async fn redrive(&self, group: &GroupName, redrive: &Redrive) -> Result<u64, BusError> {
        self.inner.redrive(group, redrive).await
    }

    async fn groups(&self) -> Result<Vec<GroupStanding>, BusError> {
        self.inner.groups().await
    }

    async fn standing(&self, group: &GroupName) -> Result<GroupStanding, BusError> {
        self.inner.standing(group).await
    }

    async fn forget(&self, group: &GroupName) -> Result<bool, BusError> {
        self.inner.forget(group).await
    }
}

async fn put(store: &MemoryStore, ids: std::ops::Range<u32>) {
    let event = NewEvent::new(Uuid::now_v7(), "Happened", json!({}));
    let stream = StreamId::try_new("order", 1).unwrap();
    let mut append = Append::new(stream, Expected::Any, vec![event]);
    append.outbox =
        ids.map(|id| CloudEvent::try_new(id.to_string(), "/shop", "happened").unwrap()).collect();
    store.append(&append).await.unwrap();
}

/// Waits until nothing is left to publish.
async fn empty(store: &MemoryStore) {
    while store.backlog().await.unwrap().0 > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn published(bus: &MemoryBus) -> Vec<u32> {
    let query = HistoryQuery { limit: 10_000, ..HistoryQuery::default() };
    let logged = bus.history(&query).await.unwrap();
    logged.iter().map(|logged| logged.event.id().parse().unwrap()).collect()
}
