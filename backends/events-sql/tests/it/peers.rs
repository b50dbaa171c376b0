//! What the CloudEvents SDK of PyPI reads in the log, and an event that it makes.

use std::collections::BTreeMap;
use std::time::Duration;

use regatta_database::Engine;
use regatta_events::{CloudEvent, EventBus, GroupName, JSON_CONTENT_TYPE, Start, Subscription};
use regatta_events_sql::SqlBus;
use regatta_testkit::cloudevents_sdk;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::timeout;

use crate::databases::{self, Fresh};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_sdk_of_pypi_reads_an_event_of_the_log_whole() {
    for fresh in databases::both().await {
        let bus = SqlBus::new(&fresh.database);
        bus.publish(&[ours()]).await.unwrap();
        let text = logged(&fresh).await;
        let read = sdk(&json!({ "headers": { "content-type": JSON_CONTENT_TYPE }, "body": text }));
        assert_eq!(read["attributes"], attributes(json!(3), json!(true)));
        assert_eq!(read["data"], *ours().json().unwrap());
        // What it writes of it is the same event.
        let back = read["structured"]["body"].as_str().unwrap();
        assert_eq!(CloudEvent::from_json_slice(back.as_bytes()).unwrap(), ours());
    }
}

#[tokio::test]
async fn the_sdk_of_pypi_reads_the_headers_and_the_body_of_an_event() {
    let binary = ours().to_binary();
    let headers: BTreeMap<_, _> = binary.headers.into_iter().collect();
    let body = String::from_utf8(binary.body).unwrap();
    let read = sdk(&json!({ "headers": headers, "body": body }));
    assert_eq!(read["attributes"], attributes(json!("3"), json!("true")));
    assert_eq!(read["data"], *ours().json().unwrap());
}

#[tokio::test]
async fn an_event_that_the_sdk_of_pypi_made_is_taken_and_delivered() {
    let made = sdk(&Value::Null);
    let structured = made["structured"]["body"].as_str().unwrap();
    let event = CloudEvent::from_json_slice(structured.as_bytes()).unwrap();
    let headers: BTreeMap<String, String> =
        serde_json::from_value(made["binary"]["headers"].clone()).unwrap();
    let headers = headers.iter().map(|(name, value)| (&**name, &**value));
    let body = made["binary"]["body"].as_str().unwrap().as_bytes();
    assert_eq!(CloudEvent::from_binary(headers, body).unwrap(), event);
    for fresh in databases::both().await {
        let bus = SqlBus::new(&fresh.database);
        let mut asks = Subscription::new(GroupName::try_new("readers").unwrap());
        asks.start = Start::Beginning;
        let mut deliveries = bus.subscribe(asks).await.unwrap();
        bus.publish(std::slice::from_ref(&event)).await.unwrap();
        let delivery = timeout(LIMIT, deliveries.next()).await.unwrap().unwrap();
        let read = delivery.event();
        assert_eq!((read.id(), read.source()), ("sdk-1", "/python"));
        assert_eq!((read.event_type(), read.subject()), ("order.placed", Some("order 7")));
        assert_eq!(read.partition_key(), Some("order-7"));
        assert_eq!(read.time().unwrap().unix_timestamp(), 1_767_323_045);
        assert_eq!(read.json(), Some(&json!({ "amount": "42.50", "note": "é € 😀" })));
        delivery.ack().await.unwrap();
    }
}

fn ours() -> CloudEvent {
    let time = OffsetDateTime::from_unix_timestamp_nanos(1_767_323_045_123_456_000).unwrap();
    CloudEvent::try_new("1", "/order-service", "order.placed")
        .unwrap()
        .with_time(time)
        .with_subject("order 1")
        .unwrap()
        .with_data_schema("https://example.com/order-placed.json")
        .unwrap()
        .with_extension(CloudEvent::PARTITION_KEY, "order-1")
        .unwrap()
        .with_extension("attempt", 3)
        .unwrap()
        .with_extension("urgent", true)
        .unwrap()
        .with_json(json!({ "user_id": 1, "amount": "42.50", "note": "é \" € 😀" }))
}

/// As the SDK tells them; headers know no numbers and no booleans.
fn attributes(attempt: Value, urgent: Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": "1",
        "source": "/order-service",
        "type": "order.placed",
        "subject": "order 1",
        "time": "2026-01-02T03:04:05.123456+00:00",
        "dataschema": "https://example.com/order-placed.json",
        "datacontenttype": "application/json",
        "partitionkey": "order-1",
        "attempt": attempt,
        "urgent": urgent,
    })
}

/// The one event of the log, as it is kept.
async fn logged(fresh: &Fresh) -> String {
    let select = "SELECT event FROM regatta_bus_log";
    match fresh.database.engine() {
        Engine::Sqlite(sqlite) => sqlx::query_scalar(select).fetch_one(sqlite.reader()).await,
        Engine::Postgres(postgres) => sqlx::query_scalar(select).fetch_one(postgres.pool()).await,
    }
    .unwrap()
}

fn sdk(message: &Value) -> Value {
    let told = cloudevents_sdk(&message.to_string()).unwrap_or_else(|error| panic!("{error}"));
    serde_json::from_str(&told).unwrap()
}
