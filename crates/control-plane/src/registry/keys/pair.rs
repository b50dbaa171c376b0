//! A key with its value and its lock.

use std::sync::Arc;

use bytes::Bytes;

/// What a pair costs in memory beside its key and value, in bytes: the row, its places in two
/// trees, their counters. An estimate from the sizes of these parts, rounded up.
const PAIR_BYTES: usize = 250;

/// A key with its value and its lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) key: Arc<str>,
    pub(crate) value: Bytes,
    /// The client's own number.
    pub(crate) flags: u64,
    /// How many holders its lock had.
    pub(crate) lock_index: u64,
    /// The session that holds its lock.
    pub(crate) session: Option<Arc<str>>,
    /// The index at which this life of the key began.
    pub(crate) created: u64,
    pub(crate) modified: u64,
}

impl Pair {
    /// What it takes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        Self::cost(&self.key, &self.value)
    }

    /// What a pair of these would take in memory, about.
    pub(crate) fn cost(key: &str, value: &[u8]) -> usize {
        key.len() + value.len() + PAIR_BYTES
    }

    /// Whether the other says the same, whenever it was said.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let told = |pair: &Self| (pair.flags, pair.lock_index, pair.session.clone());
        self.value == other.value && told(self) == told(other)
    }
}
