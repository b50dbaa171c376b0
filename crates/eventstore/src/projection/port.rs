//! What an author writes for a projection, and what a database does for it.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use regatta_events::CloudEvent;

use super::Build;
use crate::{Filter, Position, Recorded, StoreError};

/// A projection failed on an event; the transaction is rolled back and tried again after a pause.
pub type ProjectionError = Box<dyn Error + Send + Sync>;

/// Folds events into tables, within transactions of type `Tx`.
///
/// Tables are named with the generation they are given (`orders_3`), since a rebuild fills new ones
/// beside the old.
#[async_trait]
pub trait Projection<Tx: Send>: Send + Sync + 'static {
    /// Its name: 1 to 32 of `a-z`, `0-9` and `_`, beginning with a letter.
    fn name(&self) -> &str;

    /// Counts up when the code would fill the tables otherwise; a higher one is built anew. At
    /// least 1.
    fn revision(&self) -> u32;

    /// Which events it takes.
    fn filter(&self) -> Filter;

    /// Makes the tables of this generation.
    ///
    /// # Errors
    ///
    /// Any; nothing is made then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the transaction is rolled back.
    async fn create(&self, tx: &mut Tx, generation: u32) -> Result<(), ProjectionError>;

    /// Takes one event. Each is taken once in each generation, in the order of the store.
    ///
    /// # Errors
    ///
    /// Any; the event comes again, and no later one before it.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the transaction is rolled back.
    async fn apply(
        &self,
        tx: &mut Tx,
        generation: u32,
        event: &Recorded,
        effects: &mut Effects,
    ) -> Result<(), ProjectionError>;

    /// Drops the tables of this generation.
    ///
    /// # Errors
    ///
    /// Any; they stay then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the transaction is rolled back.
    async fn remove(&self, tx: &mut Tx, generation: u32) -> Result<(), ProjectionError>;
}

/// What an event leads to outside of the tables: messages, sent once, with the transaction.
///
/// While a build is filled they are let go: the active one has sent them.
#[derive(Debug, Default)]
pub struct Effects {
    messages: Vec<CloudEvent>,
}

impl Effects {
    /// Puts a message into the outbox, in the transaction of the view and its checkpoint.
    pub fn publish(&mut self, message: CloudEvent) {
        self.messages.push(message);
    }

    /// The messages, in the order in which they were given.
    pub fn into_messages(self) -> Vec<CloudEvent> {
        self.messages
    }
}

/// Keeps the builds of projections.
#[async_trait]
pub trait ProjectionStore: fmt::Debug + Send + Sync + 'static {
    /// A transaction in which a view and its checkpoint are written.
    type Tx: Send;

    /// Every build of the projection that is not removed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium; reads may be repeated.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn builds(&self, projection: &str) -> Result<Vec<Build>, StoreError>;

    /// Begins a transaction that no other on this projection runs beside, and gives the builds as
    /// they are in it; none while another process has it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun is rolled back.
    async fn begin(&self, projection: &str) -> Result<Option<(Self::Tx, Vec<Build>)>, StoreError>;

    /// Writes a build as it is to be, new or known.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the transaction is to be dropped too.
    async fn put(
        &self,
        tx: &mut Self::Tx,
        projection: &str,
        build: Build,
    ) -> Result<(), StoreError>;

    /// Forgets a build whose tables are removed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the transaction is to be dropped too.
    async fn forget(
        &self,
        tx: &mut Self::Tx,
        projection: &str,
        generation: u32,
    ) -> Result<(), StoreError>;

    /// Puts messages into the outbox.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the transaction is to be dropped too.
    async fn publish(&self, tx: &mut Self::Tx, messages: &[CloudEvent]) -> Result<(), StoreError>;

    /// Makes it last.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium: it may have been made.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped commit may have been made.
    async fn commit(&self, tx: Self::Tx) -> Result<(), StoreError>;

    /// Asks for a rebuild: a build of this revision, or else of the active one's, filled from the
    /// first event on beside it by code that has the revision. Answers its generation; none without
    /// an active build.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium: it may have been asked for.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have asked.
    async fn request_rebuild(
        &self,
        projection: &str,
        revision: Option<u32>,
    ) -> Result<Option<u32>, StoreError>;

    /// Waits until there may be an event after this position; it may return without.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only waits.
    async fn wait(&self, after: Position);
}
