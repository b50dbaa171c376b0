//! The desk where orders are placed; each step may be the last before a crash.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{
    Amount, Authority, Begun, Cashier, Directory, Error, IdempotencyKey, NewOrder, Order, Orders,
    PeerError, Settlement, Status, UserId,
};

/// Places orders.
///
/// 1. The user is asked for; nothing is recorded yet, so nothing is lost when that fails.
/// 2. The order is recorded as pending, with a payment key of its own.
/// 3. It is paid under that key, and 4. settled.
///
/// Whatever ends the process or the request after step 2, the order is there as pending, and a
/// repeated request with the same idempotency key goes on with step 3, or else a
/// [`Sweep`](super::Sweep) does; the payment key sees to it
/// that it is paid once. Requests with one key that run at once meet in step 2 and end alike.
#[derive(Clone)]
pub struct Desk {
    orders: Arc<dyn Orders>,
    directory: Arc<dyn Directory>,
    cashier: Arc<dyn Cashier>,
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

/// An order was not placed, or not to its end.
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
    /// The order is recorded, and whether it is paid is not known. Repeat with the same key.
    #[error("the order is recorded and not paid yet")]
    Cashier {
        /// The order as it stands.
        order: Box<Order>,
        /// Why it is not known.
        #[source]
        source: PeerError,
    },
    /// The store failed. Repeat with the same key.
    #[error("the order cannot be recorded")]
    Store(#[from] Error),
}

impl Desk {
    /// A desk over these ports.
    pub fn new(
        orders: Arc<dyn Orders>,
        directory: Arc<dyn Directory>,
        cashier: Arc<dyn Cashier>,
    ) -> Self {
        Self { orders, directory, cashier }
    }

    /// Places an order, or goes on with the one that the same caller began with the same key. The
    /// answer is settled: created or declined. `payment_key` is a new unique text; it is used only
    /// when the order is new.
    ///
    /// # Errors
    ///
    /// [`PlaceError`] says how far it got.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun is gone on with by the next call with the same key.
    pub async fn place(
        &self,
        wish: Wish,
        payment_key: String,
        authority: &Authority,
        now: OffsetDateTime,
    ) -> Result<Order, PlaceError> {
        let order = match self.orders.find(&wish.caller, &wish.key, now).await? {
            Some(order) => order,
            None => self.begin(&wish, payment_key, now).await?,
        };
        if (order.user_id, order.amount) != (wish.user_id, wish.amount) {
            return Err(PlaceError::KeyReused);
        }
        if order.status != Status::Pending {
            return Ok(order);
        }
        self.finish(order, authority).await
    }

    /// Pays a pending order and settles it; one that was paid already is not paid again.
    ///
    /// # Errors
    ///
    /// [`PlaceError::Cashier`] or [`PlaceError::Store`]; the order is pending still.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: repeating it goes on from where it was.
    pub async fn finish(&self, order: Order, authority: &Authority) -> Result<Order, PlaceError> {
        match self.cashier.pay(&order, authority).await {
            Ok(settlement) => self.settle(order, settlement).await,
            Err(source) => Err(PlaceError::Cashier { order: Box::new(order), source }),
        }
    }

    /// Pending orders with higher numbers than `after`, at most `limit`, the lowest first.
    ///
    /// # Errors
    ///
    /// The store's.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    pub async fn pending(
        &self,
        after: Option<super::OrderId>,
        limit: u32,
    ) -> Result<Vec<Order>, Error> {
        self.orders.pending(after, limit).await
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
    pub async fn get(&self, id: super::OrderId) -> Result<Option<Order>, Error> {
        self.orders.get(id).await
    }

    async fn begin(
        &self,
        wish: &Wish,
        payment_key: String,
        now: OffsetDateTime,
    ) -> Result<Order, PlaceError> {
        let knows = self.directory.knows(wish.user_id).await.map_err(PlaceError::Directory)?;
        if !knows {
            return Err(PlaceError::UnknownUser(wish.user_id));
        }
        let Wish { caller, key, user_id, amount } = wish.clone();
        let new = NewOrder { caller, key, user_id, amount, payment_key, now };
        let (Begun::New(order) | Begun::Earlier(order)) = self.orders.begin(new).await?;
        Ok(order)
    }

    async fn settle(&self, order: Order, settlement: Settlement) -> Result<Order, PlaceError> {
        let settled = self.orders.settle(order.id, settlement).await?;
        // Orders are never deleted; if one is all the same, the client is told what it was.
        Ok(settled.unwrap_or(order))
    }
}
