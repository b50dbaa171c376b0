//! Every key with its versions, every lease: the state that entries make.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::time::Instant;

use bytes::Bytes;

use super::changed::Changed;
use super::entry::{Alarm, Change, Entry, Identity};
use super::error::Rejection;
use super::history::{History, Version};
use super::lease::Leases;
use super::query::{Answer, Query};
use super::range::KeyRange;

/// What a version costs beside its key and value, in bytes: the row, its place in the tree, the
/// list of what changed. An estimate from the sizes of these parts, rounded up.
const VERSION_BYTES: usize = 200;

/// The store at one revision, with what it was before back to the compaction. Cloning shares keys
/// and values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    keys: BTreeMap<Bytes, History>,
    /// Which keys each revision changed, in their order; the first is that of `first_change`.
    changes: VecDeque<Changed>,
    first_change: i64,
    revision: i64,
    /// Reads before this revision are refused; -1 when nothing was ever compacted.
    compacted: i64,
    /// Versions before this are gone from memory; lags behind `compacted` until that is durable.
    dropped: i64,
    leases: Leases,
    /// Each with its member.
    alarms: BTreeSet<(Alarm, u64)>,
    identity: Identity,
    /// Entries that made this state.
    applied: u64,
    bytes: usize,
    live_bytes: usize,
}

impl Default for State {
    /// Empty, at revision 1 as etcd's.
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            changes: VecDeque::new(),
            first_change: 2,
            revision: 1,
            compacted: -1,
            dropped: -1,
            leases: Leases::default(),
            alarms: BTreeSet::new(),
            identity: Identity::default(),
            applied: 0,
            bytes: 0,
            live_bytes: 0,
        }
    }
}

impl State {
    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    pub(crate) fn compacted(&self) -> i64 {
        self.compacted
    }

    /// Up to where history is gone from memory.
    pub(crate) fn dropped(&self) -> i64 {
        self.dropped
    }

    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }

    pub(crate) fn leases_mut(&mut self) -> &mut Leases {
        &mut self.leases
    }

    /// Each with its member.
    pub(crate) fn alarms(&self) -> &BTreeSet<(Alarm, u64)> {
        &self.alarms
    }

    /// Whether anybody raised it.
    pub(crate) fn has_alarm(&self, alarm: Alarm) -> bool {
        self.alarms.iter().any(|(raised, _)| *raised == alarm)
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }

    /// What all versions take in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What versions that are not the latest take in memory, about.
    pub(crate) fn history_bytes(&self) -> usize {
        self.bytes.saturating_sub(self.live_bytes)
    }

    /// What a put would add, about.
    pub(crate) fn cost(key: &[u8], value: &[u8]) -> usize {
        key.len() + value.len() + VERSION_BYTES
    }

    /// Keys with a version that is not compacted.
    pub(crate) fn key_count(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn histories(&self) -> impl Iterator<Item = (&Bytes, &History)> {
        self.keys.iter()
    }

    /// From a key on, in the order of their names.
    pub(crate) fn histories_from(
        &self,
        from: Bound<&[u8]>,
    ) -> impl Iterator<Item = (&Bytes, &History)> {
        self.keys.range::<[u8], _>((from, Bound::Unbounded))
    }

    pub(crate) fn history(&self, key: &[u8]) -> Option<&History> {
        self.keys.get(key)
    }

    /// The keys of a range that exist at a revision, in the order of their names.
    pub(crate) fn at<'a>(
        &'a self,
        range: &'a KeyRange,
        revision: i64,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Version)> {
        let keys = range.bounds().map(|bounds| self.keys.range::<[u8], _>(bounds));
        let keys = keys.into_iter().flatten();
        keys.filter_map(move |(key, history)| Some((key, history.at(revision)?)))
    }

    /// Answers a query by what is there at `latest`.
    pub(crate) fn query(&self, query: &Query, latest: i64) -> Result<Answer, Rejection> {
        let revision = self.readable(query.revision, latest)?;
        Ok(query.pick(self.at(&query.range, revision)))
    }

    /// The revision to read at when this one is asked for.
    pub(crate) fn readable(&self, asked: i64, latest: i64) -> Result<i64, Rejection> {
        match asked {
            ..=0 => Ok(latest),
            _ if asked > latest => Err(Rejection::FutureRevision),
            _ if asked < self.compacted => Err(Rejection::Compacted),
            _ => Ok(asked),
        }
    }

    /// The keys that each revision from `from` on changed, up to `upto`, in order.
    pub(crate) fn changed(&self, from: i64, upto: i64) -> impl Iterator<Item = (i64, &[Bytes])> {
        let from = from.max(self.first_change);
        let skip = usize::try_from(from - self.first_change).unwrap_or(usize::MAX);
        let rest = self.changes.iter().skip(skip);
        (from..=upto).zip(rest.map(Changed::keys))
    }

    /// Takes an entry in, as it happens or from the disk; `now` is when leases begin anew.
    pub(crate) fn apply(&mut self, now: Instant, entry: &Entry) {
        // What a snapshot holds was counted when it happened, and the registry is not seen here.
        let is_new =
            !matches!(entry, Entry::Kept { .. } | Entry::Order { .. } | Entry::Registry(_));
        self.applied += u64::from(is_new);
        match entry {
            Entry::Started(identity) => self.identity = *identity,
            Entry::Written { revision, changes } => {
                let keys = changes.iter().map(|change| self.change(*revision, change)).collect();
                self.close_revision(*revision, keys);
            }
            Entry::Granted { id, ttl } => self.leases.grant(now, *id, *ttl),
            Entry::Revoked { id, revision, keys } => {
                self.leases.remove(*id);
                let delete = |key: &Bytes| Change::Delete { key: key.clone() };
                let changes: Vec<_> = keys.iter().map(delete).collect();
                let keys = changes.iter().map(|change| self.change(*revision, change)).collect();
                self.close_revision(*revision, keys);
            }
            Entry::Compacted { revision } => self.compacted = *revision,
            Entry::Registry(_) => (),
            Entry::Alarm { alarm, member, is_raised } => {
                let alarm = (*alarm, *member);
                _ = if *is_raised { self.alarms.insert(alarm) } else { self.alarms.remove(&alarm) };
            }
            Entry::Numbers { revision, compacted, applied, first_change } => {
                self.revision = *revision;
                self.compacted = *compacted;
                self.dropped = *compacted.min(first_change);
                self.applied = *applied;
                self.first_change = *first_change;
            }
            Entry::Kept { key, version } => {
                let value = Bytes::copy_from_slice(&version.value);
                let key = self.own(key);
                self.push(&key, Version { value, ..*version });
                if version.revision >= self.first_change {
                    self.set_changed(version.revision, Changed::One(key));
                }
            }
            Entry::Order { revision, keys } => {
                // Builds before said first here what is now in the numbers.
                if self.changes.is_empty() && *revision < self.first_change {
                    self.first_change = *revision;
                }
                let own = |key: &Bytes| self.own(key);
                self.set_changed(*revision, keys.iter().map(own).collect());
            }
        }
    }

    /// What [`State::apply`] needs of this state before its versions.
    pub(crate) fn head(&self) -> Vec<Entry> {
        let (revision, compacted) = (self.revision, self.compacted);
        let (applied, first_change) = (self.applied, self.first_change);
        let grants = self.leases.granted().map(|(id, ttl)| Entry::Granted { id, ttl });
        let alarms = self.alarms.iter();
        let alarms = alarms.map(|(alarm, member)| Entry::Alarm {
            alarm: *alarm,
            member: *member,
            is_raised: true,
        });
        // After what would count as new.
        let numbers = Entry::Numbers { revision, compacted, applied, first_change };
        [Entry::Started(self.identity)]
            .into_iter()
            .chain(grants)
            .chain(alarms)
            .chain([numbers])
            .collect()
    }

    /// Counts an entry whose changes were made step by step.
    pub(crate) fn count_entry(&mut self) {
        self.applied += 1;
    }

    /// Forgets what the compaction allows, once that is durable, but nothing that is needed to read
    /// at a revision or on from it.
    pub(crate) fn drop_compacted(&mut self, needed: Option<i64>) {
        let upto = self.compacted.min(needed.unwrap_or(i64::MAX));
        if upto <= self.dropped {
            return;
        }
        // Only keys that changed since the last time can have versions to drop.
        let mut touched = BTreeSet::new();
        for (_, keys) in self.changed(self.dropped, upto) {
            touched.extend(keys.iter().cloned());
        }
        for key in touched {
            let Some(history) = self.keys.get_mut(&key) else { continue };
            self.bytes -= compact(&key, history, upto);
            if history.is_empty() {
                self.keys.remove(&key);
            }
        }
        self.forget_changes(upto);
    }

    /// The same for all keys, at once: in a snapshot, a key may be without what was changed when it
    /// was written.
    pub(crate) fn drop_all_compacted(&mut self) {
        let upto = self.compacted;
        if upto <= self.dropped {
            return;
        }
        let mut freed = 0;
        self.keys.retain(|key, history| {
            freed += compact(key, history, upto);
            !history.is_empty()
        });
        self.bytes -= freed;
        self.forget_changes(upto);
    }

    fn forget_changes(&mut self, upto: i64) {
        // What happened at the compaction itself can still be watched.
        while self.first_change < upto && self.changes.pop_front().is_some() {
            self.first_change += 1;
        }
        self.dropped = upto;
    }

    /// One change at a revision that is being made; answers the key as the store owns it.
    pub(crate) fn change(&mut self, revision: i64, change: &Change) -> Bytes {
        let (Change::Put { key, .. } | Change::Delete { key }) = change;
        let newest = self.keys.get(key).and_then(|history| history.at(i64::MAX));
        let version = match change {
            Change::Delete { .. } => Version::deletion(revision),
            Change::Put { value, lease, .. } => Version {
                revision,
                created: newest.map_or(revision, |newest| newest.created),
                version: newest.map_or(1, |newest| newest.version + 1),
                lease: *lease,
                value: Bytes::copy_from_slice(value),
            },
        };
        let key = self.own(key);
        self.push(&key, version);
        key
    }

    /// Ends the revision whose changes were made; none when nothing was changed.
    pub(crate) fn close_revision(&mut self, revision: i64, keys: Changed) {
        if !keys.keys().is_empty() {
            self.revision = revision;
            self.changes.push_back(keys);
        }
    }

    /// What a revision changed that a snapshot holds, in any order of revisions.
    fn set_changed(&mut self, revision: i64, keys: Changed) {
        let Ok(at) = usize::try_from(revision.saturating_sub(self.first_change)) else {
            return;
        };
        if at >= self.changes.len() {
            self.changes.resize(at + 1, Changed::default());
        }
        self.changes[at] = keys;
    }

    /// The key as it is in the tree already, so that it is in memory once; else a copy, which does
    /// not keep the buffer that a request came in. So it is with values.
    fn own(&self, key: &[u8]) -> Bytes {
        let own = self.keys.get_key_value(key).map(|(own, _)| own.clone());
        own.unwrap_or_else(|| Bytes::copy_from_slice(key))
    }

    fn push(&mut self, key: &Bytes, version: Version) {
        let cost = Self::cost(key, &version.value);
        let (is_deletion, lease) = (version.is_deletion(), version.lease);
        let history = self.keys.entry(key.clone()).or_default();
        let newest = history.at(i64::MAX);
        let (old_cost, old_lease) =
            newest.map_or((0, 0), |newest| (Self::cost(key, &newest.value), newest.lease));
        history.push(version);
        self.bytes += cost;
        self.live_bytes -= old_cost;
        if !is_deletion {
            self.live_bytes += cost;
        }
        if old_lease != lease {
            self.leases.detach(old_lease, key);
            self.leases.attach(lease, key.clone());
        }
    }
}

/// Forgets what a compaction allows of a key; what that took in memory.
fn compact(key: &[u8], history: &mut History, upto: i64) -> usize {
    let mut freed = 0;
    history.compact(upto, |version| freed += State::cost(key, &version.value));
    freed
}
