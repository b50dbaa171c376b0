//! Keeps entries on disk: a log that is synced before it counts, and snapshots.

mod fields;

mod codec;
mod frame;

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

/// Reads what may be a log.
#[cfg(any(feature = "fuzzing", test))]
pub(crate) fn read_log(bytes: &[u8]) -> bool {
    let length = bytes.len() as u64;
    frame::scan(&mut std::io::Cursor::new(bytes), length, drop).is_ok()
}

#[cfg(test)]
mod tests;
