//! The port to the store of payments.

use async_trait::async_trait;

use super::{NewPayment, Payment, PaymentId};

/// Keeps payments. What it has acknowledged survives a crash.
///
/// Implementations pass every check of the conformance suite (`tests/it/conformance.rs`).
#[async_trait]
pub trait Payments: Send + Sync + 'static {
    /// Records a payment, once for a payer and key: a repeated call answers the payment of the
    /// first one, whatever else it asks for. Keys are kept as long as their payments, for ever.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have recorded the payment. Repeat it.
    async fn record(&self, payment: NewPayment) -> Result<Recorded, Error>;

    /// Finds a payment.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn get(&self, id: PaymentId) -> Result<Option<Payment>, Error>;
}

/// A payment that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// By this call.
    New(Payment),
    /// By an earlier call with the same payer and key.
    Earlier(Payment),
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
