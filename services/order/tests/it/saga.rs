//! The order's side of the saga, through the whole service.

use regatta::events::{CloudEvent, GroupName};
use regatta_testkit::wait_until;
use serde_json::json;

use crate::running::{LIMIT, Shop, wish};

#[tokio::test]
async fn an_order_is_told_of_and_paid_when_the_payment_is_told() {
    let shop = Shop::open().await;
    let id = shop.order(Some("k"), &wish(42.5)).await.json()["order_id"].clone();
    let placed = shop.told("order.placed").await;
    let data = json!({ "order_id": id, "amount": "42.50", "payer": "1", "user_id": 7 });
    assert_eq!(placed.json(), Some(&data));
    assert!(placed.extension(CloudEvent::TRACEPARENT).is_some(), "it goes on in the trace");
    assert!(placed.extension(CloudEvent::CORRELATION_ID).is_some());

    shop.tell("payment.made", json!({ "order_id": id, "payment_id": 5 })).await;
    let order = shop.becomes(&id, "paid").await;
    assert_eq!((&order["payment_id"], &order["pay_by"]), (&json!(5), &json!(null)));
    let paid = shop.told("order.paid").await;
    assert_eq!(paid.json(), Some(&json!({ "order_id": id, "payment_id": 5 })));
    assert!(paid.extension(CloudEvent::CAUSATION_ID).is_some());
}

#[tokio::test]
async fn a_declined_payment_cancels_the_order_with_its_reason() {
    let shop = Shop::open().await;
    let id = shop.order(Some("k"), &wish(42.5)).await.json()["order_id"].clone();
    let declined = json!({ "order_id": id, "payment_id": 5, "reason": "over the limit" });
    shop.tell("payment.declined", declined).await;
    let order = shop.becomes(&id, "cancelled").await;
    assert_eq!((&order["reason"], &order["refund"]), (&json!("over the limit"), &json!(null)));
    let told = shop.told("order.cancelled").await;
    assert_eq!(told.json(), Some(&json!({ "order_id": id, "reason": "over the limit" })));
}

#[tokio::test]
async fn an_order_that_nobody_pays_is_cancelled_and_money_that_comes_late_goes_back() {
    let shop = Shop::open_with("saga: { payment_within: 1s }").await;
    let id = shop.order(Some("k"), &wish(42.5)).await.json()["order_id"].clone();
    let order = shop.becomes(&id, "cancelled").await;
    assert_eq!(order["reason"], "no payment came in time");

    shop.tell("payment.made", json!({ "order_id": id, "payment_id": 5 })).await;
    let asked = shop.told("order.refund_requested").await;
    assert_eq!(asked.json(), Some(&json!({ "order_id": id, "payment_id": 5 })));
    let order = shop.read(&id).await;
    assert_eq!((&order["refund"], &order["payment_id"]), (&json!("requested"), &json!(5)));

    shop.tell("payment.refunded", json!({ "order_id": id, "payment_id": 5 })).await;
    wait_until("the refund", LIMIT, async || shop.read(&id).await["refund"] == "done").await;
    assert_eq!(shop.read(&id).await["status"], "cancelled");
}

#[tokio::test]
async fn messages_that_come_in_another_order_end_in_the_same() {
    let shop = Shop::open().await;
    let id = shop.order(Some("k"), &wish(42.5)).await.json()["order_id"].clone();
    let other = shop.order(Some("l"), &wish(1.0)).await.json()["order_id"].clone();
    // Of money that nobody asked back, before the payment is told.
    shop.tell("payment.refunded", json!({ "order_id": id, "payment_id": 5 })).await;
    shop.tell("payment.made", json!({ "order_id": id, "payment_id": 5 })).await;
    shop.becomes(&id, "paid").await;
    // An older try to pay, which failed, is told late.
    let declined = json!({ "order_id": id, "payment_id": 4, "reason": "over the limit" });
    shop.tell("payment.declined", declined).await;
    shop.tell("payment.made", json!({ "order_id": other, "payment_id": 6 })).await;
    shop.becomes(&other, "paid").await;
    let group = GroupName::try_new("order-service").unwrap();
    wait_until("all to be handled", LIMIT, async || {
        let standing = shop.bus.standing(&group).await.unwrap();
        standing.behind + standing.open == 0
    })
    .await;
    let order = shop.read(&id).await;
    assert_eq!((&order["status"], &order["payment_id"]), (&json!("paid"), &json!(5)));
    assert_eq!(order["refund"], json!(null));
    assert_eq!(shop.bus.standing(&group).await.unwrap().dead, 0);
}

#[tokio::test]
async fn a_message_that_makes_no_sense_is_a_dead_letter_and_stops_nobody() {
    let shop = Shop::open().await;
    let id = shop.order(Some("k"), &wish(1.0)).await.json()["order_id"].clone();
    shop.tell("payment.made", json!({ "order_id": "one" })).await;
    shop.tell("payment.made", json!({ "order_id": 99, "payment_id": 1 })).await;
    shop.tell("payment.made", json!({ "order_id": id, "payment_id": 5 })).await;
    shop.becomes(&id, "paid").await;
    let group = GroupName::try_new("order-service").unwrap();
    let mut dead = Vec::new();
    wait_until("two dead letters", LIMIT, async || {
        dead = shop.bus.dead_letters(&group, 0, 10).await.unwrap();
        dead.len() == 2
    })
    .await;
    assert!(dead[0].reason.contains("cannot be read"), "{}", dead[0].reason);
    assert!(dead[1].reason.contains("there is no such order"), "{}", dead[1].reason);
}
