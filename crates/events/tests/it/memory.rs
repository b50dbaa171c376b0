//! The bus in memory.

use std::sync::Arc;

use regatta_events::{
    BusError, CloudEvent, EventBus, GroupName, MemoryBus, Redrive, Start, Subscription, conformance,
};

#[tokio::test(start_paused = true)]
async fn the_bus_in_memory_conforms() {
    conformance::all(Arc::new(MemoryBus::default())).await;
}

#[tokio::test]
async fn a_full_bus_refuses_until_its_groups_catch_up() {
    let bus = MemoryBus::with_capacity(2);
    let mut asks = Subscription::new(GroupName::try_new("slow").unwrap());
    asks.start = Start::Beginning;
    let mut deliveries = bus.subscribe(asks).await.unwrap();
    bus.publish(&[event("1"), event("2")]).await.unwrap();
    let full = bus.publish(&[event("3")]).await;
    assert!(matches!(full, Err(BusError::Full { held: 2 })), "{full:?}");
    deliveries.next().await.unwrap().ack().await.unwrap();
    bus.publish(&[event("3")]).await.unwrap();
}

#[tokio::test]
async fn a_dead_letter_is_redriven_also_when_the_log_has_let_it_go() {
    let bus = MemoryBus::with_capacity(1);
    let group = GroupName::try_new("late").unwrap();
    let mut deliveries = bus.subscribe(Subscription::new(group.clone())).await.unwrap();
    bus.publish(&[event("1")]).await.unwrap();
    deliveries.next().await.unwrap().reject("broken").await.unwrap();
    bus.publish(&[event("2")]).await.unwrap();
    assert_eq!(bus.redrive(&group, &Redrive::Oldest(1)).await.unwrap(), 1);
    assert_eq!(deliveries.next().await.unwrap().event().id(), "1");
}

#[tokio::test]
async fn an_event_that_was_let_go_does_not_stop_a_replay() {
    let bus = MemoryBus::with_capacity(1);
    bus.publish(&[event("1")]).await.unwrap();
    bus.publish(&[event("2")]).await.unwrap();
    let mut asks = Subscription::new(GroupName::try_new("new").unwrap());
    asks.start = Start::Beginning;
    let mut deliveries = bus.subscribe(asks).await.unwrap();
    assert_eq!(deliveries.next().await.unwrap().event().id(), "2");
}

fn event(id: &str) -> CloudEvent {
    CloudEvent::try_new(id, "/shop", "order.placed").unwrap()
}
