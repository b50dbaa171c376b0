//! What every store of payments must do.

use payment_service::domain::{OrderId, Outcome, Payment, PaymentId, Payments, Wish};
use payment_service::store::EventedPayments;
use regatta::events::CloudEvent;
use time::OffsetDateTime;

/// Runs every check, each on an empty store.
pub(crate) async fn all(store: impl AsyncFn() -> EventedPayments) {
    keeps_what_it_is_asked_for(&store().await).await;
    knows_no_payment_that_was_not_asked_for(&store().await).await;
    an_order_is_paid_once(&store().await).await;
    a_message_counts_once(&store().await).await;
    money_goes_back_once(&store().await).await;
    of_many_at_once_for_one_order_one_is_made(&store().await).await;
}

async fn keeps_what_it_is_asked_for(payments: &EventedPayments) {
    pay(payments, "a", wish(7, "19.99")).await;
    let payment = payments.of_order(order(7)).await.unwrap().unwrap();
    assert_eq!((&payment.wish, &payment.outcome), (&wish(7, "19.99"), &Outcome::Paid));
    assert_eq!(payments.get(payment.id).await.unwrap(), Some(payment));
    pay(payments, "b", wish(8, "1000.01")).await;
    let reason = "amount 1000.01 is over the limit of 1000.00".to_owned();
    assert_eq!(of(payments, 8).await.outcome, Outcome::Declined { reason });
}

async fn knows_no_payment_that_was_not_asked_for(payments: &EventedPayments) {
    let id = PaymentId::try_new(i64::from(i32::MAX)).unwrap();
    assert_eq!(payments.get(id).await.unwrap(), None);
    assert_eq!(payments.of_order(order(1)).await.unwrap(), None);
    assert!(payments.refund(&message("r"), id).await.is_err());
}

async fn an_order_is_paid_once(payments: &EventedPayments) {
    pay(payments, "a", wish(7, "19.99")).await;
    let first = of(payments, 7).await;
    // Another message about the same order, as after a replay from a copied log.
    pay(payments, "b", wish(7, "5")).await;
    assert_eq!(of(payments, 7).await, first);
}

async fn a_message_counts_once(payments: &EventedPayments) {
    pay(payments, "a", wish(7, "19.99")).await;
    pay(payments, "a", wish(8, "5")).await;
    assert_eq!(payments.of_order(order(8)).await.unwrap(), None);
}

async fn money_goes_back_once(payments: &EventedPayments) {
    pay(payments, "a", wish(7, "19.99")).await;
    let id = of(payments, 7).await.id;
    for name in ["r", "r", "again"] {
        payments.refund(&message(name), id).await.unwrap();
        assert_eq!(of(payments, 7).await.outcome, Outcome::Refunded);
    }
}

async fn of_many_at_once_for_one_order_one_is_made(payments: &EventedPayments) {
    let [a, b, c] = ["a", "b", "c"];
    tokio::join!(
        pay(payments, a, wish(7, "1")),
        pay(payments, b, wish(7, "2")),
        pay(payments, c, wish(7, "3")),
    );
    let payment = of(payments, 7).await;
    let other = PaymentId::try_new(i64::from(payment.id.number()) + 1).unwrap();
    assert_eq!(payments.get(other).await.unwrap(), None);
}

async fn pay(payments: &EventedPayments, message_id: &str, wish: Wish) {
    payments.pay(&message(message_id), &wish, "1000".parse().unwrap()).await.unwrap();
}

async fn of(payments: &EventedPayments, number: i64) -> Payment {
    payments.of_order(order(number)).await.unwrap().unwrap()
}

fn wish(number: i64, amount: &str) -> Wish {
    Wish {
        payer: "1".to_owned(),
        order_id: order(number),
        amount: amount.parse().unwrap(),
        asked_at: OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap(),
    }
}

fn message(id: &str) -> CloudEvent {
    CloudEvent::try_new(id, "/order-service", "order.placed").unwrap()
}

fn order(number: i64) -> OrderId {
    OrderId::try_new(number).unwrap()
}
