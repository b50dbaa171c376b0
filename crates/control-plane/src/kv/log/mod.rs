//! Keeps entries on disk: a log that is synced before it counts, and snapshots.

mod codec;
mod frame;
#[cfg(any(feature = "fuzzing", test))]
pub(crate) use frame::scan;

mod folder;
pub(crate) use folder::RESTORED;

mod error;
pub(crate) use error::LogError;

mod loading;

mod snapshot;
pub(crate) use snapshot::{Place, SnapshotJob, Written};

mod journal;
pub(crate) use journal::{Journal, Recovered, Size};

mod thread;
pub(crate) use thread::JournalThread;

#[cfg(test)]
mod tests;
