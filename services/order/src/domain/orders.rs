//! The port to the store of orders.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{IdempotencyKey, NewOrder, Order, OrderId, Settlement};

/// Keeps orders. What it has acknowledged survives a crash.
///
/// Implementations pass every check of the conformance suite (`tests/it/conformance.rs`).
#[async_trait]
pub trait Orders: Send + Sync + 'static {
    /// Finds the order that this caller began with this key, unless the key has expired.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn find(
        &self,
        caller: &str,
        key: &IdempotencyKey,
        now: OffsetDateTime,
    ) -> Result<Option<Order>, Error>;

    /// Records a pending order, once for a caller and key while the key is kept.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have recorded the order. Repeat it with the same key.
    async fn begin(&self, order: NewOrder) -> Result<Begun, Error>;

    /// Records what came of a pending order and answers it; an order that is settled already stays
    /// as it is. None when there is no such order.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have settled the order. Repeating it does no harm.
    async fn settle(&self, id: OrderId, settlement: Settlement) -> Result<Option<Order>, Error>;

    /// Finds an order.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn get(&self, id: OrderId) -> Result<Option<Order>, Error>;

    /// Lists pending orders with higher numbers than `after`, at most `limit`, the lowest first.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn pending(&self, after: Option<OrderId>, limit: u32) -> Result<Vec<Order>, Error>;
}

/// An order that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// By this call.
    New(Order),
    /// By an earlier call with the same caller and key.
    Earlier(Order),
}

/// A cause that the domain does not look into.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store cannot be reached or is busy; later it may work.
    #[error("the store of orders does not answer")]
    Unavailable(#[source] Cause),
    /// The store answered what it must not: a bug.
    #[error("the store of orders failed")]
    Broken(#[source] Cause),
}
