//! The desk where orders are placed.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::{
    Amount, Begun, Directory, Error, IdempotencyKey, Listing, NewOrder, Order, OrderId, Orders,
    PeerError, Terms, UserId,
};

/// Places orders.
///
/// The user is asked for first; nothing is recorded yet, so nothing is lost when that fails. Then the
/// order is recorded and told of, in one step, and the caller has its answer. What comes of it, paid
/// or cancelled, is told by events, and the order says how far it is.
#[derive(Clone)]
pub struct Desk {
    orders: Arc<dyn Orders>,
    directory: Arc<dyn Directory>,
    payment_within: Duration,
}

/// What a caller wants to order.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Who wants it.
    pub caller: String,
    /// By which a repeated request is known.
    pub key: IdempotencyKey,
    /// Whom it is for.
    pub user_id: UserId,
    /// What it costs.
    pub amount: Amount,
}

/// An order was not placed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// The key belongs to an order for something else.
    #[error("the idempotency key was used for another order; use a new key")]
    KeyReused,
    /// There is no such user. Nothing was recorded.
    #[error("there is no user `{}`; create it first", .0.number())]
    UnknownUser(UserId),
    /// Whether there is such a user cannot be said. Nothing was recorded.
    #[error("the user cannot be looked up")]
    Directory(#[source] PeerError),
    /// The store failed. Repeat with the same key.
    #[error("the order cannot be recorded")]
    Store(#[from] Error),
}

impl Desk {
    /// A desk over these ports, for orders that are to be paid within this time.
    pub fn new(
        orders: Arc<dyn Orders>,
        directory: Arc<dyn Directory>,
        payment_within: Duration,
    ) -> Self {
        Self { orders, directory, payment_within }
    }

    /// Places an order, or answers the one that the same caller placed with the same key.
    ///
    /// # Errors
    ///
    /// [`PlaceError`] says how far it got.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next call with the same key finds what was recorded.
    pub async fn place(&self, wish: Wish, now: OffsetDateTime) -> Result<Order, PlaceError> {
        let order = match self.orders.find(&wish.caller, &wish.key, now).await? {
            Some(order) => order,
            None => self.begin(&wish, now).await?,
        };
        if (order.terms.user_id, order.terms.amount) != (wish.user_id, wish.amount) {
            return Err(PlaceError::KeyReused);
        }
        Ok(order)
    }

    /// The order of this number, if there is one.
    ///
    /// # Errors
    ///
    /// The store's.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    pub async fn get(&self, id: OrderId) -> Result<Option<Order>, Error> {
        self.orders.get(id).await
    }

    /// A page of orders, as of a moment ago.
    ///
    /// # Errors
    ///
    /// The store's.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    pub async fn list(&self, listing: &Listing) -> Result<Vec<Order>, Error> {
        self.orders.list(listing).await
    }

    async fn begin(&self, wish: &Wish, now: OffsetDateTime) -> Result<Order, PlaceError> {
        let knows = self.directory.knows(wish.user_id).await.map_err(PlaceError::Directory)?;
        if !knows {
            return Err(PlaceError::UnknownUser(wish.user_id));
        }
        let Wish { caller, key, user_id, amount } = wish.clone();
        // To the microsecond, as it is kept: an order reads as it was answered.
        let now = super::from_micros(super::micros(now)).unwrap_or(now);
        let pay_by = now + self.payment_within;
        let terms = Terms { caller, user_id, amount, placed_at: now, pay_by };
        let (Begun::New(order) | Begun::Earlier(order)) =
            self.orders.place(NewOrder { key, terms }).await?;
        Ok(order)
    }
}
