//! What each request does to the state, and what is kept of it on disk.

use std::collections::BTreeSet;
use std::time::Instant;

use bytes::Bytes;

use super::entry::{Alarm, Change, Entry};
use super::error::Rejection;
use super::lease::{MAX_TTL, MIN_TTL};
use super::operation::{Compare, Delete, Operation, Put, Reply, Txn, TxnReply};
use super::query::{Found, Query};
use super::state::State;

/// What the store may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Operations of one transaction, in each of its lists.
    pub(crate) txn_operations: usize,
    pub(crate) leases: usize,
    /// Of memory, about.
    pub(crate) quota_bytes: usize,
}

/// The state while a group of requests is carried out, and what will be written of it.
#[derive(Debug)]
pub(crate) struct Transition<'a> {
    state: &'a mut State,
    entries: &'a mut Vec<Entry>,
    limits: Limits,
    now: Instant,
}

/// What is left of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remaining {
    pub(crate) granted: i64,
    pub(crate) seconds: i64,
    pub(crate) keys: Vec<Bytes>,
}

impl<'a> Transition<'a> {
    pub(crate) fn new(
        state: &'a mut State,
        entries: &'a mut Vec<Entry>,
        limits: Limits,
        now: Instant,
    ) -> Self {
        Self { state, entries, limits, now }
    }

    pub(crate) fn revision(&self) -> i64 {
        self.state.revision()
    }

    /// Carries out a transaction; all compares of its whole tree are judged before any change.
    pub(crate) fn txn(&mut self, txn: &Txn) -> Result<TxnReply, Rejection> {
        txn.check(self.limits.txn_operations)?;
        self.check_alarms(txn.success.iter().chain(&txn.failure))?;
        let path = self.judge(txn);
        self.check_path(txn, &path)?;
        let mut draft =
            Draft { revision: self.state.revision(), keys: Vec::new(), changes: Vec::new() };
        let reply = self.run(&mut draft, txn, &path)?;
        draft.close(self);
        Ok(reply)
    }

    /// Carries out one operation outside of any transaction.
    pub(crate) fn operation(&mut self, operation: Operation) -> Result<Reply, Rejection> {
        let alone = Txn { success: vec![operation], ..Txn::default() };
        let mut reply = self.txn(&alone)?;
        Ok(reply.replies.pop().expect("one operation has one reply"))
    }

    /// Drops what was before a revision.
    pub(crate) fn compact(&mut self, revision: i64) -> Result<(), Rejection> {
        self.check_not_corrupt()?;
        if revision <= self.state.compacted() {
            return Err(Rejection::Compacted);
        }
        if revision > self.state.revision() {
            return Err(Rejection::FutureRevision);
        }
        self.enter(Entry::Compacted { revision });
        Ok(())
    }

    /// Grants a lease for so many seconds, or for as many as are allowed; says how many. `fresh`
    /// is used when no id is asked for.
    pub(crate) fn grant(&mut self, id: i64, fresh: i64, ttl: i64) -> Result<(i64, i64), Rejection> {
        self.check_not_corrupt()?;
        if ttl > MAX_TTL {
            return Err(Rejection::TtlTooLarge);
        }
        if self.state.has_alarm(Alarm::NoSpace) {
            return Err(Rejection::NoSpace);
        }
        if self.state.leases().len() >= self.limits.leases {
            return Err(Rejection::TooManyLeases);
        }
        let id = if id == 0 { fresh } else { id };
        if self.state.leases().get(id).is_some() {
            return Err(Rejection::LeaseExists);
        }
        let ttl = ttl.max(MIN_TTL);
        self.enter(Entry::Granted { id, ttl });
        Ok((id, ttl))
    }

    /// Ends a lease and deletes its keys, in one revision.
    pub(crate) fn revoke(&mut self, id: i64) -> Result<(), Rejection> {
        self.check_not_corrupt()?;
        self.end_lease(id)
    }

    /// Ends every lease whose time is over.
    pub(crate) fn expire(&mut self) {
        while let Some(id) = self.state.leases().overdue(self.now) {
            self.end_lease(id).expect("a lease that is overdue exists");
        }
    }

    /// Begins a lease's time anew; the seconds it has then.
    pub(crate) fn keep_alive(&mut self, id: i64) -> Result<i64, Rejection> {
        let kept = self.state.leases_mut().keep_alive(self.now, id);
        kept.ok_or(Rejection::LeaseNotFound)
    }

    /// What is left of a lease.
    pub(crate) fn remaining(&self, id: i64, keys: bool) -> Result<Remaining, Rejection> {
        let lease = self.state.leases().get(id).ok_or(Rejection::LeaseNotFound)?;
        let left = lease.deadline.saturating_duration_since(self.now);
        let listed = lease.keys.iter().filter(|_| keys).cloned().collect();
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        Ok(Remaining { granted: lease.ttl, seconds, keys: listed })
    }

    /// The leases there are, the one that ends first first.
    pub(crate) fn leases(&self) -> Vec<i64> {
        self.state.leases().by_deadline().collect()
    }

    /// Raises or ends an alarm of a member; says whether it was raised before.
    pub(crate) fn set_alarm(&mut self, alarm: Alarm, member: u64, is_raised: bool) -> bool {
        let was_raised = self.state.alarms().contains(&(alarm, member));
        if was_raised != is_raised {
            self.enter(Entry::Alarm { alarm, member, is_raised });
        }
        was_raised
    }

    /// Each with its member.
    pub(crate) fn alarms(&self) -> BTreeSet<(Alarm, u64)> {
        self.state.alarms().clone()
    }

    fn end_lease(&mut self, id: i64) -> Result<(), Rejection> {
        let lease = self.state.leases().get(id).ok_or(Rejection::LeaseNotFound)?;
        let keys: Vec<_> = lease.keys.iter().cloned().collect();
        self.enter(Entry::Revoked { id, revision: self.state.revision() + 1, keys });
        Ok(())
    }

    fn enter(&mut self, entry: Entry) {
        self.state.apply(self.now, &entry);
        self.entries.push(entry);
    }

    fn check_not_corrupt(&self) -> Result<(), Rejection> {
        match self.state.has_alarm(Alarm::Corrupt) {
            true => Err(Rejection::Corrupt),
            false => Ok(()),
        }
    }

    /// With too little space, deletions and reads stay possible: they are the way out.
    fn check_alarms<'t>(
        &mut self,
        operations: impl Iterator<Item = &'t Operation>,
    ) -> Result<(), Rejection> {
        self.check_not_corrupt()?;
        let wanted = self.cost(operations);
        if wanted == 0 {
            return Ok(());
        }
        if self.state.has_alarm(Alarm::NoSpace) {
            return Err(Rejection::NoSpace);
        }
        if self.state.bytes().saturating_add(wanted) > self.limits.quota_bytes {
            let member = self.state.identity().member;
            self.enter(Entry::Alarm { alarm: Alarm::NoSpace, member, is_raised: true });
            return Err(Rejection::NoSpace);
        }
        Ok(())
    }

    /// What the puts among these would add, about: also those that keep the value that is there.
    fn cost<'t>(&self, operations: impl Iterator<Item = &'t Operation>) -> usize {
        let costs = operations.map(|operation| match operation {
            Operation::Range(_) | Operation::Delete(_) => 0,
            Operation::Put(put) => {
                let newest = || self.state.history(&put.key)?.at(i64::MAX);
                let kept = || newest().map(|newest| newest.value.clone());
                let value = put.value.clone().or_else(kept).unwrap_or_default();
                State::cost(&put.key, &value)
            }
            Operation::Txn(txn) => self.cost(txn.success.iter().chain(&txn.failure)),
        });
        costs.sum()
    }

    /// Which list each transaction of the tree takes, in the order in which they are met.
    fn judge(&self, txn: &Txn) -> Path {
        let succeeded = txn.compares.iter().all(|compare| self.holds(compare));
        let nested = chosen(txn, succeeded).iter().filter_map(|operation| match operation {
            Operation::Txn(txn) => Some(self.judge(txn)),
            _ => None,
        });
        Path { succeeded, nested: nested.collect() }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let mut found = self.state.at(&compare.range, self.state.revision()).peekable();
        if found.peek().is_none() {
            return compare.holds(None);
        }
        found.all(|(_, version)| compare.holds(Some(version)))
    }

    /// What could fail half-way is checked before anything is changed.
    fn check_path(&self, txn: &Txn, path: &Path) -> Result<(), Rejection> {
        let mut nested = path.nested.iter();
        for operation in chosen(txn, path.succeeded) {
            match operation {
                Operation::Range(query) => {
                    self.state.readable(query.revision, self.state.revision())?;
                }
                Operation::Put(put) => self.check_put(put)?,
                Operation::Delete(_) => (),
                Operation::Txn(txn) => {
                    let path = nested.next().expect("each nested one was judged");
                    self.check_path(txn, path)?;
                }
            }
        }
        Ok(())
    }

    fn check_put(&self, put: &Put) -> Result<(), Rejection> {
        if put.value.is_none() || put.lease.is_none() {
            let history = self.state.history(&put.key);
            history.and_then(|history| history.at(i64::MAX)).ok_or(Rejection::KeyNotFound)?;
        }
        match put.lease {
            None | Some(0) => Ok(()),
            Some(id) => self.state.leases().get(id).map(|_| ()).ok_or(Rejection::LeaseNotFound),
        }
    }

    fn run(&mut self, draft: &mut Draft, txn: &Txn, path: &Path) -> Result<TxnReply, Rejection> {
        let mut nested = path.nested.iter();
        let mut replies = Vec::new();
        for operation in chosen(txn, path.succeeded) {
            replies.push(match operation {
                Operation::Range(query) => self.range(draft, query)?,
                Operation::Put(put) => self.put(draft, put),
                Operation::Delete(delete) => self.delete(draft, delete),
                Operation::Txn(txn) => {
                    let path = nested.next().expect("each nested one was judged");
                    Reply::Txn(self.run(draft, txn, path)?)
                }
            });
        }
        Ok(TxnReply { revision: draft.shown(), succeeded: path.succeeded, replies })
    }

    fn range(&self, draft: &Draft, query: &Query) -> Result<Reply, Rejection> {
        // What the transaction has changed so far is seen by what follows in it.
        let answer = self.state.query(query, draft.shown())?;
        Ok(Reply::Range { revision: draft.shown(), answer })
    }

    fn put(&mut self, draft: &mut Draft, put: &Put) -> Reply {
        let newest = self.state.history(&put.key).and_then(|history| history.at(i64::MAX));
        let kept = |of: fn(&super::history::Version) -> Bytes| newest.map(of).unwrap_or_default();
        let value = put.value.clone().unwrap_or_else(|| kept(|newest| newest.value.clone()));
        let lease = put.lease.unwrap_or_else(|| newest.map_or(0, |newest| newest.lease));
        let previous = newest.filter(|_| put.previous);
        let previous =
            previous.map(|version| Found { key: put.key.clone(), version: version.clone() });
        draft.change(self.state, Change::Put { key: put.key.clone(), value, lease });
        Reply::Put { revision: draft.shown(), previous }
    }

    fn delete(&mut self, draft: &mut Draft, delete: &Delete) -> Reply {
        let found: Vec<_> = self
            .state
            .at(&delete.range, i64::MAX)
            .map(|(key, version)| Found { key: key.clone(), version: version.clone() })
            .collect();
        for Found { key, .. } in &found {
            draft.change(self.state, Change::Delete { key: key.clone() });
        }
        let (deleted, revision) = (found.len(), draft.shown());
        let previous = if delete.previous { found } else { Vec::new() };
        Reply::Delete { revision, deleted, previous }
    }
}

/// Which list a transaction takes, and those nested in that list.
#[derive(Debug)]
struct Path {
    succeeded: bool,
    nested: Vec<Path>,
}

/// The changes of a revision that is being made.
#[derive(Debug)]
struct Draft {
    /// The revision before.
    revision: i64,
    keys: Vec<Bytes>,
    changes: Vec<Change>,
}

impl Draft {
    /// The revision that the transaction shows at this point.
    fn shown(&self) -> i64 {
        self.revision + i64::from(!self.changes.is_empty())
    }

    fn change(&mut self, state: &mut State, change: Change) {
        self.keys.push(state.change(self.revision + 1, &change));
        self.changes.push(change);
    }

    fn close(self, transition: &mut Transition<'_>) {
        if self.changes.is_empty() {
            return;
        }
        let revision = self.revision + 1;
        transition.state.close_revision(revision, self.keys.into_iter().collect());
        transition.state.count_entry();
        transition.entries.push(Entry::Written { revision, changes: self.changes });
    }
}

fn chosen(txn: &Txn, succeeded: bool) -> &[Operation] {
    if succeeded { &txn.success } else { &txn.failure }
}
