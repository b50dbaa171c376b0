//! Orders over the event store: each change, and what is told of it, in one transaction.

use async_trait::async_trait;
use regatta::Context;
use regatta::events::{CloudEvent, GroupName};
use regatta::eventstore_sql::SqlStore;
use regatta_database::{self as database, Database};
use regatta_eventstore::{
    AppendError, Cause, ExecuteError, LoadError, Loaded, NewEvent, Repository, StoreError, StreamId,
};
use time::OffsetDateTime;

use super::{keys, view};
use crate::domain::{
    Begun, Due, Error, IdempotencyKey, Listing, NewOrder, Order, OrderCommand, OrderError,
    OrderEvent, OrderId, OrderState, Orders,
};

/// Orders kept as events, in either engine.
#[derive(Clone, Debug)]
pub struct EventedOrders {
    database: Database,
    store: SqlStore,
    repository: Repository<OrderState>,
    group: GroupName,
}

/// A message did not reach its order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HearError {
    /// The order refuses what the message tells of it.
    #[error("the message does not fit its order")]
    Refused(#[source] OrderError),
    /// The store failed.
    #[error("the message was not recorded")]
    Store(#[source] Error),
}

impl EventedOrders {
    /// Orders in this database, whose schema is that of [`super::MIGRATIONS`] beside the event
    /// store's. What `tell` makes of an event is told with it; messages are heard as `group`.
    pub fn new(
        database: &Database,
        store: &SqlStore,
        group: GroupName,
        tell: fn(&StreamId, &NewEvent, &OrderEvent) -> Option<CloudEvent>,
    ) -> Self {
        let repository = Repository::new(std::sync::Arc::new(store.clone())).with_publisher(tell);
        Self { database: database.clone(), store: store.clone(), repository, group }
    }

    /// Does to an order what a message tells of it, once however often the message comes.
    ///
    /// # Errors
    ///
    /// [`HearError`]; nothing is recorded then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have recorded it. Call it again with the same message.
    pub async fn hear(
        &self,
        message: &CloudEvent,
        id: OrderId,
        command: &OrderCommand,
    ) -> Result<(), HearError> {
        let key = (&self.group, message);
        let done = self.store.execute_once(&self.repository, key, &text(id), command).await;
        done.map(drop).map_err(|error| match error {
            ExecuteError::Refused(reason) => HearError::Refused(reason),
            other => HearError::Store(execute_error(other)),
        })
    }

    async fn try_place(&self, new: &NewOrder) -> Result<keys::Number, Error> {
        let mut tx = self.database.begin().await.map_err(database_error)?;
        let number = keys::take(&self.database, &mut tx, new).await.map_err(database_error)?;
        let keys::Number::New(id) = number else { return Ok(number) };
        let cause = Cause {
            correlation_id: Context::with_current(|context| {
                context?.request_id.as_deref().map(str::to_owned)
            }),
            ..Cause::default()
        };
        let place = OrderCommand::Place(new.terms.clone());
        let decision = self.repository.decide(&id.to_string(), Loaded::default(), &place, &cause);
        let decision = decision.map_err(execute_error)?;
        let append = decision.append.as_ref();
        let append = append.ok_or_else(|| broken("an order was placed without an event"))?;
        self.store.append_in(&mut tx, append).await.map_err(append_error)?;
        tx.commit().await.map_err(database_error)?;
        self.store.announce();
        self.repository.committed(&decision).await;
        Ok(number)
    }
}

#[async_trait]
impl Orders for EventedOrders {
    async fn find(
        &self,
        caller: &str,
        key: &IdempotencyKey,
        now: OffsetDateTime,
    ) -> Result<Option<Order>, Error> {
        let found = keys::find(&self.database, (caller, key), now);
        let found = self.database.query("SELECT", "order_keys", found).await;
        match found.map_err(database_error)? {
            Some(id) => self.get(order_id(id)?).await,
            None => Ok(None),
        }
    }

    async fn place(&self, order: NewOrder) -> Result<Begun, Error> {
        Ok(match self.try_place(&order).await? {
            keys::Number::New(id) => {
                let state = Order {
                    id: order_id(id)?,
                    terms: order.terms,
                    status: Default::default(),
                    refund: None,
                };
                Begun::New(state)
            }
            keys::Number::Earlier(id) => {
                let earlier = self.get(order_id(id)?).await?;
                Begun::Earlier(earlier.ok_or_else(|| broken("an order has a key and no events"))?)
            }
        })
    }

    async fn expire(&self, id: OrderId, now: OffsetDateTime) -> Result<(), Error> {
        let expire = OrderCommand::Expire { now };
        match self.repository.execute(&text(id), &expire, &Cause::default()).await {
            Ok(_) | Err(ExecuteError::Refused(_)) => Ok(()),
            Err(error) => Err(execute_error(error)),
        }
    }

    async fn get(&self, id: OrderId) -> Result<Option<Order>, Error> {
        let loaded = self.repository.load(&text(id)).await.map_err(load_error)?;
        Ok(loaded.aggregate.into_order(id))
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<Order>, Error> {
        match self.generation().await? {
            Some(generation) => view::list(&self.database, generation, listing).await,
            None => Ok(Vec::new()),
        }
    }

    async fn unpaid(&self, after: Option<Due>, limit: u32) -> Result<Vec<Order>, Error> {
        match self.generation().await? {
            Some(generation) => view::unpaid(&self.database, generation, after, limit).await,
            None => Ok(Vec::new()),
        }
    }
}

impl EventedOrders {
    /// The tables of the view that are read now; none before they are filled for the first time.
    async fn generation(&self) -> Result<Option<u32>, Error> {
        self.store.active_generation(view::NAME).await.map_err(store_error)
    }
}

fn text(id: OrderId) -> String {
    id.number().to_string()
}

fn order_id(id: i32) -> Result<OrderId, Error> {
    OrderId::try_new(id.into()).map_err(|error| Error::Broken(error.into()))
}

fn broken(what: &str) -> Error {
    Error::Broken(what.into())
}

pub(super) fn database_error(error: database::Error) -> Error {
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

fn execute_error(error: ExecuteError<OrderError>) -> Error {
    match error {
        ExecuteError::Load(error) => load_error(error),
        ExecuteError::Append(error) => append_error(error),
        ExecuteError::Contended { .. } => Error::Unavailable(error.into()),
        other => Error::Broken(other.into()),
    }
}
