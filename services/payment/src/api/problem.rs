//! What the client is told when it cannot have what it asked for.

use regatta::Problem;

use crate::domain::{Error, InvalidId, InvalidKey, Outcome, Payment, PaymentId};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) => {
                let cause = regatta_core::Chain(&error);
                regatta::tracing::warn!(error = %cause, "a request failed");
                let detail = "the payments cannot be reached now; repeat with the same key";
                Self::unavailable(detail).with_member("retry_after", 1)
            }
            Error::Broken(_) => Self::internal(&error),
        }
    }
}

impl From<InvalidId> for Problem {
    fn from(error: InvalidId) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<InvalidKey> for Problem {
    fn from(error: InvalidKey) -> Self {
        Self::invalid(error.to_string()).with_code("invalid_idempotency_key")
    }
}

/// A payment without a key could be made twice by a retry.
pub(super) fn no_key() -> Problem {
    let detail = "a payment needs the header `Idempotency-Key`; send 1 to 255 characters, such as \
                  a UUID, and the same ones when you repeat the request";
    Problem::invalid(detail).with_code("idempotency_key_required")
}

/// The key belongs to another request.
pub(super) fn key_reused() -> Problem {
    let detail = "the idempotency key was used for another payment; use a new key";
    Problem::new(422, "idempotency_key_reused", "Idempotency key reused", detail)
}

/// There is no payment of this number that the caller may see.
pub(super) fn no_payment(id: PaymentId) -> Problem {
    let detail = format!("there is no payment `{}`", id.number());
    Problem::not_found(detail).with_code("payment_not_found")
}

/// The payment is recorded as declined. Not a 2xx: who looks at the status only must not take it
/// for money.
pub(super) fn declined(payment: &Payment) -> Option<Problem> {
    let Outcome::Declined { reason } = &payment.outcome else { return None };
    let problem = Problem::new(402, "payment_declined", "Payment declined", reason.as_str());
    let problem = problem.with_member("payment_id", payment.id.number());
    Some(problem.with_member("reason", reason.as_str()))
}
