//! The store over a service's database.

use std::time::Duration;

use async_trait::async_trait;
use regatta_database::{Changes, Database, Engine, Error as DatabaseError, Transaction};
use regatta_events::CloudEvent;
use regatta_eventstore::{
    Append, AppendError, Appended, EventStore, Filter, Page, Position, Range, Recorded, Snapshot,
    StoreError, StreamId, StreamInfo, SubjectId,
};
use uuid::Uuid;

use crate::append::{Group, Length, Written, append_in, is_lost_race, postgres_append};
use crate::engine::failed;
use crate::{checkpoints, keys, outbox, read, snapshots};

/// How often an append that met another one is repeated. Each time another one came through, so
/// more means that the stream is written to without pause.
const MOST_TRIES: u32 = 50;
/// The longest pause between two of them.
const PAUSE: Duration = Duration::from_millis(10);

/// An event store, outbox and keeper of projections in a service's database; clones share it.
///
/// Keep one a database: appends to a SQLite file share commits with those of its clones only.
#[derive(Clone, Debug)]
pub struct SqlStore {
    pub(crate) database: Database,
    pub(crate) changes: Changes,
    /// Appends to a file that are made at once share a commit; a server does that by itself.
    group: Option<Group>,
    length: Length,
}

impl SqlStore {
    /// The store in this database, whose schema is that of [`crate::SCHEMA`].
    pub fn new(database: &Database) -> Self {
        let group = match database.engine() {
            Engine::Sqlite(sqlite) => Some(Group::new(sqlite)),
            Engine::Postgres(_) => None,
        };
        let changes = database.changes("regatta_events");
        Self { database: database.clone(), changes, group, length: Length::default() }
    }

    /// Appends in a transaction of the caller's, together with what else is written in it.
    ///
    /// After an error the transaction is to be dropped: PostgreSQL may have given it up.
    ///
    /// # Errors
    ///
    /// As [`EventStore::append`]; a lost race is told and not tried again.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the transaction is to be dropped too.
    pub async fn append_in(
        &self,
        transaction: &mut Transaction,
        append: &Append,
    ) -> Result<Appended, AppendError> {
        append_in(transaction, append).await
    }

    /// Puts messages into the outbox in a transaction of the caller's, for a service that keeps no
    /// events.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the transaction is to be dropped too.
    pub async fn enqueue(
        &self,
        transaction: &mut Transaction,
        messages: &[CloudEvent],
    ) -> Result<(), StoreError> {
        outbox::enqueue(transaction, messages).await.map_err(failed)
    }

    /// Wakes who waits for events or messages, after a transaction of the caller's was committed.
    /// Without it they look by themselves within a second.
    pub fn announce(&self) {
        self.changes.announce();
    }

    /// The position up to which everything is there: what a projection's lag is measured against.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium; reads may be repeated.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    pub async fn head(&self) -> Result<Position, StoreError> {
        read::head(&self.database).await
    }

    async fn try_append(&self, append: &Append) -> Result<Appended, AppendError> {
        append.validate()?;
        let has_personal = append.events.iter().any(|event| event.personal.is_some());
        match (self.database.engine(), &self.group) {
            // One round trip, which commits by itself.
            (Engine::Postgres(postgres), _) if !has_personal => {
                let connection = postgres.pool().acquire().await;
                let mut connection = connection.map_err(DatabaseError::from).map_err(failed)?;
                postgres_append(&mut connection, &Written::plain(append), &self.length).await
            }
            (Engine::Sqlite(_), Some(group)) if !has_personal => {
                group.append(Written::plain(append)).await
            }
            // The key of the person is read or made in the same transaction.
            _ => {
                let mut transaction = self.database.begin().await.map_err(failed)?;
                let done = append_in(&mut transaction, append).await?;
                transaction.commit().await.map_err(failed)?;
                Ok(done)
            }
        }
    }
}

#[async_trait]
impl EventStore for SqlStore {
    async fn append(&self, append: &Append) -> Result<Appended, AppendError> {
        let mut tries = 1;
        loop {
            let mut refused = None;
            let trying = async {
                match self.try_append(append).await {
                    Ok(done) => Ok(Some(done)),
                    // The medium's errors are measured as such; a conflict is an answer.
                    Err(AppendError::Store(StoreError::Unavailable(source))) => {
                        match source.downcast::<DatabaseError>() {
                            Ok(error) => Err(*error),
                            Err(source) => {
                                refused = Some(StoreError::Unavailable(source).into());
                                Ok(None)
                            }
                        }
                    }
                    Err(error) => {
                        refused = Some(error);
                        Ok(None)
                    }
                }
            };
            let tried = self.database.query("INSERT", "regatta_events", trying).await;
            let error = match (tried, refused) {
                (Ok(Some(done)), _) => {
                    self.changes.announce();
                    return Ok(done);
                }
                (Err(error), _) => failed(error).into(),
                (Ok(None), Some(error)) => error,
                (Ok(None), None) => unreachable!("an append is done or refused"),
            };
            let most = match error {
                // It may be the id of the same append at the same time; looking twice tells.
                AppendError::IdTaken { .. } => 2,
                // Each of these may have waited for `lock_timeout`.
                AppendError::Store(_) => 3,
                _ => MOST_TRIES,
            };
            if tries >= most || !is_lost_race(append, &error) {
                return Err(error);
            }
            tokio::time::sleep(PAUSE.mul_f64(f64::from(tries) / f64::from(MOST_TRIES))).await;
            tries += 1;
        }
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        range: Range,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        read::stream(&self.database, stream, range, limit).await
    }

    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: u32,
    ) -> Result<Page, StoreError> {
        read::all(&self.database, after, filter, limit).await
    }

    async fn find(&self, id: Uuid) -> Result<Option<Recorded>, StoreError> {
        read::find(&self.database, id).await
    }

    async fn streams(
        &self,
        category: Option<&str>,
        after: Option<&StreamId>,
        limit: u32,
    ) -> Result<Vec<StreamInfo>, StoreError> {
        read::streams(&self.database, category, after, limit).await
    }

    async fn snapshot(
        &self,
        stream: &StreamId,
        revision: u32,
    ) -> Result<Option<Snapshot>, StoreError> {
        snapshots::load(&self.database, stream, revision).await
    }

    async fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        snapshots::save(&self.database, snapshot).await
    }

    async fn checkpoint(&self, name: &str) -> Result<Position, StoreError> {
        checkpoints::load(&self.database, name).await
    }

    async fn move_checkpoint(
        &self,
        name: &str,
        from: Position,
        to: Position,
    ) -> Result<bool, StoreError> {
        checkpoints::move_on(&self.database, name, from, to).await
    }

    async fn erase(&self, subject: &SubjectId) -> Result<bool, StoreError> {
        let erase = async {
            let mut transaction = self.database.begin().await?;
            let erased = keys::erase(&mut transaction, subject).await?;
            transaction.commit().await?;
            if let Engine::Sqlite(sqlite) = self.database.engine() {
                // The key was zeroed in the file; the log still has the page as it was.
                sqlite.empty_log().await?;
            }
            Ok::<_, DatabaseError>(erased)
        };
        self.database.query("UPDATE", "regatta_subjects", erase).await.map_err(failed)
    }

    async fn wait(&self, after: Position) {
        let mut watcher = self.changes.watch();
        // The watcher was there first, so what is committed after this look wakes it.
        if !matches!(self.head().await, Ok(head) if head > after) {
            watcher.changed().await;
        }
    }
}
