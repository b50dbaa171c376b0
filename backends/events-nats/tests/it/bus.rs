//! NATS conforms; processes share the bus.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use regatta_events::{
    BusError, CloudEvent, EventBus, GroupName, HistoryQuery, Redrive, Start, Subscription,
    conformance,
};
use regatta_events_nats::{InvalidOptions, NatsBus, Options};
use regatta_testkit::Nats;
use tokio::task::JoinSet;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_bus_in_nats_conforms() {
    let server = start().await;
    conformance::all(Arc::new(open(&server).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_in_several_processes_share_a_group_and_keep_each_keys_order() {
    const EVENTS: u64 = 120;
    const KEYS: u64 = 6;
    let server = start().await;
    let bus = open(&server).await;
    bus.subscribe(subscription("shared")).await.unwrap();
    let mut members = JoinSet::new();
    let (sender, mut handled) = tokio::sync::mpsc::channel(1000);
    for _ in 0..3 {
        let (own, sender) = (open(&server).await, sender.clone());
        members.spawn(async move {
            let mut deliveries = own.subscribe(subscription("shared")).await.unwrap();
            loop {
                let delivery = deliveries.next().await.unwrap();
                let number: u64 = delivery.event().id().parse().unwrap();
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

#[tokio::test]
async fn a_batch_of_many_is_taken_in_order() {
    let server = start().await;
    let bus = open(&server).await;
    let events: Vec<_> = (0..3000).map(|number| event(number, None)).collect();
    bus.publish(&events).await.unwrap();
    // Again, as after an answer that was lost.
    bus.publish(&events).await.unwrap();
    let query = HistoryQuery { limit: 10_000, ..HistoryQuery::default() };
    let logged = bus.history(&query).await.unwrap();
    let found: Vec<_> = logged.into_iter().map(|logged| logged.event).collect();
    assert_eq!(found, events);
}

#[tokio::test]
async fn an_event_that_is_too_large_is_refused_with_its_size() {
    let server = start().await;
    let bus = open(&server).await;
    let large = event(1, None).with_json("x".repeat(1 << 20).into());
    let refused = bus.publish(&[event(0, None), large]).await;
    assert!(matches!(refused, Err(BusError::TooLarge { .. })), "{refused:?}");
    assert!(bus.history(&HistoryQuery::default()).await.unwrap().is_empty(), "all or none");
    // The largest that is taken is kept, and a letter about it too.
    let large = event(2, None).with_json("x".repeat((1 << 20) - 10_000).into());
    bus.publish(&[large]).await.unwrap();
    let mut deliveries = bus.subscribe(subscription("large")).await.unwrap();
    deliveries.next().await.unwrap().reject("too much").await.unwrap();
    let group = GroupName::try_new("large").unwrap();
    assert_eq!(bus.dead_letters(&group, 0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn large_events_that_wait_for_their_key_are_not_in_the_way_of_others() {
    let server = start().await;
    let bus = open(&server).await;
    let mut deliveries = bus.subscribe(subscription("roomy")).await.unwrap();
    // More than a process keeps in memory.
    for number in 0..20 {
        let large = event(number, Some("poison")).with_json("x".repeat(600_000).into());
        bus.publish(&[large]).await.unwrap();
    }
    bus.publish(&[event(20, Some("other"))]).await.unwrap();
    let mut ids = Vec::new();
    let first = deliveries.next().await.unwrap();
    ids.push(first.event().id().to_owned());
    for settle in [Some(first), None] {
        let next = tokio::time::timeout(LIMIT, deliveries.next()).await.expect("it comes").unwrap();
        ids.push(next.event().id().to_owned());
        next.ack().await.unwrap();
        if let Some(first) = settle {
            first.ack().await.unwrap();
        }
    }
    assert_eq!(ids, ["0", "20", "1"]);
}

#[tokio::test]
async fn who_looks_again_and_again_sees_each_event_once_and_costs_the_server_one_consumer() {
    let server = start().await;
    let bus = open(&server).await;
    bus.publish(&[event(0, None), event(1, None)]).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut stream = async_nats::jetstream::new(client).get_stream("regatta_events").await.unwrap();
    let since = bus.history(&HistoryQuery::default()).await.unwrap()[1].recorded_at;
    let mut query = HistoryQuery { since: Some(since), ..HistoryQuery::default() };
    let mut seen = Vec::new();
    for number in 2..12 {
        for logged in bus.history(&query).await.unwrap() {
            query.after = logged.position;
            seen.push(logged.event.id().to_owned());
        }
        bus.publish(&[event(number, None)]).await.unwrap();
    }
    assert_eq!(seen, (1..11).map(|number| number.to_string()).collect::<Vec<_>>());
    // One of the first query, which another one did not go on from, and one of the looks.
    assert!(stream.info().await.unwrap().state.consumer_count <= 2);
}

#[tokio::test]
async fn who_only_looks_makes_no_streams_and_is_told_that_there_is_no_bus() {
    let server = start().await;
    let looks = NatsBus::try_new(Options::new(server.url()).existing()).unwrap();
    let absent = looks.history(&HistoryQuery::default()).await;
    assert!(matches!(absent, Err(BusError::Absent)), "{absent:?}");
    assert!(matches!(looks.groups().await, Err(BusError::Absent)));
    // Then a service comes.
    open(&server).await.publish(&[event(1, None)]).await.unwrap();
    assert_eq!(looks.history(&HistoryQuery::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_group_needs_stays_and_the_rest_is_let_go() {
    let server = start().await;
    let bus = open(&server).await;
    let group = GroupName::try_new("slow").unwrap();
    let mut deliveries = bus.subscribe(subscription("slow")).await.unwrap();
    let events: Vec<_> = (0..5).map(|number| event(number, None)).collect();
    bus.publish(&events).await.unwrap();
    for _ in 0..2 {
        deliveries.next().await.unwrap().ack().await.unwrap();
    }
    let poison = deliveries.next().await.unwrap();
    assert_eq!(bus.trim(Duration::from_secs(3600)).await.unwrap(), 0, "they are not old");
    bus.trim(Duration::ZERO).await.unwrap();
    let left = bus.history(&HistoryQuery::default()).await.unwrap();
    assert_eq!(left.len(), 3, "what is open and what comes after it");
    poison.reject("broken").await.unwrap();
    for _ in 0..2 {
        deliveries.next().await.unwrap().ack().await.unwrap();
    }
    bus.publish(&[event(9, None)]).await.unwrap();
    deliveries.next().await.unwrap().ack().await.unwrap();
    bus.trim(Duration::ZERO).await.unwrap();
    assert!(bus.history(&HistoryQuery::default()).await.unwrap().is_empty());
    // The log has let it go, its letter has not.
    assert_eq!(bus.redrive(&group, &Redrive::Oldest(1)).await.unwrap(), 1);
    assert!(bus.dead_letters(&group, 0, 10).await.unwrap().is_empty());
    let again = deliveries.next().await.unwrap();
    assert_eq!((again.event().id(), again.number()), ("2", 1));
    again.ack().await.unwrap();
    assert!(bus.dead_letters(&group, 0, 10).await.unwrap().is_empty());
    assert!(bus.forget(&group).await.unwrap());
    assert!(!bus.forget(&group).await.unwrap());
    let unknown = bus.replay(&group, Start::Beginning).await;
    assert!(matches!(unknown, Err(BusError::UnknownGroup { .. })), "{unknown:?}");
}

#[tokio::test]
async fn options_out_of_range_are_refused() {
    let error = NatsBus::try_new(Options::new("nats://localhost").with_replicas(2));
    assert!(matches!(error, Err(InvalidOptions::Range { option: "replicas", .. })));
}

pub(crate) async fn start() -> Nats {
    Nats::start().await.unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) async fn open(server: &Nats) -> NatsBus {
    NatsBus::try_new(Options::new(server.url())).unwrap()
}

pub(crate) fn subscription(group: &str) -> Subscription {
    let mut asks = Subscription::new(GroupName::try_new(group).unwrap());
    asks.start = Start::Beginning;
    asks.first_backoff = Duration::from_millis(10);
    asks
}

pub(crate) fn event(number: u64, key: Option<&str>) -> CloudEvent {
    let event = CloudEvent::try_new(number.to_string(), "/shop", "order.placed").unwrap();
    match key {
        Some(key) => event.with_extension(CloudEvent::PARTITION_KEY, key).unwrap(),
        None => event,
    }
}
