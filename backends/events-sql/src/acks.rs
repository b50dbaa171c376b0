//! Acknowledgements of one subscriber: all that wait go into one commit.
//!
//! The first starts a task that commits what is there, then what has come meanwhile, and ends when
//! nothing has. No more wait than the subscriber has in flight.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use regatta_database::{Changes, Database, Error as DatabaseError, returning};
use regatta_events::{BusError, GroupName};
use sqlx::AssertSqlSafe;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::claim::pairs;
use crate::engine::{again, dialect, failed};

/// Where a subscriber's deliveries are acknowledged.
#[derive(Debug)]
pub(crate) struct Acks {
    database: Database,
    changes: Changes,
    group: GroupName,
    tasks: TaskTracker,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    acks: Vec<Ack>,
    /// A task commits them.
    runs: bool,
}

#[derive(Debug)]
struct Ack {
    position: i64,
    claim: Uuid,
    reply: oneshot::Sender<Result<(), BusError>>,
}

/// An event that was open: its position, claim and key.
type Gone = (i64, String, Option<String>);

impl Acks {
    pub(crate) fn new(
        (database, changes): (Database, Changes),
        group: GroupName,
        tasks: TaskTracker,
    ) -> Self {
        Self { database, changes, group, tasks, waiting: Mutex::default() }
    }

    /// Takes the event off, when the claim still holds it.
    pub(crate) async fn settle(self: &Arc<Self>, place: (i64, Uuid)) -> Result<(), BusError> {
        let (reply, settled) = oneshot::channel();
        let is_first = {
            let mut waiting = self.lock();
            waiting.acks.push(Ack { position: place.0, claim: place.1, reply });
            !std::mem::replace(&mut waiting.runs, true)
        };
        if is_first {
            self.tasks.spawn(self.clone().commit_all());
        }
        let ended = |_| BusError::Unavailable("the runtime of the event bus has ended".into());
        settled.await.map_err(ended)?
    }

    async fn commit_all(self: Arc<Self>) {
        // What is acknowledged beside the first goes with it.
        tokio::task::yield_now().await;
        loop {
            let acks = {
                let mut waiting = self.lock();
                waiting.runs = !waiting.acks.is_empty();
                std::mem::take(&mut waiting.acks)
            };
            if acks.is_empty() {
                return;
            }
            let deleting = self.delete(&acks);
            let done = self.database.query("DELETE", "regatta_bus_open", deleting).await;
            // Only the next of its key may have waited for an event that is done.
            if !done.as_ref().is_ok_and(|gone| gone.iter().all(|(.., key)| key.is_none())) {
                self.changes.announce();
            }
            let done = done.map_err(failed);
            for Ack { position, claim, reply } in acks {
                let claim = claim.to_string();
                let answer = match &done {
                    Ok(gone) if gone.iter().any(|it| (it.0, &it.1) == (position, &claim)) => Ok(()),
                    Ok(_) => Err(BusError::LeaseLost),
                    Err(error) => Err(again(error)),
                };
                // Who does not wait for the answer any more does not need it.
                let _ = reply.send(answer);
            }
        }
    }

    /// What of it was there, with its claim and its key.
    async fn delete(&self, acks: &[Ack]) -> Result<Vec<Gone>, DatabaseError> {
        let delete = format!(
            "DELETE FROM regatta_bus_open WHERE consumer = $1 AND (position, claim) IN ({})
             RETURNING position, claim, partition_key",
            dialect(&self.database).pairs
        );
        let pairs = pairs(acks.iter().map(|ack| (ack.position, ack.claim)));
        returning!(self.database, |pool| {
            let delete = sqlx::query_as(AssertSqlSafe(&*delete));
            delete.bind(self.group.as_str()).bind(&*pairs).fetch_all(pool)
        })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every change is made whole before the lock is let go, so a panic elsewhere spoils nothing.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
