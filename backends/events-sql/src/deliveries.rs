//! A subscriber: claims, waits for news, claims again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use regatta_events::{BusError, Deliveries, Delivery, Subscription};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::SqlBus;
use crate::claim::{Claim, Claimed, advance, claim, wakes_in};
use crate::engine::failed;
use crate::settle::SqlSettle;

#[derive(Debug)]
pub(crate) struct SqlDeliveries {
    bus: SqlBus,
    asks: Arc<Subscription>,
    permits: Arc<Semaphore>,
}

impl SqlDeliveries {
    pub(crate) fn new(bus: SqlBus, asks: Subscription) -> Self {
        let permits = Arc::new(Semaphore::new(asks.max_in_flight as usize));
        Self { bus, asks: Arc::new(asks), permits }
    }

    async fn try_next(&self) -> Result<Option<Claimed>, BusError> {
        let database = &self.bus.database;
        loop {
            let claiming = claim(database, &self.asks);
            match database.query("UPDATE", "regatta_bus_open", claiming).await.map_err(failed)? {
                Claim::Got(claimed) => return Ok(Some(claimed)),
                Claim::Again => continue,
                Claim::Nothing => (),
            }
            let advancing = advance(database, &self.asks);
            if !database.query("INSERT", "regatta_bus_open", advancing).await.map_err(failed)? {
                return Ok(None);
            }
        }
    }
}

#[async_trait]
impl Deliveries for SqlDeliveries {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        // The watcher is there before the first look, so no commit is missed.
        let mut watcher = self.bus.changes.watch();
        let claimed = loop {
            if let Some(claimed) = self.try_next().await? {
                break claimed;
            }
            self.bus.trim_now_and_then(Instant::now()).await;
            let wakes_in = wakes_in(&self.bus.database, &self.asks).await.map_err(failed)?;
            match wakes_in {
                None => watcher.changed().await,
                Some(micros) => tokio::select! {
                    () = watcher.changed() => (),
                    () = tokio::time::sleep(Duration::from_micros(micros)) => (),
                },
            }
        };
        let event = crate::log::read(&claimed.event)?;
        let settle = SqlSettle {
            database: self.bus.database.clone(),
            changes: self.bus.changes.clone(),
            asks: self.asks.clone(),
            position: claimed.position,
            number: claimed.number,
            claim: claimed.claim,
            _permit: permit,
        };
        let place = (claimed.position.unsigned_abs(), claimed.number);
        Ok(Delivery::new(event, place, self.asks.lease, Box::new(settle)))
    }
}
