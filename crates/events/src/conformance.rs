//! What every event bus must do; each backend's tests run all of it.
//!
//! The checks need no empty bus: each uses a source, types and groups of its own.

#![allow(clippy::unwrap_used, reason = "checks panic on failure, as tests do")]

mod failures;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::{
    BusError, CloudEvent, Deliveries, Delivery, EventBus, GroupName, HistoryQuery, Start,
    Subscription, TypeFilter,
};

/// How long a delivery may take to come.
const LIMIT: Duration = Duration::from_secs(20);
/// How long nothing comes before a check believes that nothing will.
const QUIET: Duration = Duration::from_millis(300);

/// Runs every check.
///
/// # Panics
///
/// When the bus does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: groups may be left behind.
pub async fn all(bus: Arc<dyn EventBus>) {
    let bus = &*bus;
    each_group_gets_each_event_once_and_in_order(bus).await;
    an_event_survives_the_bus_whole(bus).await;
    events_of_one_key_come_one_at_a_time_and_other_keys_do_not_wait(bus).await;
    however_many_wait_behind_one_key_others_go_on(bus).await;
    the_subscribers_of_a_group_share_its_events(bus).await;
    a_batch_is_of_different_keys_and_within_what_may_be_in_flight(bus).await;
    what_was_claimed_for_nobody_comes_at_once(bus).await;
    failures::what_failed_comes_again_later(bus).await;
    failures::what_fails_too_often_is_a_dead_letter_and_can_be_redriven(bus).await;
    failures::what_was_away_comes_again_and_does_not_count(bus).await;
    failures::what_is_rejected_is_a_dead_letter_at_once(bus).await;
    failures::what_is_not_settled_comes_again_after_its_lease(bus).await;
    failures::a_late_acknowledgement_is_refused(bus).await;
    an_event_published_again_is_delivered_once(bus).await;
    a_group_gets_the_types_it_asked_for(bus).await;
    a_group_goes_on_where_it_was(bus).await;
    a_new_group_starts_where_it_was_told(bus).await;
    a_group_replays_from_a_position_and_from_a_time(bus).await;
    a_group_is_told_of_and_forgotten(bus).await;
    no_more_are_in_flight_than_asked_for(bus).await;
    history_is_filtered_by_type_and_time(bus).await;
}

/// Two groups each get everything, in the order it was published.
async fn each_group_gets_each_event_once_and_in_order(bus: &dyn EventBus) {
    let topic = Topic::new();
    let mut mail = topic.subscribe(bus, "mail").await;
    let mut books = topic.subscribe(bus, "books").await;
    for number in 0..5 {
        bus.publish(&[topic.event(number, Some("key"))]).await.unwrap();
    }
    for deliveries in [&mut mail, &mut books] {
        for number in 0..5 {
            let delivery = next(deliveries).await;
            assert_eq!(delivery.event().id(), topic.id(number));
            assert_eq!(delivery.number(), 1);
            delivery.ack().await.unwrap();
        }
        nothing_comes(deliveries).await;
    }
}

/// Every attribute, extension and the data arrive as they were.
async fn an_event_survives_the_bus_whole(bus: &dyn EventBus) {
    let topic = Topic::new();
    let mut deliveries = topic.subscribe(bus, "whole").await;
    let time = time::OffsetDateTime::from_unix_timestamp(1_750_000_000).unwrap();
    let event = topic
        .event(1, Some("kéy 1"))
        .with_json(serde_json::json!({
            "text": "\u{0} \" € 😀", "big": u64::MAX, "small": -0.1, "null": null, "list": [[]],
        }))
        .with_time(time)
        .with_subject("order 42")
        .unwrap()
        .with_data_schema("https://example.com/schema?v=1#a")
        .unwrap()
        .with_extension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .unwrap();
    bus.publish(std::slice::from_ref(&event)).await.unwrap();
    let delivery = next(&mut deliveries).await;
    assert_eq!(delivery.event(), &event);
    delivery.ack().await.unwrap();
}

/// The second event of a key waits for the first to be settled; another key's does not.
async fn events_of_one_key_come_one_at_a_time_and_other_keys_do_not_wait(bus: &dyn EventBus) {
    let topic = Topic::new();
    let mut deliveries = topic.subscribe(bus, "keys").await;
    let keys = [Some("a"), Some("a"), Some("b"), None, None];
    let events: Vec<_> = (0..).zip(keys).map(|(number, key)| topic.event(number, key)).collect();
    bus.publish(&events).await.unwrap();
    let mut held = Vec::new();
    for number in [0, 2, 3, 4] {
        let delivery = next(&mut deliveries).await;
        assert_eq!(delivery.event().id(), topic.id(number));
        held.push(delivery);
    }
    nothing_comes(&mut deliveries).await;
    held.remove(0).ack().await.unwrap();
    let second = next(&mut deliveries).await;
    assert_eq!(second.event().id(), topic.id(1));
    second.ack().await.unwrap();
    for delivery in held {
        delivery.ack().await.unwrap();
    }
}

/// More events than a group looks ahead for wait for the first of their key; another key's does not.
async fn however_many_wait_behind_one_key_others_go_on(bus: &dyn EventBus) {
    const MANY: u64 = 1100;
    let topic = Topic::new();
    let mut deliveries = topic.subscribe(bus, "behind").await;
    let behind: Vec<_> = (0..MANY).map(|number| topic.event(number, Some("poison"))).collect();
    bus.publish(&behind).await.unwrap();
    bus.publish(&[topic.event(MANY, Some("other"))]).await.unwrap();
    let first = next(&mut deliveries).await;
    assert_eq!(first.event().id(), topic.id(0));
    let other = next(&mut deliveries).await;
    assert_eq!(other.event().id(), topic.id(MANY));
    other.ack().await.unwrap();
    first.ack().await.unwrap();
    next(&mut deliveries).await.ack().await.unwrap();
}

/// Two subscribers of a group get each event once between them.
async fn the_subscribers_of_a_group_share_its_events(bus: &dyn EventBus) {
    let topic = Topic::new();
    let mut one = topic.subscribe(bus, "shared").await;
    let mut two = topic.subscribe(bus, "shared").await;
    let events: Vec<_> = (0..20).map(|number| topic.event(number, None)).collect();
    bus.publish(&events).await.unwrap();
    let mut seen = HashSet::new();
    for turn in 0..20 {
        let delivery = next(if turn % 2 == 0 { &mut one } else { &mut two }).await;
        assert!(seen.insert(delivery.event().id().to_owned()), "{delivery:?}");
        delivery.ack().await.unwrap();
    }
    nothing_comes(&mut one).await;
    nothing_comes(&mut two).await;
}

/// Whoever takes several at a time gets no two of a key, and no more than may be in flight.
async fn a_batch_is_of_different_keys_and_within_what_may_be_in_flight(bus: &dyn EventBus) {
    let topic = Topic::new();
    let mut asks = topic.subscription("batch");
    asks.max_in_flight = 3;
    let mut deliveries = bus.subscribe(asks).await.unwrap();
    let keys = [Some("a"), Some("a"), Some("b"), None, None];
    let events: Vec<_> = (0..).zip(keys).map(|(number, key)| topic.event(number, key)).collect();
    bus.publish(&events).await.unwrap();
    let mut held = Vec::new();
    while held.len() < 3 {
        let batch = tokio::time::timeout(LIMIT, deliveries.next_batch()).await;
        held.extend(batch.expect("events come in time").unwrap());
    }
    let ids: Vec<_> = held.iter().map(|delivery| delivery.event().id().to_owned()).collect();
    assert_eq!(ids, [0, 2, 3].map(|number| topic.id(number)));
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    for number in [1, 4] {
        let delivery = next(&mut deliveries).await;
        assert_eq!((delivery.event().id(), delivery.number()), (&*topic.id(number), 1));
        delivery.ack().await.unwrap();
    }
    nothing_comes(&mut deliveries).await;
}

/// A subscriber that stops waiting at whatever moment, and leaves, keeps nothing from the others.
async fn what_was_claimed_for_nobody_comes_at_once(bus: &dyn EventBus) {
    const EVENTS: u64 = 30;
    let topic = Topic::new();
    let mut asks = topic.subscription("hasty");
    asks.lease = LIMIT * 2;
    bus.subscribe(asks.clone()).await.unwrap();
    for number in 0..EVENTS {
        let mut hasty = bus.subscribe(asks.clone()).await.unwrap();
        let waits = Duration::from_micros(number * 200);
        let (delivery, published) =
            tokio::join!(tokio::time::timeout(waits, hasty.next()), async {
                bus.publish(&[topic.event(number, None)]).await
            });
        published.unwrap();
        if let Ok(delivery) = delivery {
            delivery.unwrap().away(Duration::ZERO).await.unwrap();
        }
        match number % 2 {
            0 => hasty.leave().await,
            _ => drop(hasty),
        }
    }
    let mut patient = bus.subscribe(asks).await.unwrap();
    let mut ids = HashSet::new();
    for _ in 0..EVENTS {
        let delivery = next(&mut patient).await;
        assert_eq!(delivery.number(), 1, "it was no delivery");
        ids.insert(delivery.event().id().to_owned());
        delivery.ack().await.unwrap();
    }
    assert_eq!(ids.len() as u64, EVENTS);
}

/// The same source and id are the same event.
async fn an_event_published_again_is_delivered_once(bus: &dyn EventBus) {
    let topic = Topic::new();
    let mut deliveries = topic.subscribe(bus, "twice").await;
    let events: Vec<_> = (0..4).map(|number| topic.event(number, None)).collect();
    bus.publish(&events[..1]).await.unwrap();
    bus.publish(&events[..2]).await.unwrap();
    // In the midst of a batch, and twice in one.
    let mixed = [2, 1, 2, 3].map(|number| events[number].clone());
    bus.publish(&mixed).await.unwrap();
    bus.publish(&mixed).await.unwrap();
    for number in 0..4 {
        let delivery = next(&mut deliveries).await;
        assert_eq!(delivery.event().id(), topic.id(number));
        delivery.ack().await.unwrap();
    }
    nothing_comes(&mut deliveries).await;
}

/// Other types are neither delivered nor in the way.
async fn a_group_gets_the_types_it_asked_for(bus: &dyn EventBus) {
    let topic = Topic::new();
    let mut deliveries = topic.subscribe(bus, "types").await;
    let other = Topic::new();
    bus.publish(&[other.event(0, Some("k")), topic.event(1, Some("k"))]).await.unwrap();
    let delivery = next(&mut deliveries).await;
    assert_eq!(delivery.event().id(), topic.id(1));
    delivery.ack().await.unwrap();
}

/// A group's progress outlives its subscribers.
async fn a_group_goes_on_where_it_was(bus: &dyn EventBus) {
    let topic = Topic::new();
    let mut first = topic.subscribe(bus, "goes-on").await;
    bus.publish(&[topic.event(0, None)]).await.unwrap();
    next(&mut first).await.ack().await.unwrap();
    drop(first);
    bus.publish(&[topic.event(1, None)]).await.unwrap();
    let mut second = topic.subscribe(bus, "goes-on").await;
    let delivery = next(&mut second).await;
    assert_eq!(delivery.event().id(), topic.id(1));
    delivery.ack().await.unwrap();
}

/// At the beginning, at the end, or after a position.
async fn a_new_group_starts_where_it_was_told(bus: &dyn EventBus) {
    let topic = Topic::new();
    bus.publish(&[topic.event(0, None), topic.event(1, None)]).await.unwrap();
    let logged = bus.history(&topic.query()).await.unwrap();
    for (name, start, first) in [
        ("from-beginning", Start::Beginning, 0),
        ("from-position", Start::After(logged[0].position), 1),
        ("from-latest", Start::Latest, 2),
    ] {
        let mut asks = topic.subscription(name);
        asks.start = start;
        let mut deliveries = bus.subscribe(asks).await.unwrap();
        if first == 2 {
            nothing_comes(&mut deliveries).await;
            bus.publish(&[topic.event(2, None)]).await.unwrap();
        }
        let delivery = next(&mut deliveries).await;
        assert_eq!(delivery.event().id(), topic.id(first), "{name}");
        delivery.ack().await.unwrap();
    }
}

/// What was settled is delivered again from there on.
async fn a_group_replays_from_a_position_and_from_a_time(bus: &dyn EventBus) {
    let topic = Topic::new();
    let asks = topic.subscription("replay");
    let group = asks.group.clone();
    let mut deliveries = bus.subscribe(asks).await.unwrap();
    bus.publish(&[topic.event(0, None)]).await.unwrap();
    bus.publish(&[topic.event(1, None)]).await.unwrap();
    for _ in 0..2 {
        next(&mut deliveries).await.ack().await.unwrap();
    }
    let logged = bus.history(&topic.query()).await.unwrap();
    let starts = [
        (Start::After(logged[0].position), &[1][..]),
        (Start::Time(logged[0].recorded_at), &[0, 1]),
        (Start::Latest, &[]),
    ];
    for (start, numbers) in starts {
        bus.replay(&group, start).await.unwrap();
        for number in numbers {
            let delivery = next(&mut deliveries).await;
            assert_eq!(delivery.event().id(), topic.id(*number), "{start:?}");
            delivery.ack().await.unwrap();
        }
        nothing_comes(&mut deliveries).await;
    }
    let nobody = GroupName::try_new("nobody-ever").unwrap();
    let unknown = bus.replay(&nobody, Start::Beginning).await;
    assert!(matches!(unknown, Err(BusError::UnknownGroup { .. })), "{unknown:?}");
}

/// What a group has before it, in its hands and behind it is counted; forgotten, it is unknown.
async fn a_group_is_told_of_and_forgotten(bus: &dyn EventBus) {
    let topic = Topic::new();
    let asks = topic.subscription("told");
    let group = asks.group.clone();
    let unknown = bus.standing(&group).await;
    assert!(matches!(unknown, Err(BusError::UnknownGroup { .. })), "{unknown:?}");
    let mut deliveries = bus.subscribe(asks.clone()).await.unwrap();
    let events: Vec<_> = (0..4).map(|number| topic.event(number, None)).collect();
    bus.publish(&events).await.unwrap();
    let before = bus.standing(&group).await.unwrap();
    assert!(before.behind >= 4, "{before:?}");
    assert_eq!((before.open, before.dead), (0, 0), "{before:?}");

    let held = next(&mut deliveries).await;
    next(&mut deliveries).await.reject("no").await.unwrap();
    next(&mut deliveries).await.ack().await.unwrap();
    let after = bus.standing(&group).await.unwrap();
    // The last one is open, or still in the log.
    assert_eq!((after.open + after.behind, after.dead), (2, 1), "{after:?}");
    assert!(after.position > before.position, "{after:?}");
    let groups = bus.groups().await.unwrap();
    assert!(
        groups.contains(&after) && groups.is_sorted_by_key(|it| it.group.clone()),
        "{groups:?}"
    );

    held.ack().await.unwrap();
    drop(deliveries);
    assert!(bus.forget(&group).await.unwrap());
    assert!(!bus.forget(&group).await.unwrap());
    assert!(bus.standing(&group).await.is_err());
    assert!(bus.dead_letters(&group, 0, 10).await.unwrap().is_empty());
    assert!(!bus.groups().await.unwrap().iter().any(|standing| standing.group == group));
}

/// A slow subscriber is given no more than it can hold.
async fn no_more_are_in_flight_than_asked_for(bus: &dyn EventBus) {
    let topic = Topic::new();
    let mut asks = topic.subscription("slow");
    asks.max_in_flight = 2;
    let mut deliveries = bus.subscribe(asks).await.unwrap();
    let events: Vec<_> = (0..3).map(|number| topic.event(number, None)).collect();
    bus.publish(&events).await.unwrap();
    let (one, two) = (next(&mut deliveries).await, next(&mut deliveries).await);
    nothing_comes(&mut deliveries).await;
    one.ack().await.unwrap();
    next(&mut deliveries).await.ack().await.unwrap();
    two.ack().await.unwrap();
}

/// History gives what was published, by type, from a time on, in pages.
async fn history_is_filtered_by_type_and_time(bus: &dyn EventBus) {
    let topic = Topic::new();
    let events: Vec<_> = (0..3).map(|number| topic.event(number, None)).collect();
    for event in &events {
        bus.publish(std::slice::from_ref(event)).await.unwrap();
    }
    let logged = bus.history(&topic.query()).await.unwrap();
    let found: Vec<_> = logged.iter().map(|logged| &logged.event).collect();
    assert_eq!(found, events.iter().collect::<Vec<_>>());
    assert!(logged.is_sorted_by(|a, b| a.position < b.position));

    let page = HistoryQuery { after: logged[0].position, limit: 1, ..topic.query() };
    assert_eq!(bus.history(&page).await.unwrap(), logged[1..2]);
    let since = HistoryQuery { since: Some(logged[0].recorded_at), ..topic.query() };
    assert_eq!(bus.history(&since).await.unwrap(), logged);
    let later = logged[2].recorded_at + Duration::from_secs(3600);
    let later = HistoryQuery { since: Some(later), ..topic.query() };
    assert!(bus.history(&later).await.unwrap().is_empty());
}

/// A source, a type and group names that no other check uses.
struct Topic(String);

impl Topic {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(format!("c{}n{number}", std::process::id()))
    }

    fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.0)
    }

    fn event(&self, number: u64, key: Option<&str>) -> CloudEvent {
        let event_type = format!("{}.happened", self.0);
        let event = CloudEvent::try_new(self.id(number), "/conformance", event_type).unwrap();
        match key {
            Some(key) => event.with_extension(CloudEvent::PARTITION_KEY, key).unwrap(),
            None => event,
        }
    }

    fn subscription(&self, group: &str) -> Subscription {
        let mut asks =
            Subscription::new(GroupName::try_new(format!("{}-{group}", self.0)).unwrap());
        asks.types = self.types();
        asks.first_backoff = Duration::from_millis(20);
        asks
    }

    async fn subscribe(&self, bus: &dyn EventBus, group: &str) -> Box<dyn Deliveries> {
        bus.subscribe(self.subscription(group)).await.unwrap()
    }

    fn types(&self) -> TypeFilter {
        TypeFilter::try_new([&*format!("{}.*", self.0)]).unwrap()
    }

    fn query(&self) -> HistoryQuery {
        HistoryQuery { types: self.types(), ..HistoryQuery::default() }
    }
}

async fn next(deliveries: &mut Box<dyn Deliveries>) -> Delivery {
    let next = tokio::time::timeout(LIMIT, deliveries.next()).await;
    next.expect("an event comes in time").unwrap()
}

async fn nothing_comes(deliveries: &mut Box<dyn Deliveries>) {
    let next = tokio::time::timeout(QUIET, deliveries.next()).await;
    assert!(next.is_err(), "nothing more should come, but {next:?}");
}
