//! An order and its states.

use time::{Duration, OffsetDateTime};

use super::{Amount, IdempotencyKey, OrderId, UserId};

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its number.
    pub id: OrderId,
    /// Who placed it: the user of the token.
    pub caller: String,
    /// Whom it is for.
    pub user_id: UserId,
    /// What it costs.
    pub amount: Amount,
    /// How far it got.
    pub status: Status,
    /// By which the payment-service knows a repeated attempt to pay; never used twice.
    pub payment_key: String,
    /// When it was recorded.
    pub created_at: OffsetDateTime,
}

/// How far an order got. It leaves `Pending` once and then stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Recorded; whether it is paid is not known yet. A repeated request goes on from here.
    Pending,
    /// Paid.
    Created {
        /// The number of its payment at the payment-service.
        payment_id: i32,
    },
    /// Not paid, for good.
    Declined {
        /// Why, as the payment-service says it.
        reason: String,
    },
}

/// What came of the attempt to pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The money moved.
    Paid {
        /// The number of the payment.
        payment_id: i32,
    },
    /// It did not and will not.
    Declined {
        /// Why.
        reason: String,
    },
}

/// An order to be recorded as pending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// Who places it.
    pub caller: String,
    /// By which a repeated request is known; counts for this caller only.
    pub key: IdempotencyKey,
    /// Whom it is for.
    pub user_id: UserId,
    /// What it costs.
    pub amount: Amount,
    /// By which the payment-service will know it.
    pub payment_key: String,
    /// The time.
    pub now: OffsetDateTime,
}

impl NewOrder {
    /// How long a key is kept: 24 hours, longer than any client retries. The key of an order that is
    /// still pending is kept until it is settled.
    pub const KEY_IS_KEPT_FOR: Duration = Duration::hours(24);

    /// When the key may be used for another order, in seconds since 1970.
    pub fn key_expires_at(&self) -> i64 {
        (self.now + Self::KEY_IS_KEPT_FOR).unix_timestamp()
    }
}

impl Status {
    /// The word on the wire and in the store.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Created { .. } => "created",
            Self::Declined { .. } => "declined",
        }
    }
}
