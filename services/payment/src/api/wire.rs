//! What goes over the wire.

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};

use crate::domain::{Amount, Outcome, Payment};

/// A payment and what came of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct PaymentBody {
    payment_id: i32,
    order_id: i32,
    /// At most two decimal places.
    #[schema(value_type = f64, example = 19.99)]
    amount: serde_json::Number,
    /// `paid`, `refunded` or `declined`.
    status: &'static str,
    /// Why it was declined; absent when it was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// RFC 3339, in UTC.
    #[schema(format = "date-time")]
    created_at: String,
}

/// Which payments are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PaymentQuery {
    /// The order that was paid, 1 to 2147483647.
    #[param(minimum = 1)]
    pub(super) order_id: i32,
}

/// Payments that were found.
#[derive(Serialize, ToSchema)]
pub(crate) struct PaymentList {
    /// At most one for an order.
    pub(super) payments: Vec<PaymentBody>,
}

impl From<Payment> for PaymentBody {
    fn from(payment: Payment) -> Self {
        let Payment { id, wish, outcome } = payment;
        let status = outcome.name();
        let reason = match outcome {
            Outcome::Declined { reason } => Some(reason),
            Outcome::Paid | Outcome::Refunded => None,
        };
        Self {
            payment_id: id.number(),
            order_id: wish.order_id.number(),
            amount: as_number(wish.amount),
            status,
            reason,
            // The years 0 to 9999 can be written; the store makes no others.
            created_at: wish.asked_at.format(&Rfc3339).unwrap_or_default(),
        }
    }
}

/// The amount as a client most likely writes it: a number, its digits those of the exact decimal.
fn as_number(amount: Amount) -> serde_json::Number {
    amount.to_string().parse().expect("digits, a point and digits are a JSON number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_goes_out_as_an_exact_number() {
        for text in ["19.99", "0.01", "7.5", "999999999.99"] {
            let amount: Amount = text.parse().unwrap();
            assert_eq!(as_number(amount).to_string(), text);
        }
    }
}
