//! Events through the chassis: published, handled, measured, drained.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use regatta::database::{Database, Migration};
use regatta::events::{CloudEvent, Failure, GroupName, HistoryQuery, Start, Subscription, handler};
use regatta::eventstore::Outbox;
use regatta::testing::Running;
use regatta::{Context, Events, Service};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::fixture::{PATIENCE, opened};

const MIGRATIONS: &[Migration] = &[];

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_one_service_is_handled_by_another_in_its_trace_and_measured() {
    let folder = TempDir::new().unwrap();
    let (teller, hearer) = (bus_in(&folder, "").await, bus_in(&folder, "").await);
    let (told, mut heard) = tokio::sync::mpsc::channel(1);
    hearer.events().unwrap().consume(
        subscription("hearer"),
        handler(move |event| {
            let told = told.clone();
            async move {
                let trace = Context::current().and_then(|context| context.trace.clone());
                told.send((event, trace.map(|trace| trace.trace_id()))).await.unwrap();
                Ok(())
            }
        }),
    );
    let running = Running::start(hearer).await.unwrap();
    let traceparent = "00-000000000000000000000000000000ab-00000000000000cd-01";
    let events = teller.events().unwrap();
    let event = events.event("user.created").unwrap().with_json(json!({ "user_id": 1 }));
    assert_eq!(event.source(), "/test-service");
    let event = event.with_extension(CloudEvent::TRACEPARENT, traceparent).unwrap();
    events.publish(std::slice::from_ref(&event)).await.unwrap();

    let (handled, trace) = timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    assert_eq!((handled.id(), trace), (event.id(), Some(0xab)));
    let measured = [
        "messaging_process_duration_seconds_count",
        "regatta_events_behind",
        "regatta_events_open",
        "regatta_events_dead_letters",
    ];
    let measured =
        measured.map(|name| format!(r#"{name}{{messaging_consumer_group_name="hearer""#));
    regatta_testkit::wait_until("the measurements", PATIENCE, async || {
        let metrics = running.get("/metrics").await.text();
        measured.iter().all(|figure| metrics.contains(figure))
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_starts_while_its_bus_is_away_says_so_and_heals() {
    let mut server = regatta_testkit::Postgres::start().await.unwrap();
    let url = server.database().await.unwrap();
    server.stop();
    starts_without_and_heals(&url, async || server.resume().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_starts_while_its_nats_is_away_says_so_and_heals() {
    let mut server = regatta_testkit::Nats::start().await.unwrap();
    let url = server.url();
    server.stop();
    starts_without_and_heals(&url, async || server.resume().await.unwrap()).await;
}

async fn starts_without_and_heals(url: &str, resume: impl AsyncFnOnce()) {
    let service = opened(&format!("events: {{ url: '{url}' }}")).await;
    let handled = counting(&service.events().unwrap());
    let bus = service.events().unwrap().bus();
    let running = Running::start(service).await.unwrap();
    assert_eq!(running.get("/health/ready").await.status(), 200);
    let health = running.get("/health").await.json();
    assert_eq!(health["dependencies"]["events"]["status"], "unhealthy", "{health}");

    resume().await;
    let event = CloudEvent::try_new("1", "/a", "user.created").unwrap();
    regatta_testkit::wait_until("the bus", PATIENCE, async || {
        bus.publish(std::slice::from_ref(&event)).await.is_ok()
    })
    .await;
    regatta_testkit::wait_until("the event", PATIENCE, async || {
        handled.load(Ordering::SeqCst) == 1
    })
    .await;
    regatta_testkit::wait_until("its health", PATIENCE, async || {
        running.get("/health").await.json()["dependencies"]["events"]["status"] == "healthy"
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_the_event_under_way_and_begins_no_other() {
    let folder = TempDir::new().unwrap();
    let service = bus_in(&folder, "").await;
    let (begun, mut begins) = tokio::sync::mpsc::channel(1);
    let go_on = Arc::new(tokio::sync::Notify::new());
    let (waits, done) = (go_on.clone(), Arc::new(AtomicU32::new(0)));
    let counted = done.clone();
    let events = service.events().unwrap();
    let bus = events.bus();
    let mut one_by_one = subscription("slow");
    one_by_one.max_in_flight = 1;
    events.consume(
        one_by_one,
        handler(move |_| {
            let (begun, waits, counted) = (begun.clone(), waits.clone(), counted.clone());
            async move {
                begun.send(()).await.unwrap();
                waits.notified().await;
                counted.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        }),
    );
    let (draining, drains) = tokio::sync::oneshot::channel();
    service.tasks().spawn("tells of the drain", |drain| async move {
        drain.cancelled().await;
        draining.send(()).unwrap();
    });
    let running = Running::start(service).await.unwrap();
    let all: Vec<_> = ["1", "2"].map(|id| CloudEvent::try_new(id, "/a", "x").unwrap()).to_vec();
    bus.publish(&all).await.unwrap();
    timeout(PATIENCE, begins.recv()).await.unwrap().unwrap();
    let stopping = tokio::spawn(running.stop());
    // Were the first done before it drains, the second would be begun, and run until its lease ends.
    timeout(PATIENCE, drains).await.unwrap().unwrap();
    go_on.notify_one();
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_outbox_is_published_and_counted() {
    let folder = TempDir::new().unwrap();
    let service = bus_in(&folder, &database_in(&folder)).await;
    let database = service.database().unwrap();
    let store = service.event_store(&database).await.unwrap();
    service.migrate(&database, MIGRATIONS).await.unwrap();
    let events = service.events().unwrap();
    events.relay(&store);
    let bus = events.bus();
    let running = Running::start(service).await.unwrap();
    enqueue(&database, &store, "1").await;
    regatta_testkit::wait_until("the message", PATIENCE, async || {
        bus.history(&HistoryQuery::default()).await.unwrap().len() == 1
    })
    .await;
    regatta_testkit::wait_until("the gauge", PATIENCE, async || {
        running.get("/metrics").await.text().contains("regatta_outbox_waiting")
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_away_for_a_while_costs_no_message_and_no_order() {
    let mut server = regatta_testkit::Postgres::start().await.unwrap();
    let url = server.database().await.unwrap();
    goes_on(&url, async |stops| match stops {
        true => server.stop(),
        false => server.resume().await.unwrap(),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_that_is_away_for_a_while_costs_no_message_and_no_order() {
    let mut server = regatta_testkit::Nats::start().await.unwrap();
    let url = server.url();
    goes_on(&url, async |stops| match stops {
        true => server.stop(),
        false => server.resume().await.unwrap(),
    })
    .await;
}

/// Messages of one key go through an outbox, a relay, the bus and a handler, while the bus stops and
/// starts again.
async fn goes_on(url: &str, mut bus: impl AsyncFnMut(bool)) {
    let folder = TempDir::new().unwrap();
    let bus_url = format!("events: {{ url: '{url}' }}\n{}", database_in(&folder));
    let service = opened(&bus_url).await;
    let database = service.database().unwrap();
    let store = service.event_store(&database).await.unwrap();
    service.migrate(&database, MIGRATIONS).await.unwrap();
    let events = service.events().unwrap();
    events.relay(&store);
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    events.consume(
        subscription("goes-on"),
        handler(move |event: CloudEvent| {
            let _ = told.send(event.id().to_owned());
            std::future::ready(Ok::<(), Failure>(()))
        }),
    );
    let running = Running::start(service).await.unwrap();
    let mut seen: Vec<String> = Vec::new();
    let mut until = async |last: &str| {
        while seen.last().is_none_or(|seen| seen != last) {
            let id = timeout(PATIENCE * 3, heard.recv()).await.unwrap().unwrap();
            // What was under way when the bus stopped may come twice, not earlier or later.
            if !seen.contains(&id) {
                seen.push(id);
            }
        }
        seen.clone()
    };
    for id in 0..5 {
        enqueue(&database, &store, &id.to_string()).await;
    }
    until("4").await;
    bus(true).await;
    for id in 5..10 {
        enqueue(&database, &store, &id.to_string()).await;
    }
    regatta_testkit::wait_until("the outage to be told", PATIENCE, async || {
        running.get("/health").await.json()["dependencies"]["events"]["status"] == "unhealthy"
    })
    .await;
    assert_eq!(running.get("/health/ready").await.status(), 200, "it serves meanwhile");
    assert!(store.backlog().await.unwrap().0 >= 5, "what cannot go out is kept");
    bus(false).await;
    let seen = until("9").await;
    assert_eq!(seen, (0..10).map(|id| id.to_string()).collect::<Vec<_>>());
    regatta_testkit::wait_until("the outbox to be empty", PATIENCE, async || {
        store.backlog().await.unwrap() == (0, 0)
    })
    .await;
    let group = GroupName::try_new("goes-on").unwrap();
    assert_eq!(events.bus().standing(&group).await.unwrap().dead, 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_no_bus_takes_shows_in_the_health_and_stops_no_other() {
    let folder = TempDir::new().unwrap();
    let service = bus_in(&folder, &database_in(&folder)).await;
    let database = service.database().unwrap();
    let store = service.event_store(&database).await.unwrap();
    service.migrate(&database, MIGRATIONS).await.unwrap();
    let events = service.events().unwrap();
    events.relay(&store);
    let handled = counting(&events);
    let running = Running::start(service).await.unwrap();
    let health = running.get("/health").await.json();
    assert_eq!(health["dependencies"]["outbox"]["status"], "healthy", "{health}");
    let mut tx = database.begin().await.unwrap();
    let message = |id| CloudEvent::try_new(id, "/a", "x").unwrap();
    let large = message("large").with_json("x".repeat(1 << 20).into());
    store.enqueue(&mut tx, &[large, message("small")]).await.unwrap();
    tx.commit().await.unwrap();
    store.announce();
    regatta_testkit::wait_until("the small one", PATIENCE, async || {
        handled.load(Ordering::SeqCst) == 1
    })
    .await;
    regatta_testkit::wait_until("the health to tell", PATIENCE, async || {
        let health = running.get("/health").await.json();
        let outbox = &health["dependencies"]["outbox"];
        outbox["status"] == "unhealthy" && outbox.to_string().contains("1 messages are set aside")
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_whose_file_is_no_database_shows_in_the_health() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("events.db"), "no database".repeat(100)).unwrap();
    let service = bus_in(&folder, "").await;
    let _handled = counting(&service.events().unwrap());
    let running = Running::start(service).await.unwrap();
    regatta_testkit::wait_until("the health to tell", PATIENCE, async || {
        let health = running.get("/health").await.json();
        health["dependencies"]["events"]["status"] == "unhealthy"
    })
    .await;
    assert_eq!(running.get("/health/ready").await.status(), 200, "it serves meanwhile");
    running.stop().await;
}

#[tokio::test]
async fn one_service_has_one_bus() {
    let service = opened("events: { url: 'memory:' }").await;
    let bus = service.events().unwrap().bus();
    let event = CloudEvent::try_new("once", "/one-bus", "x").unwrap();
    bus.publish(&[event]).await.unwrap();
    let again = service.events().unwrap().bus();
    let history = again.history(&HistoryQuery::default()).await.unwrap();
    assert!(history.iter().any(|logged| logged.event.id() == "once"));
}

/// Counts what comes.
fn counting(events: &Events) -> Arc<AtomicU32> {
    let handled = Arc::new(AtomicU32::new(0));
    let counted = handled.clone();
    events.consume(
        subscription("counting"),
        handler(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok::<(), Failure>(()))
        }),
    );
    handled
}

async fn enqueue(database: &Database, store: &regatta::eventstore_sql::SqlStore, id: &str) {
    let mut tx = database.begin().await.unwrap();
    let message = CloudEvent::try_new(id, "/a", "x").unwrap();
    let message = message.with_extension(CloudEvent::PARTITION_KEY, "k").unwrap();
    store.enqueue(&mut tx, &[message]).await.unwrap();
    tx.commit().await.unwrap();
    store.announce();
}

async fn bus_in(folder: &TempDir, more: &str) -> Service {
    let folder = folder.path().display();
    opened(&format!("events: {{ url: 'sqlite://{folder}/events.db' }}\n{more}")).await
}

fn database_in(folder: &TempDir) -> String {
    format!("database: {{ url: 'sqlite://{}/own.db' }}", folder.path().display())
}

fn subscription(group: &str) -> Subscription {
    let mut asks = Subscription::new(GroupName::try_new(group).unwrap());
    asks.start = Start::Beginning;
    asks
}
