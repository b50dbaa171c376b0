//! A payment, and the rule that declines one.

use time::OffsetDateTime;

use super::{Amount, IdempotencyKey, OrderId, PaymentId};

/// A payment that was asked for, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Its number.
    pub id: PaymentId,
    /// Who asked for it: the user of the token.
    pub payer: String,
    /// What it is for.
    pub order_id: OrderId,
    /// How much.
    pub amount: Amount,
    /// What came of it.
    pub outcome: Outcome,
    /// When it was recorded.
    pub created_at: OffsetDateTime,
}

/// What came of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The money moved.
    Paid,
    /// It did not, and never will for this payment.
    Declined {
        /// Why, for the one who wanted to pay.
        reason: String,
    },
}

/// A payment to be recorded, already decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPayment {
    /// Who asks for it.
    pub payer: String,
    /// By which a repeated request is known; counts for this payer only.
    pub key: IdempotencyKey,
    /// What it is for.
    pub order_id: OrderId,
    /// How much.
    pub amount: Amount,
    /// What comes of it.
    pub outcome: Outcome,
}

impl Payment {
    /// Whether a request for this is the one that made this payment, sent again.
    pub fn is_the_same(&self, new: &NewPayment) -> bool {
        (self.order_id, self.amount) == (new.order_id, new.amount)
    }
}

/// Declines what is over the limit; the limit itself is paid.
pub fn decide(amount: Amount, limit: Amount) -> Outcome {
    if amount <= limit {
        Outcome::Paid
    } else {
        Outcome::Declined { reason: format!("amount {amount} is over the limit of {limit}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_paid_and_a_hundredth_more_is_declined() {
        let limit: Amount = "1000".parse().unwrap();
        assert_eq!(decide(limit, limit), Outcome::Paid);
        let Outcome::Declined { reason } = decide("1000.01".parse().unwrap(), limit) else {
            panic!("is over the limit");
        };
        assert_eq!(reason, "amount 1000.01 is over the limit of 1000.00");
    }
}
