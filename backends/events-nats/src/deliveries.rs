//! A subscriber, and how it settles.

use std::sync::Arc;

use async_trait::async_trait;
use regatta_events::{BusError, CloudEvent, Deliveries, Delivery, Settle, Subscription, Verdict};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::group::Claim;
use crate::link::unavailable;
use crate::member::{Order, Settling};

#[derive(Debug)]
pub(crate) struct NatsDeliveries {
    orders: mpsc::Sender<Order>,
    asks: Arc<Subscription>,
    permits: Arc<Semaphore>,
}

impl NatsDeliveries {
    pub(crate) fn new(orders: mpsc::Sender<Order>, asks: Subscription) -> Self {
        let permits = Arc::new(Semaphore::new(asks.max_in_flight as usize));
        Self { orders, asks: Arc::new(asks), permits }
    }
}

#[async_trait]
impl Deliveries for NatsDeliveries {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let (reply, given) = oneshot::channel();
        let order = Order::Claim { asks: self.asks.clone(), reply };
        self.orders.send(order).await.map_err(|_| ended())?;
        let given = given.await.map_err(|_| ended())??;
        let settle = NatsSettle {
            orders: self.orders.clone(),
            asks: self.asks.clone(),
            claim: given.claim,
            event: given.event.clone(),
            _permit: permit,
        };
        let place = (given.claim.position, given.claim.number);
        Ok(Delivery::new(given.event, place, self.asks.lease, Box::new(settle)))
    }
}

#[derive(Debug)]
struct NatsSettle {
    orders: mpsc::Sender<Order>,
    asks: Arc<Subscription>,
    claim: Claim,
    event: CloudEvent,
    _permit: OwnedSemaphorePermit,
}

#[async_trait]
impl Settle for NatsSettle {
    async fn settle(&self, verdict: Verdict) -> Result<(), BusError> {
        let (reply, settled) = oneshot::channel();
        let settling = Settling {
            asks: self.asks.clone(),
            claim: self.claim,
            event: self.event.clone(),
            verdict,
            reply,
        };
        self.orders.send(Order::Settle(Box::new(settling))).await.map_err(|_| ended())?;
        settled.await.map_err(|_| ended())?
    }
}

/// The task that serves the group has gone, with its runtime.
fn ended() -> BusError {
    unavailable("the runtime of the event bus has ended")
}
