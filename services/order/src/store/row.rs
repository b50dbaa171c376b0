//! A row of the table, and its errors in the domain's words.

use regatta_database as database;
use sqlx::{ColumnIndex, Decode, FromRow, Type};
use time::OffsetDateTime;

use crate::domain::{Amount, Error, Order, OrderId, Settlement, Status, UserId};

/// How many expired keys are let go with each new order: more than one, so that they do not pile
/// up; bounded, so that no order waits for a clean-up.
pub(super) const KEYS_LET_GO: i64 = 100;

pub(super) struct Row {
    id: i32,
    caller: String,
    user_id: i32,
    hundredths: i64,
    status: String,
    reason: Option<String>,
    payment_id: Option<i32>,
    payment_key: String,
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
            caller: row.try_get("caller")?,
            user_id: row.try_get("user_id")?,
            hundredths: row.try_get("hundredths")?,
            status: row.try_get("status")?,
            reason: row.try_get("reason")?,
            payment_id: row.try_get("payment_id")?,
            payment_key: row.try_get("payment_key")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

impl Row {
    pub(super) fn into_order(self) -> Result<Order, Error> {
        let id = OrderId::try_new(self.id.into());
        let user_id = UserId::try_new(self.user_id.into());
        let amount = Amount::from_hundredths(self.hundredths);
        let status = match (self.status.as_str(), self.payment_id, self.reason) {
            ("pending", ..) => Status::Pending,
            ("created", Some(payment_id), _) => Status::Created { payment_id },
            ("declined", _, Some(reason)) => Status::Declined { reason },
            _ => {
                let broken = format!("order `{}` has a status that does not fit", self.id);
                return Err(Error::Broken(broken.into()));
            }
        };
        Ok(Order {
            id: id.map_err(|error| Error::Broken(error.into()))?,
            caller: self.caller,
            user_id: user_id.map_err(|error| Error::Broken(error.into()))?,
            amount: amount.map_err(|error| Error::Broken(error.into()))?,
            status,
            payment_key: self.payment_key,
            created_at: self.created_at,
        })
    }
}

/// The columns `status`, `payment_id` and `reason`.
pub(super) fn columns(settlement: &Settlement) -> (&'static str, Option<i32>, Option<&str>) {
    match settlement {
        Settlement::Paid { payment_id } => ("created", Some(*payment_id), None),
        Settlement::Declined { reason } => ("declined", None, Some(reason)),
    }
}

pub(super) fn domain_error(error: database::Error) -> Error {
    match error.origin() {
        regatta_core::Origin::Upstream => Error::Unavailable(error.into()),
        _ => Error::Broken(error.into()),
    }
}
