//! Waits its turn among the keys below a prefix: what locks and elections are made of.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;
use tonic::Status;

use super::access::Caller;
use super::app::App;
use super::status::{failed, rejected};
use crate::access::Level;
use crate::kv::{
    Between, Compare, Delete, Event, Found, KeyRange, Operation, Put, Query, Relation, Reply, Sort,
    Step, StoreError, Target, Txn, Wanted,
};

/// The seconds of a lease that is granted for a caller without one: that of etcd's sessions.
const SESSION_TTL: i64 = 60;

/// A place in the queue: a key of the caller's, which ends with its lease.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) prefix: Bytes,
    pub(crate) key: Bytes,
    pub(crate) lease: i64,
    /// The revision that made the key: the order of the queue.
    pub(crate) created: i64,
    /// The revision of the answer.
    pub(crate) revision: i64,
    /// What was in the key already, when the caller queues again.
    pub(crate) existing: Option<Bytes>,
}

/// The keys of a queue begin with its name and a slash.
pub(crate) fn prefix(name: &[u8]) -> Bytes {
    [name, b"/"].concat().into()
}

impl App {
    /// Queues under a name, or finds the caller's place there.
    ///
    /// Cancel safe: what a dropped call has made is taken back.
    pub(crate) async fn queue(
        &self,
        name: &[u8],
        lease: i64,
        value: Bytes,
    ) -> Result<(Turn, Leaving), Status> {
        // In a task of its own, which knows what is to be taken back when its caller is gone.
        let (app, prefix) = (self.clone(), prefix(name));
        let queued = self.tasks.spawn(async move { app.enter(prefix, lease, value).await });
        queued.await.unwrap_or_else(|_| Err(failed(StoreError::Stopping)))
    }

    async fn enter(
        &self,
        prefix: Bytes,
        lease: i64,
        value: Bytes,
    ) -> Result<(Turn, Leaving), Status> {
        let mut leaving = Leaving { app: self.clone(), made: None };
        let lease = match lease {
            0 => {
                let granted = self.grant(0, SESSION_TTL).await.map_err(failed)?.0;
                leaving.made = Some(Made::Lease(granted));
                granted
            }
            lease => lease,
        };
        let key = Bytes::from([&*prefix, format!("{lease:x}").as_bytes()].concat());
        let put = Put { key: key.clone(), value: Some(value), lease: Some(lease), previous: false };
        let is_new = Compare {
            range: KeyRange::only(key.clone()),
            target: Target::Created(0),
            relation: Relation::Equal,
        };
        let txn = Txn {
            compares: vec![is_new],
            success: vec![Operation::Put(put)],
            failure: vec![Operation::Range(Query::all(KeyRange::only(key.clone())))],
        };
        let done =
            self.store.write(move |transition| transition.txn(&txn)).await.map_err(failed)?;
        let revision = done.value.revision;
        let existing = done.value.replies.into_iter().find_map(|reply| match reply {
            Reply::Range { answer, .. } => answer.found.into_iter().next(),
            _ => None,
        });
        let created = existing.as_ref().map_or(revision, |found| found.version.created);
        let existing = existing.map(|found| found.version.value);
        // A caller that was in the queue before keeps its place; a lease ends its key with it.
        if existing.is_none() && leaving.made.is_none() {
            leaving.made = Some(Made::Key(key.clone()));
        }
        Ok((Turn { prefix, key, lease, created, revision, existing }, leaving))
    }

    /// Waits until every key before the caller's is gone, as long as the caller may write there.
    pub(crate) async fn wait_as(&self, caller: &Caller, turn: &mut Turn) -> Result<(), Status> {
        let range = KeyRange::prefix(turn.prefix.clone());
        tokio::select! {
            waited = self.wait(turn) => waited,
            denied = self.until_denied(caller, &range, Level::Write) => Err(denied),
        }
    }

    /// Waits until every key before the caller's is gone. Dropped, the place in the queue stays;
    /// see [`Leaving`].
    async fn wait(&self, turn: &mut Turn) -> Result<(), Status> {
        loop {
            let mut query = Query::all(KeyRange::prefix(turn.prefix.clone()));
            (query.sort, query.descending, query.limit) = (Sort::Created, true, 1);
            query.created = Between { least: 0, most: turn.created - 1 };
            let before = self.store.query(&query).map_err(rejected)?;
            turn.revision = before.revision;
            let Some(last) = before.value.found.into_iter().next() else { break };
            self.deleted(last.key, before.revision + 1).await?;
        }
        // The caller's own lease may have ended meanwhile.
        let own = self.store.query(&Query::all(KeyRange::only(turn.key.clone())));
        let own = own.map_err(rejected)?;
        match own.value.found.first().is_some_and(|own| own.version.created == turn.created) {
            true => Ok(()),
            false => Err(Status::unknown("mutex: session is expired")),
        }
    }

    /// The first of a queue, by when it came.
    pub(crate) fn first(&self, prefix: &Bytes) -> Result<(i64, Option<Found>), Status> {
        let mut query = Query::all(KeyRange::prefix(prefix.clone()));
        (query.sort, query.limit) = (Sort::Created, 1);
        let first = self.store.query(&query).map_err(rejected)?;
        Ok((first.revision, first.value.found.into_iter().next()))
    }

    /// Deletes a key; the revision after that.
    pub(crate) async fn remove(&self, key: Bytes) -> Result<i64, Status> {
        let delete = Delete { range: KeyRange::only(key), previous: false };
        let delete = move |transition: &mut crate::kv::Transition<'_>| {
            transition.operation(Operation::Delete(delete))
        };
        Ok(self.store.write(delete).await.map_err(failed)?.revision)
    }

    /// Waits until a key is deleted, looking from a revision on.
    async fn deleted(&self, key: Bytes, from: i64) -> Result<(), Status> {
        let wake = Arc::<Notify>::default();
        let wanted = Wanted { no_puts: true, ..Wanted::default() };
        let range = KeyRange::only(key);
        let (mut feed, _) = self.follow(range, wanted, Some(from), Arc::clone(&wake))?;
        loop {
            while feed.is_ready() {
                match self.store.step(&mut feed).value {
                    Step::UpToDate => (),
                    Step::Events { events, .. } if events.is_empty() => (),
                    // Compacted: the caller looks again, from the present.
                    Step::Events { .. } | Step::Compacted { .. } => return Ok(()),
                }
            }
            tokio::select! {
                () = wake.notified() => (),
                () = self.drain.cancelled() => return Err(failed(StoreError::Stopping)),
            }
        }
    }

    /// Follows a range from a revision on, a step at a time.
    pub(crate) async fn next_events(
        &self,
        feed: &mut crate::kv::Feed,
        wake: &Notify,
    ) -> Option<Vec<Event>> {
        loop {
            while feed.is_ready() {
                match self.store.step(feed).value {
                    Step::Events { events, .. } if !events.is_empty() => return Some(events),
                    Step::Compacted { .. } => return None,
                    Step::Events { .. } | Step::UpToDate => (),
                }
            }
            tokio::select! {
                () = wake.notified() => (),
                () = self.drain.cancelled() => return None,
            }
        }
    }
}

/// Takes back what was made for a caller that went away while it waited.
#[derive(Debug)]
pub(crate) struct Leaving {
    app: App,
    made: Option<Made>,
}

/// What is made for a caller that queues.
#[derive(Debug)]
enum Made {
    /// Its place.
    Key(Bytes),
    /// A lease, since it had none; its place ends with that.
    Lease(i64),
}

impl Leaving {
    /// The caller has what it waited for.
    pub(crate) fn stay(mut self) {
        self.made = None;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let Some(made) = self.made.take() else { return };
        let app = self.app.clone();
        self.app.tasks.spawn(async move {
            let taken_back = match made {
                Made::Key(key) => app.remove(key).await.map(|_| ()),
                Made::Lease(id) => {
                    let revoked = app.store.write(move |transition| transition.revoke(id)).await;
                    revoked.map(|_| ()).map_err(failed)
                }
            };
            if let Err(error) = taken_back {
                tracing::debug!(%error, "a place in a queue stays until its lease ends");
            }
        });
    }
}
