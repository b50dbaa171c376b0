//! An order and its states.

use time::{Duration, OffsetDateTime};

use super::{Amount, IdempotencyKey, OrderId, UserId};

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its number.
    pub id: OrderId,
    /// What was agreed when it was placed.
    pub terms: Terms,
    /// How far it got.
    pub status: Status,
    /// Money that goes back; none when none moved in vain.
    pub refund: Option<Refund>,
}

/// What was agreed when an order was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Who placed it: the user of the token.
    pub caller: String,
    /// Whom it is for.
    pub user_id: UserId,
    /// What it costs.
    pub amount: Amount,
    /// When it was placed.
    pub placed_at: OffsetDateTime,
    /// When it is cancelled unless it is paid.
    pub pay_by: OffsetDateTime,
}

/// How far an order got. It leaves `Created` once and then stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Placed; whether it is paid is not known yet.
    #[default]
    Created,
    /// Paid.
    Paid {
        /// The number of its payment at the payment-service.
        payment_id: i32,
    },
    /// Not paid, for good.
    Cancelled {
        /// Why.
        reason: String,
    },
}

/// Money that moved for an order that was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refund {
    /// It was asked for.
    Requested {
        /// The number of the payment.
        payment_id: i32,
    },
    /// It went back.
    Done {
        /// The number of the payment.
        payment_id: i32,
    },
}

/// An order to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// By which a repeated request is known; counts for its caller only.
    pub key: IdempotencyKey,
    /// What is agreed.
    pub terms: Terms,
}

impl NewOrder {
    /// How long a key is kept: 24 hours, longer than any client retries.
    pub const KEY_IS_KEPT_FOR: Duration = Duration::hours(24);

    /// When the key may be used for another order, in seconds since 1970.
    pub fn key_expires_at(&self) -> i64 {
        (self.terms.placed_at + Self::KEY_IS_KEPT_FOR).unix_timestamp()
    }
}

impl Status {
    /// The word on the wire and in views.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Paid { .. } => "paid",
            Self::Cancelled { .. } => "cancelled",
        }
    }
}

impl Refund {
    /// The word on the wire and in views.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested { .. } => "requested",
            Self::Done { .. } => "done",
        }
    }

    /// The payment whose money goes back.
    pub fn payment_id(self) -> i32 {
        let (Self::Requested { payment_id } | Self::Done { payment_id }) = self;
        payment_id
    }
}
