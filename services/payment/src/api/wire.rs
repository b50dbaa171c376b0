//! What goes over the wire.

use std::fmt;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use crate::domain::{Amount, Outcome, Payment};

/// A payment to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaymentFields {
    /// The order that is paid, 1 to 2147483647.
    #[schema(minimum = 1)]
    pub(super) order_id: i32,
    /// A decimal with at most two places, 0.01 to 999999999.99: a string, or a number.
    #[schema(value_type = String, example = "19.99")]
    #[serde(deserialize_with = "amount")]
    pub(super) amount: Amount,
}

/// A payment and what came of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct PaymentBody {
    payment_id: i32,
    order_id: i32,
    /// At most two decimal places.
    #[schema(value_type = f64, example = 19.99)]
    amount: serde_json::Number,
    /// `paid` or `declined`.
    status: &'static str,
    /// Why it was declined; absent when it was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// RFC 3339, in UTC.
    #[schema(format = "date-time")]
    created_at: String,
}

impl From<Payment> for PaymentBody {
    fn from(payment: Payment) -> Self {
        let (status, reason) = match payment.outcome {
            Outcome::Paid => ("paid", None),
            Outcome::Declined { reason } => ("declined", Some(reason)),
        };
        Self {
            payment_id: payment.id.number(),
            order_id: payment.order_id.number(),
            amount: as_number(payment.amount),
            status,
            reason,
            // The years 0 to 9999 can be written; the store makes no others.
            created_at: payment.created_at.format(&Rfc3339).unwrap_or_default(),
        }
    }
}

/// The amount as a client most likely wrote it: a number, its digits those of the exact decimal.
fn as_number(amount: Amount) -> serde_json::Number {
    amount.to_string().parse().expect("digits, a point and digits are a JSON number")
}

/// An amount from a JSON string or number. A number comes as a double and is read as the shortest
/// decimal that names it, which for amounts in range is the text that the client wrote.
fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
    struct Decimal;

    impl Visitor<'_> for Decimal {
        type Value = Amount;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a decimal amount such as \"19.99\"")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Amount, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Amount, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Amount, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Amount, E> {
            self.visit_str(&number.to_string())
        }
    }

    deserializer.deserialize_any(Decimal).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_string_or_a_number() {
        for (json, shown) in [
            (r#"{"order_id":1,"amount":"19.99"}"#, "19.99"),
            (r#"{"order_id":1,"amount":19.99}"#, "19.99"),
            (r#"{"order_id":1,"amount":7}"#, "7.00"),
            (r#"{"order_id":1,"amount":1e3}"#, "1000.00"),
            (r#"{"order_id":1,"amount":999999999.99}"#, "999999999.99"),
        ] {
            let fields: PaymentFields = serde_json::from_str(json).unwrap();
            assert_eq!(fields.amount.to_string(), shown, "{json}");
        }
    }

    #[test]
    fn an_amount_goes_out_as_the_number_that_came_in() {
        for text in ["19.99", "0.01", "7.5", "999999999.99"] {
            let amount: Amount = text.parse().unwrap();
            assert_eq!(as_number(amount).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for amount in ["\"\"", "\"1.005\"", "1.005", "0", "-1", "1e300", "null", "true", "[]"] {
            let json = format!(r#"{{"order_id":1,"amount":{amount}}}"#);
            assert!(serde_json::from_str::<PaymentFields>(&json).is_err(), "{json}");
        }
    }
}
