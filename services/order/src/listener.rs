//! Hears what the other services tell.

use async_trait::async_trait;
use regatta::events::{CloudEvent, Failure, Handler};
use regatta_core::Chain;

use crate::api::messages;
use crate::domain::Error;
use crate::store::{EventedOrders, HearError};

/// Does to an order what a message tells of it, once however often the message comes.
#[derive(Clone, Debug)]
pub struct Listener {
    orders: EventedOrders,
}

impl Listener {
    /// Hears for these orders.
    pub fn new(orders: EventedOrders) -> Self {
        Self { orders }
    }
}

#[async_trait]
impl Handler for Listener {
    async fn handle(&self, event: &CloudEvent, _delivery: u32) -> Result<(), Failure> {
        let heard = messages::read(event);
        let (id, command) = heard.map_err(|error| Failure::Reject(Chain(&error).to_string()))?;
        let done = self.orders.hear(event, id, &command).await;
        done.map_err(|error| match &error {
            HearError::Store(Error::Unavailable(_)) => Failure::Away(Chain(&error).to_string()),
            // No repetition helps an order that is not there.
            _ => Failure::Reject(Chain(&error).to_string()),
        })
    }
}
