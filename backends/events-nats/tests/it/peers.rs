//! What another client of NATS sees, and publishes.

use std::time::Duration;

use async_nats::{Client, Subscriber, jetstream};
use futures::StreamExt;
use regatta_events::{CloudEvent, EventBus};
use regatta_testkit::{Nats, cloudevents_sdk};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::bus::{event, open, start, subscription};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_event_is_a_message_in_cloudevents_json_under_its_type() {
    let server = start().await;
    let (_client, mut messages) = listening(&server).await;
    let bus = open(&server).await;
    let placed = event(1, Some("order-1")).with_json(json!({ "amount": "42.50" }));
    bus.publish(std::slice::from_ref(&placed)).await.unwrap();
    let message = timeout(LIMIT, messages.next()).await.unwrap().unwrap();
    assert_eq!(message.subject.as_str(), "regatta.events.order.placed");
    let headers = message.headers.unwrap();
    assert_eq!(headers.get("Content-Type").unwrap().as_str(), "application/cloudevents+json");
    let object: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(object["specversion"], "1.0");
    assert_eq!(object["partitionkey"], "order-1");
    assert_eq!(CloudEvent::from_json(object).unwrap(), placed);
}

#[tokio::test]
async fn an_event_of_another_program_is_delivered_and_what_is_none_is_passed_over() {
    let server = start().await;
    let bus = open(&server).await;
    let mut deliveries = bus.subscribe(subscription("others")).await.unwrap();
    let client = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    for payload in [
        "not JSON".to_owned(),
        json!({ "id": "no specversion" }).to_string(),
        json!({ "specversion": "1.0", "id": "7", "source": "/py", "type": "order.placed" })
            .to_string(),
    ] {
        let sent = client.publish("regatta.events.order.placed", payload.into()).await.unwrap();
        sent.await.unwrap();
    }
    let delivery = timeout(LIMIT, deliveries.next()).await.unwrap().unwrap();
    assert_eq!((delivery.event().id(), delivery.event().source()), ("7", "/py"));
    delivery.ack().await.unwrap();
    assert_eq!(bus.history(&Default::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_sdk_of_pypi_reads_a_message_of_ours_and_what_it_makes_is_delivered() {
    let server = start().await;
    let bus = open(&server).await;
    let mut deliveries = bus.subscribe(subscription("readers")).await.unwrap();
    let (client, mut messages) = listening(&server).await;
    let placed = event(1, Some("order-1")).with_json(json!({ "amount": "42.50", "note": "é 😀" }));
    bus.publish(std::slice::from_ref(&placed)).await.unwrap();
    let message = timeout(LIMIT, messages.next()).await.unwrap().unwrap();
    let headers = message.headers.unwrap();
    let content_type = headers.get("Content-Type").unwrap().as_str();
    let body = std::str::from_utf8(&message.payload).unwrap();
    let read = sdk(&json!({ "headers": { "content-type": content_type }, "body": body }));
    let told = ["id", "source", "type", "partitionkey"].map(|name| &read["attributes"][name]);
    assert_eq!(told, ["1", "/shop", "order.placed", "order-1"]);
    assert_eq!(read["data"], *placed.json().unwrap());
    timeout(LIMIT, deliveries.next()).await.unwrap().unwrap().ack().await.unwrap();

    let made = sdk(&Value::Null)["structured"]["body"].as_str().unwrap().to_owned();
    let theirs = jetstream::new(client);
    let sent = theirs.publish("regatta.events.order.placed", made.clone().into()).await.unwrap();
    sent.await.unwrap();
    let delivery = timeout(LIMIT, deliveries.next()).await.unwrap().unwrap();
    assert_eq!(delivery.event(), &CloudEvent::from_json_slice(made.as_bytes()).unwrap());
    assert_eq!((delivery.event().id(), delivery.event().source()), ("sdk-1", "/python"));
    assert_eq!(delivery.event().partition_key(), Some("order-7"));
    delivery.ack().await.unwrap();
}

/// Another client, which hears of orders.
async fn listening(server: &Nats) -> (Client, Subscriber) {
    let client = async_nats::connect(server.url()).await.unwrap();
    let messages = client.subscribe("regatta.events.order.>").await.unwrap();
    // A flush does not wait for the server; an answer comes after what was sent before.
    jetstream::new(client.clone()).get_stream("none").await.unwrap_err();
    (client, messages)
}

fn sdk(message: &Value) -> Value {
    let told = cloudevents_sdk(&message.to_string()).unwrap_or_else(|error| panic!("{error}"));
    serde_json::from_str(&told).unwrap()
}
