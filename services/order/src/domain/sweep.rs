//! Goes on with orders whose client never came back.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{Authority, Desk, Error, Order, OrderId, PeerError, PlaceError};

/// Orders read at once: bounds what a sweep holds in memory.
const PAGE: u32 = 100;

/// Gives leave to act for a caller whose own token is gone.
pub trait Deputy: Send + Sync + 'static {
    /// An authority for this caller, good for one call soon.
    ///
    /// # Errors
    ///
    /// [`PeerError`] when none can be given.
    fn authority(&self, caller: &str) -> Result<Authority, PeerError>;
}

/// Finishes orders that stayed pending: a process died, or a client gave up, between the payment and
/// the record of it. The order's payment key sees to it that nobody pays twice, so a sweep may run
/// beside requests and beside the sweeps of other replicas.
pub struct Sweep {
    desk: Desk,
    deputy: Arc<dyn Deputy>,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Orders that are settled now.
    pub settled: u32,
    /// Orders that could not be settled by the answer they got; the next sweep asks again.
    pub left: u32,
}

impl Sweep {
    /// Finishes orders of this desk.
    pub fn new(desk: Desk, deputy: Arc<dyn Deputy>) -> Self {
        Self { desk, deputy }
    }

    /// Goes once through all orders that were begun before `before` and are still pending, the oldest
    /// first. Ends early when the cashier is away: the others would meet the same.
    ///
    /// # Errors
    ///
    /// The store's.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun is gone on with by the next sweep.
    pub async fn run(&self, before: OffsetDateTime) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let mut after: Option<OrderId> = None;
        loop {
            let page = self.desk.pending(after, PAGE).await?;
            after = page.last().map(|order| order.id);
            let is_last = page.len() < PAGE as usize;
            for order in page.into_iter().filter(|order| order.created_at < before) {
                match self.settle(order).await {
                    Ok(()) => swept.settled += 1,
                    Err(PlaceError::Cashier { source: PeerError::Unavailable { .. }, .. }) => {
                        swept.left += 1;
                        return Ok(swept);
                    }
                    Err(PlaceError::Store(error)) => return Err(error),
                    Err(_) => swept.left += 1,
                }
            }
            if is_last {
                return Ok(swept);
            }
        }
    }

    async fn settle(&self, order: Order) -> Result<(), PlaceError> {
        match self.deputy.authority(&order.caller) {
            Ok(authority) => self.desk.finish(order, &authority).await.map(drop),
            Err(source) => Err(PlaceError::Cashier { order: Box::new(order), source }),
        }
    }
}
