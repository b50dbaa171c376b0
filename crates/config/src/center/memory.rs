//! A config center in this process, for tests and fleets in one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{
    Batch, CenterError, Change, Commit, Committed, ConfigCenter, Expected, Follow, Item, LeaseId,
    Query, Snapshot, Which, Write,
};

/// Keys and values in this process; clones are one. Keeps all of its past until it is compacted.
#[derive(Clone, Debug, Default)]
pub struct MemoryCenter {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// The latest revision, and whether it answers.
    changed: watch::Sender<u64>,
}

impl Default for Inner {
    fn default() -> Self {
        Self { state: Mutex::default(), changed: watch::Sender::new(1) }
    }
}

#[derive(Debug)]
struct State {
    revision: u64,
    /// All changes after the compaction, and those that the present needs.
    log: Vec<Change>,
    compacted: u64,
    leases: BTreeMap<i64, Lease>,
    last_lease: i64,
    is_away: bool,
}

#[derive(Debug)]
struct Lease {
    ttl: Duration,
    until: Instant,
    keys: Vec<String>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            // As an empty etcd has it.
            revision: 1,
            log: Vec::new(),
            compacted: 0,
            leases: BTreeMap::new(),
            last_lease: 0,
            is_away: false,
        }
    }
}

impl MemoryCenter {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes it answer nothing, or answer again: for tests of outages.
    pub fn set_away(&self, is_away: bool) {
        self.lock().is_away = is_away;
        self.inner.changed.send_modify(|_| ());
    }

    /// Forgets all that happened before a revision, but what the present needs.
    pub fn compact(&self, revision: u64) {
        let mut state = self.lock();
        state.compacted = state.compacted.max(revision.min(state.revision));
        let kept = state.at(state.compacted);
        let mut log: Vec<Change> = kept.into_values().map(Change::Put).collect();
        log.sort_by_key(Change::revision);
        log.extend(state.log.iter().filter(|it| it.revision() > state.compacted).cloned());
        state.log = log;
    }

    /// Loses everything, as a center does whose disk is replaced.
    pub fn wipe(&self) {
        *self.lock() = State::default();
        self.inner.changed.send_replace(1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change leaves it whole.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, if it answers; leases that are over have ended.
    fn answer(&self) -> Result<MutexGuard<'_, State>, CenterError> {
        let mut state = self.lock();
        if state.is_away {
            return Err(CenterError::unavailable("memory:", "it was told to be away"));
        }
        if state.expire(Instant::now()) {
            self.inner.changed.send_replace(state.revision);
        }
        Ok(state)
    }
}

impl State {
    fn at(&self, revision: u64) -> BTreeMap<Arc<str>, Item> {
        let mut items = BTreeMap::new();
        for change in self.log.iter().take_while(|change| change.revision() <= revision) {
            match change {
                Change::Put(item) => drop(items.insert(item.key.clone(), item.clone())),
                Change::Delete { key, .. } => drop(items.remove(key)),
            }
        }
        items
    }

    fn expire(&mut self, now: Instant) -> bool {
        let over: Vec<i64> =
            self.leases.iter().filter(|(_, it)| it.until <= now).map(|(id, _)| *id).collect();
        let ended: Vec<bool> = over.into_iter().map(|id| self.end(id)).collect();
        ended.contains(&true)
    }

    /// Ends a lease and deletes its keys, in one revision.
    fn end(&mut self, id: i64) -> bool {
        let Some(lease) = self.leases.remove(&id) else { return false };
        let mut commit = Commit::new();
        for key in lease.keys {
            commit = commit.delete(key);
        }
        self.write(commit.writes).deleted > 0
    }

    fn write(&mut self, writes: Vec<Write>) -> Committed {
        let present = self.at(self.revision);
        let next = self.revision + 1;
        let (mut deleted, before) = (0, self.log.len());
        for write in writes {
            for lease in self.leases.values_mut() {
                lease.keys.retain(|key| key != write.key());
            }
            match write {
                Write::Put { key, value, lease } => {
                    self.log.push(Change::Put(Item::new(&key, &value, next)));
                    if let Some(lease) = lease.and_then(|id| self.leases.get_mut(&id.0)) {
                        lease.keys.push(key);
                    }
                }
                Write::Delete { key } if present.contains_key(&*key) => {
                    self.log.push(Change::Delete { key: key.into(), revision: next });
                    deleted += 1;
                }
                Write::Delete { .. } => {}
            }
        }
        if self.log.len() > before {
            self.revision = next;
        }
        Committed { revision: self.revision, deleted }
    }
}

#[async_trait]
impl ConfigCenter for MemoryCenter {
    async fn list(&self, query: &Query) -> Result<Snapshot, CenterError> {
        let state = self.answer()?;
        let revision = query.at.unwrap_or(state.revision);
        if revision > state.revision {
            return Err(CenterError::Future { asked: revision });
        }
        if revision < state.compacted {
            let oldest = Some(state.compacted);
            return Err(CenterError::Compacted { asked: revision, oldest });
        }
        let is_meant = |item: &Item| query.which.matches(&item.key);
        let mut items: Vec<Item> = state.at(revision).into_values().filter(is_meant).collect();
        let total = items.len() as u64;
        items.truncate(query.limit.unwrap_or(usize::MAX));
        Ok(Snapshot::new(revision, items, total))
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CenterError> {
        commit.check()?;
        let mut state = self.answer()?;
        let present = state.at(state.revision);
        for (key, expected) in &commit.conditions {
            let found = present.get(&**key).map(|item| item.revision);
            let holds = match expected {
                Expected::Any => true,
                Expected::Absent => found.is_none(),
                Expected::Revision(revision) => found == Some(*revision),
            };
            if !holds {
                return Err(CenterError::Conflict { key: key.clone() });
            }
        }
        let leases = commit.writes.iter().filter_map(|write| match write {
            Write::Put { lease, .. } => *lease,
            Write::Delete { .. } => None,
        });
        for lease in leases {
            if !state.leases.contains_key(&lease.0) {
                return Err(CenterError::NoLease);
            }
        }
        let committed = state.write(commit.writes);
        self.inner.changed.send_replace(state.revision);
        Ok(committed)
    }

    async fn follow(&self, which: &Which, from: u64) -> Result<Follow, CenterError> {
        drop(self.answer()?);
        let changed = self.inner.changed.subscribe();
        let begin = (self.clone(), which.clone(), from, changed);
        let stream = futures::stream::unfold(Some(begin), |following| async move {
            let (center, which, from, mut changed) = following?;
            loop {
                let (found, wake) = {
                    changed.mark_unchanged();
                    let state = match center.answer() {
                        Ok(state) => state,
                        Err(error) => return Some((Err(error), None)),
                    };
                    if from <= state.compacted {
                        let oldest = Some(state.compacted + 1);
                        let error = CenterError::Compacted { asked: from, oldest };
                        return Some((Err(error), None));
                    }
                    let is_new =
                        |change: &&Change| change.revision() >= from && which.matches(change.key());
                    let found: Vec<_> = state.log.iter().filter(is_new).cloned().collect();
                    (found, state.leases.values().map(|lease| lease.until).min())
                };
                if !found.is_empty() {
                    let batch = Batch::new(found);
                    let next = (center, which, batch.revision + 1, changed);
                    return Some((Ok(batch), Some(next)));
                }
                let expiry = async {
                    match wake {
                        Some(until) => tokio::time::sleep_until(until).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    ended = changed.changed() => if ended.is_err() { return None },
                    () = expiry => (),
                }
            }
        });
        Ok(stream.boxed())
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, CenterError> {
        let mut state = self.answer()?;
        state.last_lease += 1;
        let id = state.last_lease;
        state.leases.insert(id, Lease { ttl, until: Instant::now() + ttl, keys: Vec::new() });
        // Who follows waits for the end of the next lease.
        self.inner.changed.send_modify(|_| ());
        Ok(LeaseId(id))
    }

    async fn renew(&self, lease: LeaseId) -> Result<(), CenterError> {
        let mut state = self.answer()?;
        let lease = state.leases.get_mut(&lease.0).ok_or(CenterError::NoLease)?;
        lease.until = Instant::now() + lease.ttl;
        Ok(())
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), CenterError> {
        let mut state = self.answer()?;
        if !state.leases.contains_key(&lease.0) {
            return Err(CenterError::NoLease);
        }
        state.end(lease.0);
        self.inner.changed.send_replace(state.revision);
        Ok(())
    }
}
