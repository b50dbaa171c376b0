//! What every outbox must do.

use std::sync::Arc;
use std::time::Duration;

use regatta_events::CloudEvent;
use serde_json::json;
use uuid::Uuid;

use super::{LIMIT, events, stream};
use crate::{Append, EventStore, Expected, Outbox, Queued, Version};

/// Runs every check of the outbox, which must be empty and nobody else's.
///
/// # Panics
///
/// When it does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: messages are left behind.
pub async fn outbox(store: Arc<dyn EventStore>, outbox: Arc<dyn Outbox>) {
    let (store, outbox) = (&*store, &*outbox);
    messages_come_with_their_append_in_order(store, outbox).await;
    one_relay_at_a_time_has_the_turn(store, outbox).await;
    a_relay_goes_on_with_what_is_left(store, outbox).await;
    a_message_that_no_bus_takes_is_set_aside(store, outbox).await;
}

async fn messages_come_with_their_append_in_order(store: &dyn EventStore, outbox: &dyn Outbox) {
    let (stream, relay) = (stream(), Uuid::new_v4());
    let mut with = Append::new(stream.clone(), Expected::Any, events(1));
    with.outbox = vec![message("a"), message("b")];
    store.append(&with).await.unwrap();
    store.append(&with).await.unwrap();
    let mut refused = Append::new(stream, Expected::Exactly(Version::NONE), events(1));
    refused.outbox = vec![message("never")];
    store.append(&refused).await.unwrap_err();
    let mut next = Append::new(self::stream(), Expected::Any, events(1));
    next.outbox = vec![message("c")];
    store.append(&next).await.unwrap();

    assert_eq!(outbox.backlog().await.unwrap(), (3, 0));
    assert_eq!(claimed(outbox, relay, 2).await, ["a", "b"]);
    let all = outbox.claim(relay, LIMIT, 10).await.unwrap().unwrap();
    assert_eq!(all[2].event, message("c"), "it survives whole");
    assert!(outbox.published(relay, &[all[0].number, all[1].number]).await.unwrap());
    assert_eq!(claimed(outbox, relay, 10).await, ["c"]);
    assert!(outbox.published(relay, &[all[2].number]).await.unwrap());
    assert_eq!(outbox.backlog().await.unwrap(), (0, 0));
    outbox.release(relay).await.unwrap();
}

async fn one_relay_at_a_time_has_the_turn(store: &dyn EventStore, outbox: &dyn Outbox) {
    let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
    put(store, "turn").await;
    let brief = Duration::from_millis(300);
    let held = outbox.claim(one, brief, 1).await.unwrap().unwrap();
    assert_eq!(outbox.claim(two, brief, 1).await.unwrap(), None);
    assert!(!outbox.published(two, &[held[0].number]).await.unwrap(), "it has not the turn");
    assert!(!outbox.set_aside(two, held[0].number, "mine").await.unwrap());
    // One is silent for longer than its lease, and two takes over.
    let taking_over = async {
        while outbox.claim(two, LIMIT, 1).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, taking_over).await.expect("the lease runs out");
    assert!(!outbox.published(one, &[held[0].number]).await.unwrap(), "it has lost the turn");
    outbox.release(one).await.unwrap();
    assert_eq!(outbox.claim(one, brief, 1).await.unwrap(), None, "it gave nothing back");
    outbox.release(two).await.unwrap();
    assert_eq!(claimed(outbox, one, 1).await, ["turn"]);
    assert!(outbox.published(one, &[held[0].number]).await.unwrap());
    outbox.release(one).await.unwrap();
}

/// What was published is taken off with the next claim, by who has the turn and by nobody else.
async fn a_relay_goes_on_with_what_is_left(store: &dyn EventStore, outbox: &dyn Outbox) {
    let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
    for id in ["a", "b", "c"] {
        put(store, id).await;
    }
    let ids = |queued: &[Queued]| {
        queued.iter().map(|queued| queued.event.id().to_owned()).collect::<Vec<_>>()
    };
    let brief = Duration::from_millis(300);
    let held = outbox.claim(one, brief, 2).await.unwrap().unwrap();
    let numbers: Vec<_> = held.iter().map(|queued| queued.number).collect();
    assert_eq!(outbox.go_on(two, &numbers, LIMIT, 2).await.unwrap(), None);
    assert_eq!(outbox.backlog().await.unwrap(), (3, 0), "it has not the turn");
    let left = outbox.go_on(one, &numbers, brief, 2).await.unwrap().unwrap();
    assert_eq!(ids(&left), ["c"]);
    // Again, as after an answer that was lost.
    let again = outbox.go_on(one, &numbers, brief, 2).await.unwrap().unwrap();
    assert_eq!(again, left);
    // One is silent for longer than its lease, and two takes over.
    let taking_over = async {
        while outbox.claim(two, LIMIT, 1).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, taking_over).await.expect("the lease runs out");
    assert_eq!(outbox.go_on(one, &[left[0].number], brief, 2).await.unwrap(), None);
    assert_eq!(outbox.backlog().await.unwrap(), (1, 0), "it has lost the turn");
    let none = outbox.go_on(two, &[left[0].number], LIMIT, 2).await.unwrap();
    assert_eq!(none, Some(Vec::new()));
    assert_eq!(outbox.backlog().await.unwrap(), (0, 0));
    outbox.release(two).await.unwrap();
}

async fn a_message_that_no_bus_takes_is_set_aside(store: &dyn EventStore, outbox: &dyn Outbox) {
    let relay = Uuid::new_v4();
    put(store, "good").await;
    put(store, "bad").await;
    let held = outbox.claim(relay, LIMIT, 10).await.unwrap().unwrap();
    assert!(outbox.set_aside(relay, held[1].number, "too large").await.unwrap());
    assert_eq!(claimed(outbox, relay, 10).await, ["good"]);
    assert_eq!(outbox.backlog().await.unwrap(), (1, 1));
    let numbers = [held[0].number, held[1].number];
    assert!(outbox.published(relay, &numbers).await.unwrap());
    assert_eq!(outbox.backlog().await.unwrap(), (0, 1), "it is not lost");
    outbox.release(relay).await.unwrap();
}

async fn put(store: &dyn EventStore, id: &str) {
    let mut append = Append::new(stream(), Expected::Any, events(1));
    append.outbox = vec![message(id)];
    store.append(&append).await.unwrap();
}

async fn claimed(outbox: &dyn Outbox, relay: Uuid, limit: u32) -> Vec<String> {
    let messages = outbox.claim(relay, LIMIT, limit).await.unwrap().unwrap();
    messages.iter().map(|queued| queued.event.id().to_owned()).collect()
}

fn message(id: &str) -> CloudEvent {
    let event = CloudEvent::try_new(id, "/conformance", "happened").unwrap();
    event.with_json(json!({ "text": "\u{0} € 😀" })).with_extension("partitionkey", "é").unwrap()
}
