//! Keys, values and their changes, each with its revision.

use std::fmt;
use std::sync::Arc;

/// A key and its value as of one revision.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Item {
    /// The whole key, such as `/config/user-service/client.timeout`.
    pub key: Arc<str>,
    /// The value; bytes that are no UTF-8 are replacement characters.
    pub value: Arc<str>,
    /// The revision of this value.
    pub revision: u64,
}

impl Item {
    /// A key with its value and the revision of that.
    pub fn new(key: &str, value: &str, revision: u64) -> Self {
        Self { key: key.into(), value: value.into(), revision }
    }
}

impl fmt::Debug for Item {
    /// Names the key; the value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at revision {}", self.key, self.revision)
    }
}

/// What a prefix holds at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The center's revision when this was read, or the one that was asked for.
    pub revision: u64,
    /// Sorted by key; the first ones when there was a limit.
    pub items: Vec<Item>,
    /// How many keys there are, those left out by the limit included.
    pub total: u64,
}

impl Snapshot {
    /// What a backend has read.
    pub fn new(revision: u64, items: Vec<Item>, total: u64) -> Self {
        Self { revision, items, total }
    }
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key has this value now.
    Put(Item),
    /// The key is gone.
    Delete {
        /// The key.
        key: Arc<str>,
        /// When.
        revision: u64,
    },
}

impl Change {
    /// The key.
    pub fn key(&self) -> &Arc<str> {
        match self {
            Self::Put(item) => &item.key,
            Self::Delete { key, .. } => key,
        }
    }

    /// When it happened.
    pub fn revision(&self) -> u64 {
        match self {
            Self::Put(item) => item.revision,
            Self::Delete { revision, .. } => *revision,
        }
    }

    /// The value now; none when the key is gone.
    pub fn value(&self) -> Option<&Arc<str>> {
        match self {
            Self::Put(item) => Some(&item.value),
            Self::Delete { .. } => None,
        }
    }
}

/// Changes that were heard together; all of one revision are in the same batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// The revision of the last of them.
    pub revision: u64,
    /// In the order of their revisions.
    pub changes: Vec<Change>,
}

impl Batch {
    /// Changes in the order of their revisions.
    pub fn new(changes: Vec<Change>) -> Self {
        let revision = changes.iter().map(Change::revision).max().unwrap_or(0);
        Self { revision, changes }
    }
}
