//! Loads aggregates, lets them decide, appends what they decided.

mod error;
mod execute;
mod load;
mod settings;

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::sync::Arc;

use regatta_events::CloudEvent;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Aggregate, EventStore, NewEvent, StreamId, Upcasters};

pub use error::{ExecuteError, LoadError};
pub use execute::{Cause, Decision, Executed};
pub use load::Loaded;
pub use settings::Retries;

/// Makes the message to other services of an event that is about to be appended; none for an event
/// that concerns nobody else.
pub type Publisher<A> =
    Arc<dyn Fn(&StreamId, &NewEvent, &<A as Aggregate>::Event) -> Option<CloudEvent> + Send + Sync>;

/// The aggregates of one kind; clones share the store.
pub struct Repository<A: Aggregate> {
    store: Arc<dyn EventStore>,
    upcasters: Arc<Upcasters>,
    retries: Retries,
    snapshots: Option<Snapshots<A>>,
    publisher: Option<Publisher<A>>,
    aggregate: PhantomData<fn() -> A>,
}

/// How an aggregate becomes a snapshot and back.
struct Snapshots<A> {
    every: NonZeroU64,
    write: fn(&A) -> serde_json::Result<Value>,
    read: fn(Value) -> serde_json::Result<A>,
}

impl<A> Copy for Snapshots<A> {}
impl<A> Clone for Snapshots<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Aggregate> Repository<A> {
    /// A repository without snapshots and messages.
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            upcasters: Arc::new(A::upcasters()),
            retries: Retries::default(),
            snapshots: None,
            publisher: None,
            aggregate: PhantomData,
        }
    }

    /// How often a command is tried when another writer was faster.
    #[must_use]
    pub fn with_retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// Keeps a snapshot of each aggregate after every so many events.
    #[must_use]
    pub fn with_snapshots(mut self, every: NonZeroU64) -> Self
    where
        A: Serialize + DeserializeOwned,
    {
        let write = |aggregate: &A| serde_json::to_value(aggregate);
        self.snapshots = Some(Snapshots { every, write, read: serde_json::from_value });
        self
    }

    /// Puts messages into the outbox, in the transaction of the append.
    #[must_use]
    pub fn with_publisher<F>(mut self, publisher: F) -> Self
    where
        F: Fn(&StreamId, &NewEvent, &A::Event) -> Option<CloudEvent> + Send + Sync + 'static,
    {
        self.publisher = Some(Arc::new(publisher));
        self
    }
}

impl<A: Aggregate> Clone for Repository<A> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            upcasters: self.upcasters.clone(),
            retries: self.retries,
            snapshots: self.snapshots,
            publisher: self.publisher.clone(),
            aggregate: PhantomData,
        }
    }
}

impl<A: Aggregate> fmt::Debug for Repository<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("category", &A::CATEGORY)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}
