//! Hears what the order-service tells.

use async_trait::async_trait;
use regatta::auth;
use regatta::events::{CloudEvent, Failure, Handler};
use regatta_core::Chain;
use time::OffsetDateTime;

use crate::api::messages::{self, Asked};
use crate::domain::{Amount, Error};
use crate::store::{EventedPayments, HearError};

/// Does what messages ask for, once however often they come.
#[derive(Clone, Debug)]
pub struct Listener {
    payments: EventedPayments,
    limit: Amount,
}

impl Listener {
    /// Hears for these payments; what is over `limit` is declined.
    pub fn new(payments: EventedPayments, limit: Amount) -> Self {
        Self { payments, limit }
    }
}

#[async_trait]
impl Handler for Listener {
    async fn handle(&self, event: &CloudEvent, _delivery: u32) -> Result<(), Failure> {
        let asked = messages::read(event, OffsetDateTime::from(auth::now()));
        let done = match asked.map_err(|error| Failure::Reject(Chain(&error).to_string()))? {
            Asked::Pay(wish) => self.payments.pay(event, &wish, self.limit).await,
            Asked::Refund(id) => self.payments.refund(event, id).await,
        };
        done.map_err(|error| match &error {
            HearError::Store(Error::Unavailable(_)) => Failure::Away(Chain(&error).to_string()),
            // No repetition helps a payment that is not there.
            _ => Failure::Reject(Chain(&error).to_string()),
        })
    }
}
