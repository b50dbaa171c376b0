//! What happens to an order, in the form in which it is kept for ever.

use regatta_eventstore::DomainEvent;
use serde::{Deserialize, Serialize};

/// What happened to an order. Numbers, not the domain's types: history outlives their ranges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum OrderEvent {
    /// Somebody placed it.
    Placed {
        /// The user of the token.
        caller: String,
        /// Whom it is for.
        user_id: i32,
        /// What it costs, in hundredths.
        hundredths: i64,
        /// When, in microseconds since 1970.
        placed_at: i64,
        /// Until when it has to be paid, in microseconds since 1970.
        pay_by: i64,
    },
    /// The money moved.
    Paid {
        /// The number of the payment.
        payment_id: i32,
    },
    /// It will not be delivered.
    Cancelled {
        /// Why, for who placed it.
        reason: String,
    },
    /// Money moved for an order that was cancelled; it has to go back.
    RefundRequested {
        /// The number of the payment.
        payment_id: i32,
    },
    /// The money went back.
    Refunded {
        /// The number of the payment.
        payment_id: i32,
    },
}

impl DomainEvent for OrderEvent {}
