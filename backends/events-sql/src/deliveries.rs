//! A subscriber: claims, waits for news, claims again.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use regatta_database::{Database, Watcher};
use regatta_events::{BusError, Deliveries, Delivery, InFlight, Subscription};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::SqlBus;
use crate::acks::Acks;
use crate::claim::{BATCH, Claimed, Claims, claim, release, wakes_in};
use crate::engine::failed;
use crate::settle::SqlSettle;

#[derive(Debug)]
pub(crate) struct SqlDeliveries {
    bus: SqlBus,
    asks: Arc<Subscription>,
    in_flight: InFlight,
    acks: Arc<Acks>,
    looking: Option<Looking>,
    /// Claimed, and not handed out yet.
    held: VecDeque<Held>,
}

type Found = Result<Vec<Held>, BusError>;

/// A look that is under way, in a task of its own: a commit is not cut off.
#[derive(Debug)]
struct Looking {
    /// It is there before the look, so no commit is missed.
    watcher: Watcher,
    found: oneshot::Receiver<Found>,
}

/// An event that was claimed, and its place in `max_in_flight`.
#[derive(Debug)]
struct Held {
    claimed: Claimed,
    permit: OwnedSemaphorePermit,
}

impl SqlDeliveries {
    pub(crate) fn new(bus: SqlBus, asks: Subscription) -> Self {
        let in_flight = InFlight::new(&asks);
        let database = (bus.database.clone(), bus.changes.clone());
        let acks = Arc::new(Acks::new(database, asks.group.clone(), bus.tasks.clone()));
        let held = VecDeque::new();
        Self { bus, asks: Arc::new(asks), in_flight, acks, looking: None, held }
    }

    /// Waits until something is claimed, at most so many.
    async fn fill(&mut self, most: usize) -> Result<(), BusError> {
        while self.held.is_empty() {
            let looking = match &mut self.looking {
                Some(looking) => looking,
                None => {
                    let permits = self.in_flight.places(most).await;
                    self.looking.insert(look(&self.bus, &self.asks, permits))
                }
            };
            let found = (&mut looking.found).await;
            let Some(Looking { mut watcher, .. }) = self.looking.take() else { continue };
            let ended = |_| BusError::Unavailable("the runtime of the event bus has ended".into());
            self.held.extend(found.map_err(ended)??);
            if !self.held.is_empty() {
                return Ok(());
            }
            let wakes_in = wakes_in(&self.bus.database, &self.asks).await.map_err(failed)?;
            match wakes_in {
                None => watcher.changed().await,
                Some(wakes_in) => tokio::select! {
                    () = watcher.changed() => (),
                    () = tokio::time::sleep(wakes_in) => (),
                },
            }
        }
        Ok(())
    }

    fn hand_out(&mut self) -> Option<Result<Delivery, BusError>> {
        let Held { claimed, permit } = self.held.pop_front()?;
        let event = match crate::log::read(&claimed.event) {
            Ok(event) => event,
            Err(error) => return Some(Err(error)),
        };
        let settle = SqlSettle {
            database: self.bus.database.clone(),
            changes: self.bus.changes.clone(),
            acks: self.acks.clone(),
            asks: self.asks.clone(),
            position: claimed.position,
            number: claimed.number,
            claim: claimed.claim,
            _permit: permit,
        };
        let place = (claimed.position.unsigned_abs(), claimed.number);
        Some(Ok(Delivery::new(event, place, self.asks.lease, Box::new(settle))))
    }

    /// What is claimed and was not handed out, as far as it is known already.
    fn take_back(&mut self) -> Vec<Held> {
        let mut held: Vec<_> = self.held.drain(..).collect();
        if let Some(mut looking) = self.looking.take() {
            // From here on the task gives back itself what it finds.
            looking.found.close();
            if let Ok(Ok(found)) = looking.found.try_recv() {
                held.extend(found);
            }
        }
        held
    }
}

#[async_trait]
impl Deliveries for SqlDeliveries {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        loop {
            self.fill(1).await?;
            if let Some(delivery) = self.hand_out() {
                return delivery;
            }
        }
    }

    async fn next_batch(&mut self) -> Result<Vec<Delivery>, BusError> {
        self.fill(BATCH).await?;
        std::iter::from_fn(|| self.hand_out()).collect()
    }

    async fn leave(&mut self) {
        if let Some(looking) = self.looking.take()
            && let Ok(Ok(found)) = looking.found.await
        {
            self.held.extend(found);
        }
        let held = self.take_back();
        give_back(&self.bus.database, &self.asks, held).await;
    }
}

impl Drop for SqlDeliveries {
    fn drop(&mut self) {
        let held = self.take_back();
        // Without a runtime they come again after their lease.
        if !held.is_empty() && tokio::runtime::Handle::try_current().is_ok() {
            let (database, asks) = (self.bus.database.clone(), self.asks.clone());
            self.bus.tasks.spawn(async move { give_back(&database, &asks, held).await });
        }
    }
}

/// Looks for events in a task of its own, which gives back what nobody waits for any more.
fn look(bus: &SqlBus, asks: &Arc<Subscription>, mut permits: OwnedSemaphorePermit) -> Looking {
    let watcher = bus.changes.watch();
    let (database, asks) = (bus.database.clone(), asks.clone());
    let (sender, found) = oneshot::channel();
    bus.tasks.spawn(async move {
        let claimed = find(&database, &asks, permits.num_permits()).await;
        let held = claimed.map(|claimed| {
            let hold = |claimed| Some(Held { claimed, permit: permits.split(1)? });
            claimed.into_iter().filter_map(hold).collect()
        });
        if let Err(Ok(unwanted)) = sender.send(held) {
            give_back(&database, &asks, unwanted).await;
        }
    });
    Looking { watcher, found }
}

/// Claims what is free, and opens more of the log until something is or there is no more.
async fn find(
    database: &Database,
    asks: &Subscription,
    most: usize,
) -> Result<Vec<Claimed>, BusError> {
    loop {
        let claiming = claim(database, asks, most);
        match database.query("UPDATE", "regatta_bus_open", claiming).await.map_err(failed)? {
            Claims::Got(claimed) => return Ok(claimed),
            Claims::Again => (),
            Claims::Nothing => return Ok(Vec::new()),
        }
    }
}

async fn give_back(database: &Database, asks: &Subscription, held: Vec<Held>) {
    if held.is_empty() {
        return;
    }
    let claimed: Vec<_> = held.into_iter().map(|held| held.claimed).collect();
    let releasing = release(database, asks, &claimed);
    if let Err(error) = database.query("UPDATE", "regatta_bus_open", releasing).await {
        let error = regatta_core::Chain(&error);
        tracing::debug!(%error, "events not given back; they come again after their lease");
    }
}
