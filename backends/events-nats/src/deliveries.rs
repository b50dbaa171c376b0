//! A subscriber, and how it settles.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use regatta_events::{
    BusError, CloudEvent, Deliveries, Delivery, InFlight, Settle, Subscription, Verdict,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::group::Claim;
use crate::link::unavailable;
use crate::orders::{Given, Order, Settling, Waiting};

/// How many events one change of the group's state claims for a subscriber at most, whatever
/// `max_in_flight` has room for.
const BATCH: usize = 100;

#[derive(Debug)]
pub(crate) struct NatsDeliveries {
    orders: mpsc::Sender<Order>,
    asks: Arc<Subscription>,
    in_flight: InFlight,
    /// Claimed, and not handed out yet.
    held: VecDeque<Held>,
}

/// An event that was claimed, and its place in `max_in_flight`.
#[derive(Debug)]
struct Held {
    given: Given,
    permit: OwnedSemaphorePermit,
}

impl NatsDeliveries {
    pub(crate) fn new(orders: mpsc::Sender<Order>, asks: Subscription) -> Self {
        let in_flight = InFlight::new(&asks);
        let held = VecDeque::new();
        Self { orders, asks: Arc::new(asks), in_flight, held }
    }

    /// Waits until something is claimed, at most so many.
    async fn fill(&mut self, most: usize) -> Result<(), BusError> {
        while self.held.is_empty() {
            let permits = self.in_flight.places(most).await;
            let place = self.orders.reserve().await.map_err(|_| ended())?;
            let (reply, given) = oneshot::channel();
            let (asks, most) = (self.asks.clone(), permits.num_permits());
            place.send(Order::Claim(Waiting { asks, most, reply }));
            let mut asking = Asking { given, permits, held: &mut self.held };
            let given = (&mut asking.given).await;
            asking.hold(given.map_err(|_| ended())??);
        }
        Ok(())
    }

    fn hand_out(&mut self) -> Option<Delivery> {
        let Held { given: Given { event, claim }, permit } = self.held.pop_front()?;
        let settle = NatsSettle {
            orders: self.orders.clone(),
            asks: self.asks.clone(),
            claim,
            event: event.clone(),
            _permit: permit,
        };
        let place = (claim.position, claim.number);
        Some(Delivery::new(event, place, self.asks.lease, Box::new(settle)))
    }

    /// What is claimed and was not handed out.
    fn take_back(&mut self) -> Vec<Claim> {
        self.held.drain(..).map(|held| held.given.claim).collect()
    }
}

/// A claim that is under way. Dropped half-way it keeps what was given already for the next call, and
/// the member takes back itself what it claims from then on.
struct Asking<'a> {
    given: oneshot::Receiver<Result<Vec<Given>, BusError>>,
    permits: OwnedSemaphorePermit,
    held: &'a mut VecDeque<Held>,
}

impl Asking<'_> {
    fn hold(&mut self, given: Vec<Given>) {
        let hold = |given| Some(Held { given, permit: self.permits.split(1)? });
        self.held.extend(given.into_iter().filter_map(hold));
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.given.close();
        if let Ok(Ok(given)) = self.given.try_recv() {
            self.hold(given);
        }
    }
}

#[async_trait]
impl Deliveries for NatsDeliveries {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        loop {
            self.fill(1).await?;
            if let Some(delivery) = self.hand_out() {
                return Ok(delivery);
            }
        }
    }

    async fn next_batch(&mut self) -> Result<Vec<Delivery>, BusError> {
        self.fill(BATCH).await?;
        Ok(std::iter::from_fn(|| self.hand_out()).collect())
    }

    async fn leave(&mut self) {
        let claims = self.take_back();
        if !claims.is_empty() {
            // A member that has ended leaves them to their lease.
            let _ = self.orders.send(Order::Return(claims)).await;
        }
    }
}

impl Drop for NatsDeliveries {
    fn drop(&mut self) {
        let claims = self.take_back();
        if !claims.is_empty() {
            // Where there is no room for it they come again after their lease.
            let _ = self.orders.try_send(Order::Return(claims));
        }
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
