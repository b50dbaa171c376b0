//! A row of the table, and its errors in the domain's words.

use regatta_database as database;
use sqlx::{ColumnIndex, Decode, FromRow, Type};
use time::OffsetDateTime;

use crate::domain::{Amount, Error, OrderId, Outcome, Payment, PaymentId};

pub(super) struct Row {
    id: i32,
    payer: String,
    order_id: i32,
    hundredths: i64,
    declined: Option<String>,
    created_at: OffsetDateTime,
}

// By hand: sqlx's derive would have sqlx, its drivers and their TLS built twice.
impl<'r, R> FromRow<'r, R> for Row
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    OffsetDateTime: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i32: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            payer: row.try_get("payer")?,
            order_id: row.try_get("order_id")?,
            hundredths: row.try_get("hundredths")?,
            declined: row.try_get("declined")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

impl Row {
    pub(super) fn into_payment(self) -> Result<Payment, Error> {
        let outcome = self.declined.map_or(Outcome::Paid, |reason| Outcome::Declined { reason });
        let order_id = OrderId::try_new(self.order_id.into());
        let amount = Amount::from_hundredths(self.hundredths);
        Ok(Payment {
            id: PaymentId::try_new(self.id.into()).map_err(|error| Error::Broken(error.into()))?,
            payer: self.payer,
            order_id: order_id.map_err(|error| Error::Broken(error.into()))?,
            amount: amount.map_err(|error| Error::Broken(error.into()))?,
            outcome,
            created_at: self.created_at,
        })
    }
}

/// Why a payment was declined; null in the table when it was paid.
pub(super) fn declined(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Paid => None,
        Outcome::Declined { reason } => Some(reason),
    }
}

pub(super) fn domain_error(error: database::Error) -> Error {
    match error.origin() {
        regatta_core::Origin::Upstream => Error::Unavailable(error.into()),
        _ => Error::Broken(error.into()),
    }
}
