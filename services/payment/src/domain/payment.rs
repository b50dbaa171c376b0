//! A payment: made or declined once for an order, and given back if asked.

use regatta_eventstore::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Amount, OrderId, PaymentId};

/// A payment that was asked for, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Its number.
    pub id: PaymentId,
    /// What was asked for.
    pub wish: Wish,
    /// What came of it.
    pub outcome: Outcome,
}

/// A payment that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Who pays: the user who placed the order.
    pub payer: String,
    /// What it is for.
    pub order_id: OrderId,
    /// How much.
    pub amount: Amount,
    /// When it was asked for.
    pub asked_at: OffsetDateTime,
}

/// What came of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The money moved.
    Paid,
    /// It moved and went back.
    Refunded,
    /// It did not move, and never will for this payment.
    Declined {
        /// Why, for the one who wanted to pay.
        reason: String,
    },
}

impl Outcome {
    /// The word on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Refunded => "refunded",
            Self::Declined { .. } => "declined",
        }
    }
}

/// What happened to a payment. Numbers, not the domain's types: history outlives their ranges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum PaymentEvent {
    /// The money moved.
    Made {
        /// What it is for.
        order_id: i32,
        /// Who paid.
        payer: String,
        /// How much, in hundredths.
        hundredths: i64,
        /// When it was asked for, in microseconds since 1970.
        asked_at: i64,
    },
    /// It did not, and never will for this payment.
    Declined {
        /// What it is for.
        order_id: i32,
        /// Who wanted to pay.
        payer: String,
        /// How much, in hundredths.
        hundredths: i64,
        /// When it was asked for, in microseconds since 1970.
        asked_at: i64,
        /// Why.
        reason: String,
    },
    /// The money went back.
    Refunded {
        /// What it was for.
        order_id: i32,
    },
}

impl DomainEvent for PaymentEvent {}

/// What may be asked of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentCommand {
    /// To be made, or declined when it is over the limit; the limit itself is paid.
    Pay {
        /// What is asked for.
        wish: Wish,
        /// The largest amount that is paid.
        limit: Amount,
    },
    /// To give the money back, if it moved.
    Refund,
}

/// Why a payment refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PaymentError {
    /// It is decided already.
    #[error("the payment was decided before")]
    Decided,
    /// Nobody asked for it.
    #[error("there is no such payment")]
    Unknown,
}

/// A payment as the fold of what happened to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentState {
    decided: Option<(Wish, Outcome)>,
}

impl PaymentState {
    /// The payment; none when nobody asked for it.
    pub fn into_payment(self, id: PaymentId) -> Option<Payment> {
        self.decided.map(|(wish, outcome)| Payment { id, wish, outcome })
    }
}

impl Aggregate for PaymentState {
    const CATEGORY: &'static str = "payment";
    type Event = PaymentEvent;
    type Command = PaymentCommand;
    type Error = PaymentError;

    fn apply(&mut self, event: &PaymentEvent) {
        self.decided = match event {
            PaymentEvent::Made { order_id, payer, hundredths, asked_at } => {
                wish(payer, *order_id, *hundredths, *asked_at).map(|wish| (wish, Outcome::Paid))
            }
            PaymentEvent::Declined { order_id, payer, hundredths, asked_at, reason } => {
                let outcome = Outcome::Declined { reason: reason.clone() };
                wish(payer, *order_id, *hundredths, *asked_at).map(|wish| (wish, outcome))
            }
            PaymentEvent::Refunded { .. } => {
                self.decided.take().map(|(wish, _)| (wish, Outcome::Refunded))
            }
        };
    }

    fn handle(&self, command: &PaymentCommand) -> Result<Vec<PaymentEvent>, PaymentError> {
        match (command, &self.decided) {
            (PaymentCommand::Pay { wish, limit }, None) => Ok(vec![decide(wish, *limit)]),
            (PaymentCommand::Pay { .. }, Some(_)) => Err(PaymentError::Decided),
            (PaymentCommand::Refund, None) => Err(PaymentError::Unknown),
            (PaymentCommand::Refund, Some((wish, Outcome::Paid))) => {
                Ok(vec![PaymentEvent::Refunded { order_id: wish.order_id.number() }])
            }
            (PaymentCommand::Refund, Some(_)) => Ok(Vec::new()),
        }
    }
}

fn decide(wish: &Wish, limit: Amount) -> PaymentEvent {
    let (order_id, payer) = (wish.order_id.number(), wish.payer.clone());
    let (hundredths, asked_at) = (wish.amount.hundredths(), micros(wish.asked_at));
    if wish.amount <= limit {
        return PaymentEvent::Made { order_id, payer, hundredths, asked_at };
    }
    let reason = format!("amount {} is over the limit of {limit}", wish.amount);
    PaymentEvent::Declined { order_id, payer, hundredths, asked_at, reason }
}

/// What was asked for; none when a later release wrote what this one does not allow.
fn wish(payer: &str, order_id: i32, hundredths: i64, asked_at: i64) -> Option<Wish> {
    let asked_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(asked_at) * 1000);
    Some(Wish {
        payer: payer.to_owned(),
        order_id: OrderId::try_new(order_id.into()).ok()?,
        amount: Amount::from_hundredths(hundredths).ok()?,
        asked_at: asked_at.ok()?,
    })
}

/// Microseconds since 1970.
fn micros(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use regatta_eventstore::given;

    use super::*;

    #[test]
    fn the_limit_is_paid_and_a_hundredth_more_is_declined() {
        given::<PaymentState>([]).when(&pay("1000.00")).then([made("1000.00")]);
        given::<PaymentState>([]).when(&pay("1000.01")).then([PaymentEvent::Declined {
            order_id: 7,
            payer: "1".into(),
            hundredths: 100_001,
            asked_at: 1_800_000_000_000_000,
            reason: "amount 1000.01 is over the limit of 1000.00".into(),
        }]);
    }

    #[test]
    fn a_payment_is_decided_once() {
        given::<PaymentState>([made("5")]).when(&pay("5")).then_refused(&PaymentError::Decided);
    }

    #[test]
    fn money_goes_back_once_and_only_if_it_moved() {
        let refunded = PaymentEvent::Refunded { order_id: 7 };
        let refund = PaymentCommand::Refund;
        given::<PaymentState>([made("5")]).when(&refund).then([refunded.clone()]);
        given::<PaymentState>([made("5"), refunded]).when(&refund).then([]);
        given::<PaymentState>([]).when(&refund).then_refused(&PaymentError::Unknown);
        let declined = decide(&wanted("1000.01"), "1000".parse().unwrap());
        given::<PaymentState>([declined]).when(&refund).then([]);
    }

    #[test]
    fn a_payment_is_what_was_asked_for_and_what_came_of_it() {
        let id = PaymentId::try_new(1).unwrap();
        let mut state = PaymentState::default();
        assert_eq!(state.clone().into_payment(id), None);
        state.apply(&made("5"));
        let payment = state.clone().into_payment(id).unwrap();
        assert_eq!((payment.wish, payment.outcome), (wanted("5"), Outcome::Paid));
        state.apply(&PaymentEvent::Refunded { order_id: 7 });
        assert_eq!(state.into_payment(id).unwrap().outcome, Outcome::Refunded);
    }

    fn wanted(amount: &str) -> Wish {
        Wish {
            payer: "1".into(),
            order_id: OrderId::try_new(7).unwrap(),
            amount: amount.parse().unwrap(),
            asked_at: OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap(),
        }
    }

    fn pay(amount: &str) -> PaymentCommand {
        PaymentCommand::Pay { wish: wanted(amount), limit: "1000".parse().unwrap() }
    }

    fn made(amount: &str) -> PaymentEvent {
        decide(&wanted(amount), "1000".parse().unwrap())
    }
}
