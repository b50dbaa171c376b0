//! The port: what a config center does.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::{Batch, CenterError, Change, Commit, Committed, Expected, Item, Snapshot};

/// Longest time for all of a history to come.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long nothing more may come before a history that has reached the present is complete: what
/// was set and deleted since changes nothing of the present, so the present does not tell of it.
const HISTORY_SILENCE: Duration = Duration::from_millis(250);

/// The number of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub i64);

/// Which keys are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// This one.
    Key(String),
    /// All that begin so.
    Prefix(String),
}

impl Which {
    /// Whether a key is meant.
    pub fn matches(&self, key: &str) -> bool {
        match self {
            Self::Key(one) => one == key,
            Self::Prefix(prefix) => key.starts_with(&**prefix),
        }
    }

    /// The key or the prefix.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Key(text) | Self::Prefix(text) => text,
        }
    }
}

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it reads nothing until it is given to a center"]
pub struct Query {
    /// The keys.
    pub which: Which,
    /// The revision; the present one when none.
    pub at: Option<u64>,
    /// The most items to return; all when none.
    pub limit: Option<usize>,
}

impl Query {
    /// All keys that begin so, now.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self { which: Which::Prefix(prefix.into()), at: None, limit: None }
    }

    /// One key, now.
    pub fn key(key: impl Into<String>) -> Self {
        Self { which: Which::Key(key.into()), at: None, limit: None }
    }

    /// As it was at a revision.
    pub fn at(self, revision: u64) -> Self {
        Self { at: Some(revision), ..self }
    }

    /// No more than so many items.
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

/// Changes as they come, each once and in order; it ends with an error or with the connection.
pub type Follow = BoxStream<'static, Result<Batch, CenterError>>;

/// What is kept of the past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The first revision that is kept: what happened before it is compacted, or left out by the
    /// limit.
    pub since: u64,
    /// The oldest first.
    pub changes: Vec<Change>,
}

/// Keeps keys and values for many services, in one order of revisions.
///
/// Implementations must pass every check in `conformance`.
#[async_trait]
pub trait ConfigCenter: fmt::Debug + Send + Sync + 'static {
    /// Reads keys, now or as they were.
    ///
    /// # Errors
    ///
    /// [`CenterError::Compacted`] or [`CenterError::Future`] for a revision that cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: reading changes nothing.
    async fn list(&self, query: &Query) -> Result<Snapshot, CenterError>;

    /// Writes all of it at one revision, or nothing.
    ///
    /// # Errors
    ///
    /// [`CenterError::Conflict`] when a condition does not hold. After
    /// [`CenterError::Unavailable`] it may have happened or not.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped commit may have happened. Read before repeating it.
    async fn commit(&self, commit: Commit) -> Result<Committed, CenterError>;

    /// Follows keys from this revision on: first what has happened since, then what happens.
    ///
    /// # Errors
    ///
    /// [`CenterError::Compacted`] when what has happened since is not kept; it may also be the
    /// stream's first answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: following changes nothing.
    async fn follow(&self, which: &Which, from: u64) -> Result<Follow, CenterError>;

    /// Grants a lease: keys put with it are deleted when it was not renewed for so long. Centers
    /// may round up to whole seconds and to 2 s at least.
    ///
    /// # Errors
    ///
    /// [`CenterError::Refused`] when there are too many.
    ///
    /// # Cancel safety
    ///
    /// A dropped grant may have happened; that lease ends by itself.
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, CenterError>;

    /// Begins its time anew.
    ///
    /// # Errors
    ///
    /// [`CenterError::NoLease`] when it has ended, with its keys.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: at worst it was renewed.
    async fn renew(&self, lease: LeaseId) -> Result<(), CenterError>;

    /// Ends it, and deletes its keys.
    ///
    /// # Errors
    ///
    /// [`CenterError::NoLease`] when it has ended already.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: it may have happened.
    async fn revoke(&self, lease: LeaseId) -> Result<(), CenterError>;

    /// The value of a key; none when it is not there.
    ///
    /// # Errors
    ///
    /// As [`ConfigCenter::list`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    async fn get(&self, key: &str) -> Result<Option<Item>, CenterError> {
        Ok(self.list(&Query::key(key)).await?.items.pop())
    }

    /// Sets a key, if it is as expected, and returns the revision.
    ///
    /// # Errors
    ///
    /// As [`ConfigCenter::commit`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe, as [`ConfigCenter::commit`].
    async fn set(&self, key: &str, value: &str, expected: Expected) -> Result<u64, CenterError> {
        let commit = Commit::new().expect(key, expected).put(key, value);
        Ok(self.commit(commit).await?.revision)
    }

    /// Deletes a key, if it is as expected, and says whether it was there.
    ///
    /// # Errors
    ///
    /// As [`ConfigCenter::commit`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe, as [`ConfigCenter::commit`].
    async fn delete(&self, key: &str, expected: Expected) -> Result<bool, CenterError> {
        let commit = Commit::new().expect(key, expected).delete(key);
        Ok(self.commit(commit).await?.deleted > 0)
    }

    /// What is kept of the past of keys: the latest changes, at most `limit`.
    ///
    /// What was compacted is not there. A key that was set and deleted again within the last
    /// moments may be missing.
    ///
    /// # Errors
    ///
    /// [`CenterError::Unavailable`] also when it takes longer than 30 s.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    async fn history(&self, which: &Which, limit: usize) -> Result<History, CenterError> {
        let reading = read_history(self, which, limit);
        match tokio::time::timeout(HISTORY_TIMEOUT, reading).await {
            Ok(read) => read,
            Err(elapsed) => Err(CenterError::unavailable("its address", elapsed)),
        }
    }
}

async fn read_history<C: ConfigCenter + ?Sized>(
    center: &C,
    which: &Which,
    limit: usize,
) -> Result<History, CenterError> {
    let mut since = 1;
    // Compaction may go on while this reads; it cannot overtake for ever.
    for _ in 0..8 {
        let present = center.list(&Query { which: which.clone(), at: None, limit: None }).await?;
        match read_since(center, which, since, limit, &present).await {
            Err(CenterError::Compacted { oldest: Some(oldest), .. }) if oldest > since => {
                since = oldest;
            }
            read => return read,
        }
    }
    Err(CenterError::Compacted { asked: since, oldest: None })
}

/// Follows until the present is reached and nothing more comes.
async fn read_since<C: ConfigCenter + ?Sized>(
    center: &C,
    which: &Which,
    since: u64,
    limit: usize,
    present: &Snapshot,
) -> Result<History, CenterError> {
    let wanted: BTreeMap<&str, u64> =
        present.items.iter().map(|item| (&*item.key, item.revision)).collect();
    let mut missing = wanted.values().filter(|revision| **revision >= since).count();
    let mut follow = center.follow(which, since).await?;
    let mut changes: VecDeque<Change> = VecDeque::new();
    let mut alive: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    let mut left_out = None;
    loop {
        // All of the present was seen, and nothing that is not of the present is left.
        let is_there = missing == 0
            && alive
                .iter()
                .all(|(key, revision)| *revision > present.revision || wanted.contains_key(&**key));
        let next = match is_there {
            true => match tokio::time::timeout(HISTORY_SILENCE, follow.next()).await {
                Ok(next) => next,
                Err(_silence) => break,
            },
            false => follow.next().await,
        };
        let Some(batch) = next else {
            return Err(CenterError::unavailable("its address", "the connection ended"));
        };
        for change in batch?.changes {
            match &change {
                Change::Put(item) => {
                    alive.insert(item.key.clone(), item.revision);
                    missing -= usize::from(wanted.get(&*item.key) == Some(&item.revision));
                }
                Change::Delete { key, .. } => drop(alive.remove(key)),
            }
            changes.push_back(change);
            if changes.len() > limit {
                left_out = changes.pop_front();
            }
        }
    }
    let since = left_out.map_or(since, |change| change.revision() + 1);
    Ok(History { since, changes: changes.into() })
}
