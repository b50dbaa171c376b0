//! Messages between the services of the saga: what this one tells, and what it hears.
//!
//! Told: `order.placed`, `order.paid`, `order.cancelled`, `order.refund_requested`. Heard:
//! `payment.made`, `payment.declined`, `payment.refunded`.

use regatta::events::{CloudEvent, TypeFilter};
use regatta_eventstore::{NewEvent, StreamId};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::{Value, json};

use crate::domain::{Amount, InvalidId, OrderCommand, OrderEvent, OrderId};

const SOURCE: &str = "/order-service";

/// A message is not what its type promises.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoMessage {
    /// Nobody here hears this type.
    #[error("`{0}` is no message for the order-service")]
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
    /// It names an order that cannot be.
    #[error("the message names no order")]
    Order(#[from] InvalidId),
}

/// What is told of an event; the last member of its stream's name is the order's number.
///
/// # Panics
///
/// Never: source and types are constants that fit.
pub fn of(stream: &StreamId, new: &NewEvent, event: &OrderEvent) -> Option<CloudEvent> {
    let order_id: i32 = stream.id().parse().ok()?;
    let (event_type, data) = match event {
        OrderEvent::Placed { caller, user_id, hundredths, .. } => {
            let amount = Amount::from_hundredths(*hundredths).ok()?.to_string();
            let data = json!({ "order_id": order_id, "amount": amount, "payer": caller, "user_id": user_id });
            ("order.placed", data)
        }
        OrderEvent::Paid { payment_id } => {
            ("order.paid", json!({ "order_id": order_id, "payment_id": payment_id }))
        }
        OrderEvent::Cancelled { reason } => {
            ("order.cancelled", json!({ "order_id": order_id, "reason": reason }))
        }
        OrderEvent::RefundRequested { payment_id } => {
            ("order.refund_requested", json!({ "order_id": order_id, "payment_id": payment_id }))
        }
        // The payment-service has told of it.
        OrderEvent::Refunded { .. } => return None,
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
    TypeFilter::try_new(["payment.*"]).expect("it ends with its star")
}

/// What a message asks of which order.
///
/// # Errors
///
/// [`NoMessage`] when no repetition can help.
pub fn read(message: &CloudEvent) -> Result<(OrderId, OrderCommand), NoMessage> {
    #[derive(Deserialize)]
    struct Told {
        order_id: i64,
        #[serde(deserialize_with = "positive")]
        payment_id: i32,
        #[serde(default)]
        reason: String,
    }

    let event_type = message.event_type();
    let data = message.json().unwrap_or(&Value::Null);
    let read = |source| NoMessage::Data { event_type: event_type.to_owned(), source };
    let told = || Told::deserialize(data).map_err(read);
    let (order_id, command) = match event_type {
        "payment.made" => {
            let Told { order_id, payment_id, .. } = told()?;
            (order_id, OrderCommand::RecordPayment { payment_id })
        }
        "payment.declined" => {
            let Told { order_id, reason, .. } = told()?;
            (order_id, OrderCommand::RecordDecline { reason })
        }
        "payment.refunded" => {
            let Told { order_id, payment_id, .. } = told()?;
            (order_id, OrderCommand::RecordRefund { payment_id })
        }
        other => return Err(NoMessage::Type(other.to_owned())),
    };
    Ok((OrderId::try_new(order_id)?, command))
}

/// The number of a payment: one that cannot be would be refused by whoever is asked to refund it.
fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    match i32::deserialize(deserializer)? {
        number @ 1.. => Ok(number),
        number => Err(D::Error::custom(format!("`{number}` is no payment; they begin with 1"))),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_order_that_is_placed_is_told_with_all_that_a_payment_needs() {
        let placed = OrderEvent::Placed {
            caller: "1".into(),
            user_id: 7,
            hundredths: 4250,
            placed_at: 0,
            pay_by: 1,
        };
        let message = told(&placed).unwrap();
        assert_eq!((message.event_type(), message.source()), ("order.placed", "/order-service"));
        assert_eq!(message.partition_key(), Some("order-42"));
        let data = json!({ "order_id": 42, "amount": "42.50", "payer": "1", "user_id": 7 });
        assert_eq!(message.json(), Some(&data));
    }

    #[test]
    fn what_follows_is_told_but_for_what_the_payment_service_has_told() {
        for (event, event_type) in [
            (OrderEvent::Paid { payment_id: 1 }, Some("order.paid")),
            (OrderEvent::Cancelled { reason: "x".into() }, Some("order.cancelled")),
            (OrderEvent::RefundRequested { payment_id: 1 }, Some("order.refund_requested")),
            (OrderEvent::Refunded { payment_id: 1 }, None),
        ] {
            assert_eq!(told(&event).as_ref().map(CloudEvent::event_type), event_type);
        }
    }

    #[test]
    fn what_the_payment_service_tells_is_heard() {
        let data = json!({ "order_id": 42, "payment_id": 5, "reason": "too much", "more": 1 });
        for (event_type, command) in [
            ("payment.made", OrderCommand::RecordPayment { payment_id: 5 }),
            ("payment.declined", OrderCommand::RecordDecline { reason: "too much".into() }),
            ("payment.refunded", OrderCommand::RecordRefund { payment_id: 5 }),
        ] {
            assert!(heard().passes(event_type));
            let (id, read) = read(&message(event_type, data.clone())).unwrap();
            assert_eq!((id.number(), read), (42, command));
        }
    }

    #[test]
    fn what_is_no_message_is_refused_for_good() {
        for (event_type, data) in [
            ("payment.lost", json!({ "order_id": 1, "payment_id": 1 })),
            ("payment.made", json!({ "order_id": 1 })),
            ("payment.made", json!({ "order_id": 0, "payment_id": 1 })),
            ("payment.made", json!({ "order_id": 1, "payment_id": -5 })),
            ("payment.refunded", json!({ "order_id": 1, "payment_id": 0 })),
            ("payment.made", json!(null)),
        ] {
            assert!(read(&message(event_type, data.clone())).is_err(), "{event_type} {data}");
        }
        assert!(read(&CloudEvent::try_new("1", "/p", "payment.made").unwrap()).is_err());
    }

    fn told(event: &OrderEvent) -> Option<CloudEvent> {
        let new = NewEvent::new(Uuid::from_u128(1), "x", json!({}));
        of(&StreamId::try_new("order", 42).unwrap(), &new, event)
    }

    fn message(event_type: &str, data: Value) -> CloudEvent {
        CloudEvent::try_new("1", "/payment-service", event_type).unwrap().with_json(data)
    }
}
