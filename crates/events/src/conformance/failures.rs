//! What becomes of deliveries that fail.

use std::time::Duration;

use super::{LIMIT, Topic, next, nothing_comes};
use crate::{BusError, EventBus, FailedDelivery, Redrive};

/// A failed delivery is repeated after its pause, and the next event of its key waits for it.
pub(super) async fn what_failed_comes_again_later(bus: &dyn EventBus) {
    let topic = Topic::new();
    let mut deliveries = topic.subscribe(bus, "again").await;
    bus.publish(&[topic.event(0, Some("k")), topic.event(1, Some("k"))]).await.unwrap();
    next(&mut deliveries).await.retry("the mail server is away").await.unwrap();
    let again = next(&mut deliveries).await;
    assert_eq!((again.event().id(), again.number()), (&*topic.id(0), 2));
    again.ack().await.unwrap();
    let after = next(&mut deliveries).await;
    assert_eq!((after.event().id(), after.number()), (&*topic.id(1), 1));
    after.ack().await.unwrap();
}

/// After `max_deliveries` the event is set aside with every reason, and the key goes on.
pub(super) async fn what_fails_too_often_is_a_dead_letter_and_can_be_redriven(bus: &dyn EventBus) {
    let topic = Topic::new();
    let mut asks = topic.subscription("poison");
    asks.max_deliveries = 2;
    let group = asks.group.clone();
    let mut deliveries = bus.subscribe(asks).await.unwrap();
    bus.publish(&[topic.event(0, Some("k")), topic.event(1, Some("k"))]).await.unwrap();
    next(&mut deliveries).await.retry("first").await.unwrap();
    next(&mut deliveries).await.retry("second").await.unwrap();
    let after = next(&mut deliveries).await;
    assert_eq!(after.event().id(), topic.id(1), "the key goes on without it");
    after.ack().await.unwrap();

    let dead = bus.dead_letters(&group, 0, 10).await.unwrap();
    let [letter] = &dead[..] else { panic!("one dead letter, not {dead:?}") };
    assert_eq!((letter.event.id(), letter.reason.as_str()), (&*topic.id(0), "second"));
    let reasons = letter.failures.iter().map(|failed| (failed.number, &*failed.reason));
    assert_eq!(reasons.collect::<Vec<_>>(), [(1, "first"), (2, "second")]);
    assert!(bus.dead_letters(&group, letter.position, 10).await.unwrap().is_empty());

    let elsewhere = Redrive::Positions(vec![letter.position + 1]);
    assert_eq!(bus.redrive(&group, &elsewhere).await.unwrap(), 0);
    assert_eq!(bus.redrive(&group, &Redrive::Oldest(5)).await.unwrap(), 1);
    let redriven = next(&mut deliveries).await;
    assert_eq!((redriven.event().id(), redriven.number()), (&*topic.id(0), 1));
    redriven.ack().await.unwrap();
    assert!(bus.dead_letters(&group, 0, 10).await.unwrap().is_empty());
}

/// A delivery that failed for another's fault is none, however often; the key waits for it.
pub(super) async fn what_was_away_comes_again_and_does_not_count(bus: &dyn EventBus) {
    let topic = Topic::new();
    let mut asks = topic.subscription("away");
    asks.max_deliveries = 2;
    let group = asks.group.clone();
    let mut deliveries = bus.subscribe(asks).await.unwrap();
    bus.publish(&[topic.event(0, Some("k")), topic.event(1, Some("k"))]).await.unwrap();
    for _ in 0..4 {
        let delivery = next(&mut deliveries).await;
        assert_eq!((delivery.event().id(), delivery.number()), (&*topic.id(0), 1));
        delivery.away(Duration::from_millis(20)).await.unwrap();
    }
    next(&mut deliveries).await.retry("its own fault").await.unwrap();
    let again = next(&mut deliveries).await;
    assert_eq!((again.event().id(), again.number()), (&*topic.id(0), 2));
    again.ack().await.unwrap();
    next(&mut deliveries).await.ack().await.unwrap();
    assert!(bus.dead_letters(&group, 0, 10).await.unwrap().is_empty());
}

/// What cannot succeed is not tried again.
pub(super) async fn what_is_rejected_is_a_dead_letter_at_once(bus: &dyn EventBus) {
    let topic = Topic::new();
    let asks = topic.subscription("rejected");
    let group = asks.group.clone();
    let mut deliveries = bus.subscribe(asks).await.unwrap();
    bus.publish(&[topic.event(0, None)]).await.unwrap();
    next(&mut deliveries).await.reject("no such order").await.unwrap();
    nothing_comes(&mut deliveries).await;
    let dead = bus.dead_letters(&group, 0, 10).await.unwrap();
    assert_eq!(dead[0].reason, "no such order");
    assert_eq!(dead[0].failures.len(), 1);
}

/// A subscriber that vanishes costs its lease and a delivery, not the event.
pub(super) async fn what_is_not_settled_comes_again_after_its_lease(bus: &dyn EventBus) {
    let topic = Topic::new();
    let mut asks = topic.subscription("vanished");
    asks.lease = Duration::from_millis(400);
    asks.max_deliveries = 2;
    let group = asks.group.clone();
    let mut vanishing = bus.subscribe(asks.clone()).await.unwrap();
    bus.publish(&[topic.event(0, None)]).await.unwrap();
    drop(next(&mut vanishing).await);
    drop(vanishing);
    let mut deliveries = bus.subscribe(asks).await.unwrap();
    let again = next(&mut deliveries).await;
    assert_eq!((again.event().id(), again.number()), (&*topic.id(0), 2));
    drop(again);
    // The lease of the last delivery runs out too.
    nothing_comes(&mut deliveries).await;
    let letters = tokio::time::timeout(LIMIT, async {
        loop {
            nothing_comes(&mut deliveries).await;
            let dead = bus.dead_letters(&group, 0, 10).await.unwrap();
            if !dead.is_empty() {
                return dead;
            }
        }
    });
    let letters = letters.await.expect("a dead letter comes");
    assert_eq!(letters[0].reason, FailedDelivery::LEASE_RAN_OUT);
}

/// Who lost the lease cannot settle what another one has.
pub(super) async fn a_late_acknowledgement_is_refused(bus: &dyn EventBus) {
    let topic = Topic::new();
    let mut asks = topic.subscription("late");
    asks.lease = Duration::from_millis(200);
    let mut deliveries = bus.subscribe(asks).await.unwrap();
    bus.publish(&[topic.event(0, None)]).await.unwrap();
    let late = next(&mut deliveries).await;
    let again = next(&mut deliveries).await;
    assert!(matches!(late.ack().await, Err(BusError::LeaseLost)));
    again.ack().await.unwrap();
}
