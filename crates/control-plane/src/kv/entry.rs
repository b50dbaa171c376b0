//! What happened, as it is kept on disk: enough to make the state again.

use bytes::Bytes;

use super::history::Version;
use crate::registry::Record;

/// One thing that happened to the store. Each is whole or absent after a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A process opened the store.
    Started(Identity),
    /// One revision's changes, in their order.
    Written {
        revision: i64,
        changes: Vec<Change>,
    },
    Granted {
        id: i64,
        ttl: i64,
    },
    /// The end of a lease and of its keys; in no revision when it had none.
    Revoked {
        id: i64,
        revision: i64,
        keys: Vec<Bytes>,
    },
    Compacted {
        revision: i64,
    },
    Alarm {
        alarm: Alarm,
        /// Whose it is, as whoever raised it said; 0 for everybody's.
        member: u64,
        is_raised: bool,
    },
    /// What a command changed in the registry, which has indexes of its own.
    Registry(Record),
    /// From here on only in snapshots: the numbers it starts from.
    Numbers {
        revision: i64,
        compacted: i64,
        applied: u64,
        /// The first revision of which it is known what it changed.
        first_change: i64,
    },
    /// A version that is not compacted.
    Kept {
        key: Bytes,
        version: Version,
    },
    /// Which keys a revision changed, in their order; of one that changed a single key, the version
    /// says it.
    Order {
        revision: i64,
        keys: Vec<Bytes>,
    },
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Put { key: Bytes, value: Bytes, lease: i64 },
    Delete { key: Bytes },
}

/// Who keeps the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Drawn once, when the store is made. Not 0.
    pub(crate) cluster: u64,
    /// Drawn once, when the store is made. Not 0.
    pub(crate) member: u64,
    /// How often the store was opened.
    pub(crate) term: u64,
}

/// Why the store refuses changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// It was full; an operator made room, or has to.
    NoSpace,
    /// An operator says that its content is wrong.
    Corrupt,
}
