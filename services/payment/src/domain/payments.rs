//! The port to the store of payments.

use async_trait::async_trait;

use super::{OrderId, Payment, PaymentId};

/// Shows payments. They are made by messages alone, so nobody can make one over this port.
///
/// Implementations pass every check of the conformance suite (`tests/it/conformance.rs`).
#[async_trait]
pub trait Payments: Send + Sync + 'static {
    /// Finds a payment, as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn get(&self, id: PaymentId) -> Result<Option<Payment>, Error>;

    /// Finds the payment of an order: there is at most one.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn of_order(&self, order: OrderId) -> Result<Option<Payment>, Error>;
}

/// A cause that the domain does not look into.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store cannot be reached or is busy; later it may work.
    #[error("the store of payments does not answer")]
    Unavailable(#[source] Cause),
    /// The store answered what it must not: a bug.
    #[error("the store of payments failed")]
    Broken(#[source] Cause),
}
