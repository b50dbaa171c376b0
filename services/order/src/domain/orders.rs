//! The port to the store of orders.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{IdempotencyKey, NewOrder, Order, OrderId};

/// Keeps orders. What it has acknowledged survives a crash.
///
/// Implementations pass every check of the conformance suite (`tests/it/conformance.rs`).
#[async_trait]
pub trait Orders: Send + Sync + 'static {
    /// Finds the order that this caller placed with this key, unless the key has expired.
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

    /// Places an order, once for a caller and key while the key is kept, and tells the other
    /// services of it: both or neither.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have placed the order. Repeat it with the same key.
    async fn place(&self, order: NewOrder) -> Result<Begun, Error>;

    /// Cancels an order that is not paid and whose time is over; one that is, or that is not there,
    /// stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have cancelled it. Repeating it does no harm.
    async fn expire(&self, id: OrderId, now: OffsetDateTime) -> Result<(), Error>;

    /// Finds an order, as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn get(&self, id: OrderId) -> Result<Option<Order>, Error>;

    /// Lists orders, as of a moment ago: the view follows the events.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn list(&self, listing: &Listing) -> Result<Vec<Order>, Error>;

    /// Orders that are not paid yet, at most `limit`, the one whose time is over first at the front,
    /// of those of one time the lowest number; only what comes after this one; as of a moment ago.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn unpaid(&self, after: Option<Due>, limit: u32) -> Result<Vec<Order>, Error>;
}

/// An order's place among those that are not paid: when its time is over, and its number.
pub type Due = (OffsetDateTime, OrderId);

/// An order that is placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// By this call.
    New(Order),
    /// By an earlier call with the same caller and key.
    Earlier(Order),
}

/// Which orders to list: the lowest numbers first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Only this caller's; none for everybody's.
    pub caller: Option<String>,
    /// Only higher numbers than this.
    pub after: Option<OrderId>,
    /// At most so many.
    pub limit: u32,
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
