//! What the client is told when it cannot have what it asked for.

use regatta::Problem;
use regatta_core::Chain;

use crate::domain::{Error, InvalidId, InvalidKey, OrderId, PeerError, PlaceError};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) => {
                regatta::tracing::warn!(error = %Chain(&error), "a request failed");
                let detail = "the orders cannot be reached now; repeat with the same key";
                Self::unavailable(detail).with_member("retry_after", 1)
            }
            Error::Broken(_) => Self::internal(&error),
        }
    }
}

impl From<PlaceError> for Problem {
    fn from(error: PlaceError) -> Self {
        let detail = error.to_string();
        match error {
            PlaceError::KeyReused => {
                Self::new(422, "idempotency_key_reused", "Idempotency key reused", detail)
            }
            // Not a 404: the URL is right, what it was given is not.
            PlaceError::UnknownUser(user) => {
                Self::new(422, "user_not_found", "User not found", detail)
                    .with_member("user_id", user.number())
            }
            PlaceError::Directory(source) => {
                peer(&source, "nothing was recorded; repeat the request")
            }
            PlaceError::Store(error) => error.into(),
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

/// There is no order of this number that the caller may see.
pub(super) fn no_order(id: OrderId) -> Problem {
    let detail = format!("there is no order `{}`", id.number());
    Problem::not_found(detail).with_code("order_not_found")
}

fn peer(error: &PeerError, what_next: &str) -> Problem {
    regatta::tracing::warn!(error = %Chain(error), "another service did not do its part");
    match error {
        PeerError::Unavailable { service, .. } => {
            Problem::unavailable(format!("`{service}` is not available now; {what_next}"))
                .with_code("peer_unavailable")
                .with_member("service", *service)
                .with_member("retry_after", 1)
        }
        PeerError::Broken { service, .. } => {
            let detail = format!("`{service}` gave an answer that makes no sense; {what_next}");
            Problem::new(502, "peer_failed", "Bad gateway", detail).with_member("service", *service)
        }
    }
}
