//! The server is killed, held still, and not there at all.

use std::collections::HashSet;
use std::time::Duration;

use regatta_events::{BusError, EventBus};
use regatta_events_nats::{NatsBus, Options};
use regatta_testkit::{Nats, free_port, wait_until};
use tokio::time::{Instant, timeout};

use crate::bus::{event, open, start, subscription};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_the_server_being_killed_again_and_again() {
    const ROUNDS: u64 = 5;
    let mut server = start().await;
    let bus = patient(&server).await;
    let mut acknowledged = HashSet::new();
    let mut asks = subscription("all");
    // An acknowledgement that is lost with the server costs its lease.
    asks.lease = Duration::from_secs(2);
    let mut deliveries = bus.subscribe(asks).await.unwrap();
    let (sender, mut handled) = tokio::sync::mpsc::unbounded_channel();
    let handling = tokio_util::task::TaskTracker::new().spawn(async move {
        loop {
            // An error is of an outage; the next try follows the server.
            let Ok(delivery) = deliveries.next().await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let id: u64 = delivery.event().id().parse().unwrap();
            if delivery.ack().await.is_ok() && sender.send(id).is_err() {
                return;
            }
        }
    });
    for round in 0..ROUNDS {
        for number in 0..40 {
            let number = round * 1000 + number;
            if number % 1000 == 20 {
                server.stop();
                server.resume().await.unwrap();
            }
            // As an outbox does: until it is taken.
            while bus.publish(&[event(number, Some("key"))]).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            acknowledged.insert(number);
        }
    }
    // Delivered at least once each; an acknowledgement that was lost repeats one.
    let mut seen = HashSet::new();
    while seen.len() < acknowledged.len() {
        let id = timeout(LIMIT, handled.recv()).await.expect("all are delivered").unwrap();
        assert!(acknowledged.contains(&id));
        seen.insert(id);
    }
    handling.abort();
}

#[tokio::test]
async fn a_server_that_hangs_costs_the_timeout_and_is_used_again() {
    let server = start().await;
    let options = Options::new(server.url()).with_timeout(Duration::from_millis(300));
    let bus = NatsBus::try_new(options).unwrap();
    wait_until("it is used", LIMIT, async || bus.publish(&[event(1, None)]).await.is_ok()).await;
    server.freeze();
    let before = Instant::now();
    let refused = bus.publish(&[event(2, None)]).await;
    assert!(matches!(refused, Err(BusError::Unavailable(_))), "{refused:?}");
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    server.thaw();
    wait_until("it is used again", LIMIT, async || bus.publish(&[event(3, None)]).await.is_ok())
        .await;
}

#[tokio::test]
async fn a_server_may_come_after_its_first_user() {
    let url = format!("nats://127.0.0.1:{}", free_port());
    let options = Options::new(url).with_timeout(Duration::from_millis(100));
    let bus = NatsBus::try_new(options).unwrap();
    let early = bus.publish(&[event(1, None)]).await;
    assert!(early.unwrap_err().is_retryable());
    assert!(bus.subscribe(subscription("early")).await.is_err());
    assert!(bus.probe().await.is_err());

    let mut server = start().await;
    let bus = patient(&server).await;
    bus.probe().await.unwrap();
    server.stop();
    assert!(bus.probe().await.is_err());
    server.resume().await.unwrap();
    wait_until("it answers again", LIMIT, async || bus.probe().await.is_ok()).await;
}

/// Another process's lease is waited for, and then its event is delivered again.
#[tokio::test]
async fn what_a_process_that_died_had_comes_again_in_another() {
    let server = start().await;
    let (dying, living) = (open(&server).await, open(&server).await);
    let mut asks = subscription("leases");
    asks.lease = Duration::from_millis(500);
    let mut deliveries = dying.subscribe(asks.clone()).await.unwrap();
    dying.publish(&[event(1, Some("key")), event(2, Some("key"))]).await.unwrap();
    let held = deliveries.next().await.unwrap();
    let mut others = living.subscribe(asks).await.unwrap();
    let again = timeout(LIMIT, others.next()).await.unwrap().unwrap();
    assert_eq!((again.event().id(), again.number()), ("1", 2));
    assert!(matches!(held.ack().await, Err(BusError::LeaseLost)));
    again.ack().await.unwrap();
    timeout(LIMIT, others.next()).await.unwrap().unwrap().ack().await.unwrap();
}

/// A server that has just been killed is noticed soon, and not waited for.
async fn patient(server: &Nats) -> NatsBus {
    let options = Options::new(server.url()).with_timeout(Duration::from_secs(1));
    NatsBus::try_new(options).unwrap()
}
