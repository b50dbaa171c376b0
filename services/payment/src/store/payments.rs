//! Payments over the event store, each change in one transaction.

use async_trait::async_trait;
use regatta::events::{CloudEvent, GroupName};
use regatta::eventstore_sql::{Inbox, SqlStore};
use regatta_database::{self as database, Database, in_transaction, reading};
use regatta_eventstore::{
    AppendError, ExecuteError, LoadError, Loaded, NewEvent, Repository, StoreError, StreamId,
};

use crate::domain::{
    Amount, Error, OrderId, Payment, PaymentCommand, PaymentError, PaymentEvent, PaymentId,
    PaymentState, Payments, Wish,
};

/// Payments kept as events, in either engine.
#[derive(Clone, Debug)]
pub struct EventedPayments {
    database: Database,
    store: SqlStore,
    repository: Repository<PaymentState>,
    group: GroupName,
}

/// A message had no effect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HearError {
    /// The payment refuses what the message asks of it.
    #[error("the message does not fit its payment")]
    Refused(#[source] PaymentError),
    /// The store failed.
    #[error("the message was not recorded")]
    Store(#[from] Error),
}

impl EventedPayments {
    /// Payments in this database, whose schema is that of [`super::MIGRATIONS`] beside the event
    /// store's. What `tell` makes of an event is told with it; messages are heard as `group`.
    pub fn new(
        database: &Database,
        store: &SqlStore,
        group: GroupName,
        tell: fn(&StreamId, &NewEvent, &PaymentEvent) -> Option<CloudEvent>,
    ) -> Self {
        let repository = Repository::new(std::sync::Arc::new(store.clone())).with_publisher(tell);
        Self { database: database.clone(), store: store.clone(), repository, group }
    }

    /// Makes the payment that a message asks for, or declines it: once for an order, however often
    /// and in however many messages it is asked for.
    ///
    /// # Errors
    ///
    /// [`HearError::Store`]; nothing is recorded then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have paid. Call it again with the same message.
    pub async fn pay(
        &self,
        message: &CloudEvent,
        wish: &Wish,
        limit: Amount,
    ) -> Result<(), HearError> {
        let mut tx = self.database.begin().await.map_err(database_error)?;
        let is_new = Inbox::first_time(&mut tx, &self.group, message).await;
        if !is_new.map_err(store_error)? {
            return Ok(());
        }
        let insert = "INSERT INTO payment_orders (order_id) VALUES ($1)
            ON CONFLICT (order_id) DO NOTHING RETURNING id";
        let number: Option<(i32,)> = in_transaction!(&mut tx, |connection| {
            sqlx::query_as(insert).bind(wish.order_id.number()).fetch_optional(connection)
        })
        .map_err(database_error)?;
        // An order that has its payment keeps it; that the message came is recorded all the same.
        let Some((id,)) = number else {
            return Ok(tx.commit().await.map_err(database_error)?);
        };
        let command = PaymentCommand::Pay { wish: wish.clone(), limit };
        let cause = SqlStore::caused_by(message);
        let decision = self.repository.decide(&id.to_string(), Loaded::default(), &command, &cause);
        let decision = decision.map_err(hear_error)?;
        if let Some(append) = &decision.append {
            self.store.append_in(&mut tx, append).await.map_err(append_error)?;
        }
        tx.commit().await.map_err(database_error)?;
        self.store.announce();
        self.repository.committed(&decision).await;
        Ok(())
    }

    /// Gives the money back that a message asks for, once however often it comes.
    ///
    /// # Errors
    ///
    /// [`HearError`]; nothing is recorded then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have given it back. Call it again with the same message.
    pub async fn refund(&self, message: &CloudEvent, id: PaymentId) -> Result<(), HearError> {
        let (key, id) = ((&self.group, message), id.number().to_string());
        let refund = PaymentCommand::Refund;
        let done = self.store.execute_once(&self.repository, key, &id, &refund).await;
        done.map(drop).map_err(hear_error)
    }
}

#[async_trait]
impl Payments for EventedPayments {
    async fn get(&self, id: PaymentId) -> Result<Option<Payment>, Error> {
        let loaded = self.repository.load(&id.number().to_string()).await.map_err(load_error)?;
        Ok(loaded.aggregate.into_payment(id))
    }

    async fn of_order(&self, order: OrderId) -> Result<Option<Payment>, Error> {
        let select = async {
            reading!(self.database, |pool| {
                sqlx::query_as("SELECT id FROM payment_orders WHERE order_id = $1")
                    .bind(order.number())
                    .fetch_optional(pool)
            })
        };
        let found: Option<(i32,)> = self
            .database
            .query("SELECT", "payment_orders", select)
            .await
            .map_err(database_error)?;
        let Some((id,)) = found else { return Ok(None) };
        let id = PaymentId::try_new(id.into()).map_err(|error| Error::Broken(error.into()))?;
        self.get(id).await
    }
}

fn database_error(error: database::Error) -> Error {
    match error.origin() {
        regatta_core::Origin::Upstream => Error::Unavailable(error.into()),
        _ => Error::Broken(error.into()),
    }
}

fn store_error(error: StoreError) -> Error {
    match error {
        StoreError::Unavailable(_) => Error::Unavailable(error.into()),
        _ => Error::Broken(error.into()),
    }
}

fn load_error(error: LoadError) -> Error {
    match error {
        LoadError::Store(error) => store_error(error),
        other => Error::Broken(other.into()),
    }
}

fn append_error(error: AppendError) -> Error {
    match error {
        AppendError::Store(error) => store_error(error),
        other => Error::Broken(other.into()),
    }
}

fn hear_error(error: ExecuteError<PaymentError>) -> HearError {
    match error {
        ExecuteError::Refused(reason) => HearError::Refused(reason),
        ExecuteError::Load(error) => load_error(error).into(),
        ExecuteError::Append(error) => append_error(error).into(),
        ExecuteError::Contended { .. } => Error::Unavailable(error.into()).into(),
        other => Error::Broken(other.into()).into(),
    }
}
