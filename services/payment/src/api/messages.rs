//! Messages between the services of the saga: what this one tells, and what it hears.
//!
//! Told: `payment.made`, `payment.declined`, `payment.refunded`. Heard: `order.placed`,
//! `order.refund_requested`.

use regatta::events::{CloudEvent, TypeFilter};
use regatta_eventstore::{NewEvent, StreamId};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::domain::{Amount, InvalidAmount, InvalidId, OrderId, PaymentEvent, PaymentId, Wish};

const SOURCE: &str = "/payment-service";
const PLACED: &str = "order.placed";
const REFUND_REQUESTED: &str = "order.refund_requested";

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To pay for an order.
    Pay(Wish),
    /// To give the money of this payment back.
    Refund(PaymentId),
}

/// A message is not what its type promises.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoMessage {
    /// Nobody here hears this type.
    #[error("`{0}` is no message for the payment-service")]
    Type(String),
    /// Its data have another form.
    #[error("the data of `{event_type}` cannot be read")]
    Data {
        /// Its type.
        event_type: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It names an order or a payment that cannot be.
    #[error("the message names nothing that can be")]
    Id(#[from] InvalidId),
    /// It is about no amount of money.
    #[error("the message asks for no amount")]
    Amount(#[from] InvalidAmount),
}

/// What is told of an event; the last member of its stream's name is the payment's number.
///
/// # Panics
///
/// Never: source and types are constants that fit.
pub fn of(stream: &StreamId, new: &NewEvent, event: &PaymentEvent) -> Option<CloudEvent> {
    let payment_id: i32 = stream.id().parse().ok()?;
    let (event_type, data) = match event {
        PaymentEvent::Made { order_id, .. } => {
            ("payment.made", json!({ "payment_id": payment_id, "order_id": order_id }))
        }
        PaymentEvent::Declined { order_id, reason, .. } => {
            let data = json!({ "payment_id": payment_id, "order_id": order_id, "reason": reason });
            ("payment.declined", data)
        }
        PaymentEvent::Refunded { order_id } => {
            ("payment.refunded", json!({ "payment_id": payment_id, "order_id": order_id }))
        }
    };
    let message = new.to_message(stream, SOURCE, event_type);
    Some(message.expect("source and type are constants that fit").with_json(data))
}

/// The types that [`read`] reads.
///
/// # Panics
///
/// Never: the patterns are constants that fit.
pub fn heard() -> TypeFilter {
    TypeFilter::try_new([PLACED, REFUND_REQUESTED]).expect("both are types")
}

/// What a message asks for; `now` is when it is asked.
///
/// # Errors
///
/// [`NoMessage`] when no repetition can help.
pub fn read(message: &CloudEvent, now: OffsetDateTime) -> Result<Asked, NoMessage> {
    #[derive(Deserialize)]
    struct Placed {
        order_id: i64,
        payer: String,
        amount: String,
    }

    #[derive(Deserialize)]
    struct RefundRequested {
        payment_id: i64,
    }

    let event_type = message.event_type();
    let data = message.json().unwrap_or(&Value::Null);
    let unread = |source| NoMessage::Data { event_type: event_type.to_owned(), source };
    match event_type {
        PLACED => {
            let Placed { order_id, payer, amount } = Placed::deserialize(data).map_err(unread)?;
            let (order_id, amount): (_, Amount) = (OrderId::try_new(order_id)?, amount.parse()?);
            Ok(Asked::Pay(Wish { payer, order_id, amount, asked_at: now }))
        }
        REFUND_REQUESTED => {
            let RefundRequested { payment_id } =
                RefundRequested::deserialize(data).map_err(unread)?;
            Ok(Asked::Refund(PaymentId::try_new(payment_id)?))
        }
        other => Err(NoMessage::Type(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_came_of_a_payment_is_told() {
        let (order_id, payer) = (42, "1".to_owned());
        let declined = PaymentEvent::Declined {
            order_id,
            payer: payer.clone(),
            hundredths: 1,
            asked_at: 0,
            reason: "too much".into(),
        };
        let made = PaymentEvent::Made { order_id, payer, hundredths: 1, asked_at: 0 };
        for (event, event_type, reason) in [
            (made, "payment.made", Value::Null),
            (declined, "payment.declined", json!("too much")),
            (PaymentEvent::Refunded { order_id }, "payment.refunded", Value::Null),
        ] {
            let new = NewEvent::new(Uuid::from_u128(1), "x", json!({}));
            let stream = StreamId::try_new("payment", 5).unwrap();
            let message = of(&stream, &new, &event).unwrap();
            assert_eq!((message.event_type(), message.source()), (event_type, "/payment-service"));
            let data = message.json().unwrap();
            assert_eq!((&data["payment_id"], &data["order_id"]), (&json!(5), &json!(42)));
            assert_eq!(data["reason"], reason);
        }
    }

    #[test]
    fn orders_and_requests_for_refunds_are_heard() {
        let placed = json!({ "order_id": 42, "amount": "42.50", "payer": "1", "more": 1 });
        let Asked::Pay(wish) = read(&message(PLACED, placed), now()).unwrap() else {
            panic!("asks for a payment");
        };
        assert_eq!((wish.order_id.number(), wish.amount.hundredths()), (42, 4250));
        assert_eq!((wish.payer.as_str(), wish.asked_at), ("1", now()));
        let refund = read(&message(REFUND_REQUESTED, json!({ "payment_id": 5 })), now()).unwrap();
        assert_eq!(refund, Asked::Refund(PaymentId::try_new(5).unwrap()));
        assert!(heard().passes(PLACED) && heard().passes(REFUND_REQUESTED));
        assert!(!heard().passes("order.paid"));
    }

    #[test]
    fn what_is_no_message_is_refused_for_good() {
        for (event_type, data) in [
            ("order.paid", json!({})),
            (PLACED, json!({ "order_id": 1, "payer": "1" })),
            (PLACED, json!({ "order_id": 0, "payer": "1", "amount": "1" })),
            (PLACED, json!({ "order_id": 1, "payer": "1", "amount": "a lot" })),
            (REFUND_REQUESTED, json!({ "payment_id": -1 })),
            (REFUND_REQUESTED, json!(null)),
        ] {
            assert!(
                read(&message(event_type, data.clone()), now()).is_err(),
                "{event_type} {data}"
            );
        }
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    fn message(event_type: &str, data: Value) -> CloudEvent {
        CloudEvent::try_new("1", "/order-service", event_type).unwrap().with_json(data)
    }
}
