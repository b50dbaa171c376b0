//! What can be asked of keys, and how it is refused. The texts are Consul's.

use std::sync::Arc;

use bytes::Bytes;

use super::Pair;

/// A value for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) key: Arc<str>,
    pub(crate) value: Bytes,
    pub(crate) flags: u64,
}

/// One thing to do with keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyOperation {
    Set(Write),
    /// Sets it if it was modified at this index; with 0, if it does not exist.
    SetAt(Write, u64),
    /// Sets it and takes its lock for a session.
    Lock(Write, String),
    /// Sets it and gives back the lock that a session holds.
    Unlock(Write, String),
    Get(Arc<str>),
    GetTree(Arc<str>),
    CheckIndex(Arc<str>, u64),
    CheckSession(Arc<str>, String),
    CheckNotExists(Arc<str>),
    Delete(Arc<str>),
    /// Deletes it if it was modified at this index, or does not exist.
    DeleteAt(Arc<str>, u64),
    DeleteTree(Arc<str>),
    /// A verb that nobody knows.
    Unknown(Arc<str>, String),
}

/// What was done, or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing to show.
    Done,
    /// The pair as it is now.
    Pair(Arc<Pair>),
    /// The pair that was asked for with its value.
    Found(Arc<Pair>),
    Tree(Vec<Arc<Pair>>),
}

/// Why an operation was not done; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Conflict {
    #[error("Must provide key")]
    NoKey,
    #[error("failed to set key {key:?}, index is stale")]
    StaleSet { key: Arc<str> },
    #[error("failed to delete key {key:?}, index is stale")]
    StaleDelete { key: Arc<str> },
    #[error("failed to lock key {key:?}, lock is already held")]
    Held { key: Arc<str> },
    #[error("failed to lock key {key:?} due to lock delay")]
    Delayed { key: Arc<str> },
    #[error("failed to unlock key {key:?}, lock isn't held, or is held by another session")]
    NotHeld { key: Arc<str> },
    #[error("missing session")]
    NoSession,
    #[error("invalid session {id:?}")]
    UnknownSession { id: String },
    #[error("key {key:?} doesn't exist")]
    Missing { key: Arc<str> },
    #[error("key {key:?} exists")]
    Exists { key: Arc<str> },
    #[error("failed to check index, key {key:?} doesn't exist")]
    NothingToIndex { key: Arc<str> },
    #[error("failed index check for key {key:?}, current modify index {is} != {wanted}")]
    OtherIndex { key: Arc<str>, is: u64, wanted: u64 },
    #[error("failed to check session, key {key:?} doesn't exist")]
    NothingToHold { key: Arc<str> },
    #[error("failed session check for key {key:?}, current session {is:?} != {wanted:?}")]
    OtherSession { key: Arc<str>, is: String, wanted: String },
    #[error("unknown KV verb {verb:?}")]
    UnknownVerb { verb: String },
    #[error("the keys take {bytes} bytes, the most allowed; delete some or raise `kv.quota_bytes`")]
    Full { bytes: usize },
}

impl Conflict {
    /// Whether outside of transactions the answer is `false`, not an error.
    pub(crate) fn is_no(&self) -> bool {
        matches!(
            self,
            Self::StaleSet { .. }
                | Self::StaleDelete { .. }
                | Self::Held { .. }
                | Self::Delayed { .. }
                | Self::NotHeld { .. }
        )
    }
}

impl KeyOperation {
    /// The key, or what keys begin with.
    pub(crate) fn key(&self) -> &Arc<str> {
        match self {
            Self::Set(write)
            | Self::SetAt(write, _)
            | Self::Lock(write, _)
            | Self::Unlock(write, _) => &write.key,
            Self::Get(key)
            | Self::GetTree(key)
            | Self::CheckIndex(key, _)
            | Self::CheckSession(key, _)
            | Self::CheckNotExists(key)
            | Self::Delete(key)
            | Self::DeleteAt(key, _)
            | Self::DeleteTree(key)
            | Self::Unknown(key, _) => key,
        }
    }

    /// Whether it needs a key to mean something.
    pub(crate) fn needs_key(&self) -> bool {
        !matches!(self, Self::DeleteTree(_))
    }

    /// Whether it changes nothing, as Consul counts.
    pub(crate) fn is_read(&self) -> bool {
        matches!(
            self,
            Self::Get(_)
                | Self::GetTree(_)
                | Self::CheckIndex(..)
                | Self::CheckSession(..)
                | Self::CheckNotExists(_)
                | Self::Unknown(..)
        )
    }
}
