//! The order's side of the saga: placed, then paid or cancelled, and money that comes late.

use regatta_eventstore::Aggregate;
use time::OffsetDateTime;

use super::{Amount, Order, OrderEvent, OrderId, Refund, Status, Terms, UserId};

/// An order as the fold of what happened to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderState {
    terms: Option<Terms>,
    status: Status,
    refund: Option<Refund>,
}

/// What may be asked of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderCommand {
    /// To come into being.
    Place(Terms),
    /// To take note that it is paid.
    RecordPayment {
        /// The number of the payment.
        payment_id: i32,
    },
    /// To take note that it will not be paid.
    RecordDecline {
        /// Why.
        reason: String,
    },
    /// To be cancelled, if it is still not paid and its time is over.
    Expire {
        /// The time.
        now: OffsetDateTime,
    },
    /// To take note that the money went back.
    RecordRefund {
        /// The number of the payment.
        payment_id: i32,
    },
}

/// Why an order refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// It is there already.
    #[error("the order was placed before")]
    Placed,
    /// Nobody placed it.
    #[error("there is no such order")]
    Unknown,
}

impl OrderState {
    /// The order; none when it was not placed.
    pub fn into_order(self, id: OrderId) -> Option<Order> {
        let Self { terms, status, refund } = self;
        Some(Order { id, terms: terms?, status, refund })
    }
}

impl Aggregate for OrderState {
    const CATEGORY: &'static str = "order";
    type Event = OrderEvent;
    type Command = OrderCommand;
    type Error = OrderError;

    fn apply(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Placed { caller, user_id, hundredths, placed_at, pay_by } => {
                self.terms = terms(caller, *user_id, *hundredths, (*placed_at, *pay_by));
            }
            OrderEvent::Paid { payment_id } => {
                self.status = Status::Paid { payment_id: *payment_id };
            }
            OrderEvent::Cancelled { reason } => {
                self.status = Status::Cancelled { reason: reason.clone() };
            }
            OrderEvent::RefundRequested { payment_id } => {
                self.refund = Some(Refund::Requested { payment_id: *payment_id });
            }
            OrderEvent::Refunded { payment_id } => {
                self.refund = Some(Refund::Done { payment_id: *payment_id });
            }
        }
    }

    fn handle(&self, command: &OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
        let placed = self.terms.as_ref();
        if let OrderCommand::Place(terms) = command {
            return if placed.is_some() { Err(OrderError::Placed) } else { Ok(vec![of(terms)]) };
        }
        let terms = placed.ok_or(OrderError::Unknown)?;
        let event = match (command, &self.status) {
            (OrderCommand::RecordPayment { payment_id }, Status::Created) => {
                Some(OrderEvent::Paid { payment_id: *payment_id })
            }
            (OrderCommand::RecordPayment { payment_id }, status) => {
                // Money that came for an order which does not want it goes back, once.
                let is_its_own = *status == Status::Paid { payment_id: *payment_id };
                let request = OrderEvent::RefundRequested { payment_id: *payment_id };
                (!is_its_own && self.refund.is_none()).then_some(request)
            }
            (OrderCommand::RecordDecline { reason }, Status::Created) => {
                Some(OrderEvent::Cancelled { reason: reason.clone() })
            }
            (OrderCommand::Expire { now }, Status::Created) if *now >= terms.pay_by => {
                let reason = "no payment came in time".to_owned();
                Some(OrderEvent::Cancelled { reason })
            }
            (OrderCommand::RecordRefund { payment_id }, _) => {
                let was_requested =
                    self.refund == Some(Refund::Requested { payment_id: *payment_id });
                was_requested.then_some(OrderEvent::Refunded { payment_id: *payment_id })
            }
            _ => None,
        };
        Ok(event.into_iter().collect())
    }
}

fn of(terms: &Terms) -> OrderEvent {
    OrderEvent::Placed {
        caller: terms.caller.clone(),
        user_id: terms.user_id.number(),
        hundredths: terms.amount.hundredths(),
        placed_at: micros(terms.placed_at),
        pay_by: micros(terms.pay_by),
    }
}

/// The terms of an event; none when a later release wrote what this one does not allow.
fn terms(
    caller: &str,
    user: i32,
    hundredths: i64,
    (placed_at, pay_by): (i64, i64),
) -> Option<Terms> {
    Some(Terms {
        caller: caller.to_owned(),
        user_id: UserId::try_new(user.into()).ok()?,
        amount: Amount::from_hundredths(hundredths).ok()?,
        placed_at: from_micros(placed_at)?,
        pay_by: from_micros(pay_by)?,
    })
}

/// Microseconds since 1970.
pub fn micros(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1000)).unwrap_or(i64::MAX)
}

/// The time of so many microseconds since 1970; none past the year 9999.
pub fn from_micros(micros: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok()
}

#[cfg(test)]
mod tests {
    use regatta_eventstore::given;

    use super::*;

    #[test]
    fn an_order_is_placed_once() {
        given::<OrderState>([]).when(&OrderCommand::Place(agreed())).then([placed()]);
        given::<OrderState>([placed()])
            .when(&OrderCommand::Place(agreed()))
            .then_refused(&OrderError::Placed);
    }

    #[test]
    fn nothing_can_be_recorded_of_an_order_that_is_not_there() {
        for command in [pay(1), decline(), expire(100), refund(1)] {
            given::<OrderState>([]).when(&command).then_refused(&OrderError::Unknown);
        }
    }

    #[test]
    fn the_first_outcome_stays() {
        let paid = OrderEvent::Paid { payment_id: 1 };
        given::<OrderState>([placed()]).when(&pay(1)).then([paid.clone()]);
        given::<OrderState>([placed()]).when(&decline()).then([cancelled("too much")]);
        for late in [pay(1), decline(), expire(100)] {
            given::<OrderState>([placed(), paid.clone()]).when(&late).then([]);
        }
        for late in [decline(), expire(100)] {
            given::<OrderState>([placed(), cancelled("x")]).when(&late).then([]);
        }
    }

    #[test]
    fn an_order_that_is_not_paid_in_time_is_cancelled_and_not_a_moment_before() {
        let cancelled = cancelled("no payment came in time");
        given::<OrderState>([placed()]).when(&expire(60)).then([cancelled]);
        given::<OrderState>([placed()]).when(&expire(59)).then([]);
    }

    #[test]
    fn money_that_comes_for_a_cancelled_order_goes_back_once() {
        let requested = OrderEvent::RefundRequested { payment_id: 7 };
        let refunded = OrderEvent::Refunded { payment_id: 7 };
        let late = [placed(), cancelled("x")];
        given::<OrderState>(late.clone()).when(&pay(7)).then([requested.clone()]);
        let [a, b] = late;
        let asked = [a, b, requested];
        given::<OrderState>(asked.clone()).when(&pay(7)).then([]);
        given::<OrderState>(asked.clone()).when(&refund(8)).then([]);
        given::<OrderState>(asked.clone()).when(&refund(7)).then([refunded.clone()]);
        let [a, b, c] = asked;
        for again in [refund(7), pay(7)] {
            given::<OrderState>([a.clone(), b.clone(), c.clone(), refunded.clone()])
                .when(&again)
                .then([]);
        }
    }

    #[test]
    fn a_second_payment_of_a_paid_order_goes_back() {
        let paid = OrderEvent::Paid { payment_id: 1 };
        let requested = OrderEvent::RefundRequested { payment_id: 2 };
        given::<OrderState>([placed(), paid]).when(&pay(2)).then([requested]);
    }

    #[test]
    fn an_order_is_what_was_agreed() {
        let mut state = OrderState::default();
        let id = OrderId::try_new(1).unwrap();
        assert_eq!(state.clone().into_order(id), None);
        state.apply(&placed());
        assert_eq!(state.into_order(id).unwrap().terms, agreed());
    }

    fn agreed() -> Terms {
        Terms {
            caller: "1".into(),
            user_id: UserId::try_new(7).unwrap(),
            amount: "19.99".parse().unwrap(),
            placed_at: at(0),
            pay_by: at(60),
        }
    }

    fn placed() -> OrderEvent {
        of(&agreed())
    }

    fn cancelled(reason: &str) -> OrderEvent {
        OrderEvent::Cancelled { reason: reason.into() }
    }

    fn pay(payment_id: i32) -> OrderCommand {
        OrderCommand::RecordPayment { payment_id }
    }

    fn refund(payment_id: i32) -> OrderCommand {
        OrderCommand::RecordRefund { payment_id }
    }

    fn decline() -> OrderCommand {
        OrderCommand::RecordDecline { reason: "too much".into() }
    }

    fn expire(second: i64) -> OrderCommand {
        OrderCommand::Expire { now: at(second) }
    }

    fn at(second: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000 + second).unwrap()
    }
}
