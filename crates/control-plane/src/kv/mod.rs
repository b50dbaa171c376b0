//! The key-value store: versions of keys in one order of revisions, leases, watches.
//!
//! Rules are pure ([`transition`], [`state`], [`query`], [`feed`]); [`writer`] is the one task that
//! changes anything, and [`log`] keeps what it did on the disk.

/// The store's folder within that of all data.
pub(crate) const STORE: &str = "kv";

mod range;
pub(crate) use range::KeyRange;

mod history;
pub(crate) use history::Version;

mod query;
pub(crate) use query::{Answer, Between, Found, Query, Sort};

mod operation;
pub(crate) use operation::{
    Compare, Delete, Operation, Put, Relation, Reply, Target, Txn, TxnReply,
};

mod error;
pub(crate) use error::Rejection;

mod lease;

mod entry;
pub(crate) use entry::{Alarm, Identity};

mod changed;

mod state;
pub(crate) use state::State;

mod image;

mod transition;
pub(crate) use transition::{Limits, Transition};

mod ranges;

mod hub;

mod feed;
pub(crate) use feed::{Event, Feed, Step, Wanted};

mod retention;

mod log;
#[cfg(any(feature = "fuzzing", test))]
pub(crate) use log::read_log;
pub(crate) use log::{LogError, RESTORED};

mod store;
pub(crate) use store::{At, Store, StoreError};

mod registrations;

mod pauses;

mod disk;

mod snapshots;
pub(crate) use snapshots::Defragmenter;

mod writer;
pub(crate) use writer::{Options, Writer, open};

#[cfg(test)]
mod tests;
