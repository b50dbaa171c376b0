//! What goes over the wire.

use std::fmt;

use regatta::Problem;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};

use crate::domain::{Amount, Listing, Order, OrderId, Refund, Status};

/// An order to be placed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderFields {
    /// Whom it is for, 1 to 2147483647.
    #[schema(minimum = 1)]
    pub(super) user_id: i32,
    /// A decimal with at most two places, 0.01 to 999999999.99: a string, or a number.
    #[schema(value_type = String, example = "19.99")]
    #[serde(deserialize_with = "amount")]
    pub(super) amount: Amount,
}

/// An order that was placed.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlacedBody {
    pub(super) order_id: i32,
    /// `created`.
    pub(super) status: &'static str,
}

/// An order and how far it got.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrderBody {
    order_id: i32,
    user_id: i32,
    /// At most two decimal places.
    #[schema(value_type = f64, example = 19.99)]
    amount: serde_json::Number,
    /// `created`, `paid` or `cancelled`.
    status: &'static str,
    /// Why it was cancelled; absent when it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Its payment; absent until money moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<i32>,
    /// Whether the money of a cancelled order goes back: `requested`, then `done`; absent when none
    /// moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<&'static str>,
    /// When it is cancelled unless it is paid, RFC 3339, in UTC; absent when that is settled.
    #[schema(format = "date-time")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pay_by: Option<String>,
    /// RFC 3339, in UTC.
    #[schema(format = "date-time")]
    created_at: String,
}

/// A page of orders.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrderPage {
    pub(super) orders: Vec<OrderBody>,
    /// The next page, without host and prefix; null when there is none.
    pub(super) next: Option<String>,
}

/// Which page of orders is wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// How many orders, 1 to 1000; 100 when it is not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Only orders with higher numbers.
    #[param(minimum = 1)]
    after: Option<i32>,
}

impl PageQuery {
    /// What it asks for, of this caller's orders or of all.
    pub(super) fn listing(&self, caller: Option<String>) -> Result<Listing, Problem> {
        let limit = self.limit.unwrap_or(100);
        if !(1..=1000).contains(&limit) {
            return Err(Problem::invalid(format!(
                "limit `{limit}` is out of range; use 1 to 1000"
            )));
        }
        let after = self.after.map(|after| OrderId::try_new(after.into())).transpose()?;
        Ok(Listing { caller, after, limit })
    }
}

impl From<Order> for OrderBody {
    fn from(order: Order) -> Self {
        let Order { id, terms, status, refund } = order;
        let pay_by = (status == Status::Created).then(|| rfc3339(terms.pay_by));
        let name = status.name();
        let (payment_id, reason) = match status {
            Status::Created => (None, None),
            Status::Paid { payment_id } => (Some(payment_id), None),
            Status::Cancelled { reason } => (refund.map(Refund::payment_id), Some(reason)),
        };
        Self {
            order_id: id.number(),
            user_id: terms.user_id.number(),
            amount: as_number(terms.amount),
            status: name,
            reason,
            payment_id,
            refund: refund.map(Refund::name),
            pay_by,
            created_at: rfc3339(terms.placed_at),
        }
    }
}

/// The years 0 to 9999 can be written; the domain makes no others.
fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
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
            (r#"{"user_id":1,"amount":"19.99"}"#, "19.99"),
            (r#"{"user_id":1,"amount":19.99}"#, "19.99"),
            (r#"{"user_id":1,"amount":7}"#, "7.00"),
            (r#"{"user_id":1,"amount":1e3}"#, "1000.00"),
            (r#"{"user_id":1,"amount":999999999.99}"#, "999999999.99"),
        ] {
            let fields: OrderFields = serde_json::from_str(json).unwrap();
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
            let json = format!(r#"{{"user_id":1,"amount":{amount}}}"#);
            assert!(serde_json::from_str::<OrderFields>(&json).is_err(), "{json}");
        }
    }
}
