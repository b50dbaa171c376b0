//! What the client is told when it cannot have what it asked for.

use regatta::Problem;

use crate::domain::{Error, InvalidId, PaymentId};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) => {
                let cause = regatta_core::Chain(&error);
                regatta::tracing::warn!(error = %cause, "a request failed");
                let detail = "the payments cannot be reached now; try again";
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

/// There is no payment of this number that the caller may see.
pub(super) fn no_payment(id: PaymentId) -> Problem {
    let detail = format!("there is no payment `{}`", id.number());
    Problem::not_found(detail).with_code("payment_not_found")
}
