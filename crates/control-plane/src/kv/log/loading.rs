//! Makes the state from the files again.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::LogError;
use super::folder::Folder;
use super::frame::{self, Tail};
use crate::kv::entry::Entry;
use crate::kv::state::State;
use crate::registry::State as Registry;

/// What the files hold.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) state: State,
    pub(super) registry: Registry,
    /// The log that is written to, and how much of it is whole.
    pub(super) number: u64,
    pub(super) whole_bytes: u64,
    /// In logs since the snapshot, without that one.
    pub(super) earlier_bytes: u64,
    pub(super) snapshot_bytes: u64,
    /// Bytes of a write that was cut and never acknowledged.
    pub(super) torn_bytes: u64,
}

/// Reads everything; of the last log `most` bytes, since what is behind was not acknowledged.
pub(super) fn load(
    folder: &Folder,
    path: &Path,
    now: Instant,
    most: u64,
) -> Result<Loaded, LogError> {
    let failed = |source| LogError::Io { folder: path.to_owned(), source };
    let listing = folder.list().map_err(failed)?;
    let mut loaded = Loaded::default();
    if let Some(number) = listing.snapshot {
        let read = read_file(&folder.snapshot(number), u64::MAX, false, &mut loaded, now);
        (loaded.snapshot_bytes, _) = read.map_err(|error| error.at(path))?;
    }
    // A snapshot may be without its log: one that a backup brought.
    loaded.number = listing.snapshot.unwrap_or(1);
    for (expected, number) in (loaded.number..).zip(&listing.logs) {
        if *number != expected {
            return Err(LogError::Missing { file: folder.log(expected) });
        }
        let is_last = Some(number) == listing.logs.last();
        let most = if is_last { most } else { u64::MAX };
        let read = read_file(&folder.log(*number), most, is_last, &mut loaded, now);
        let (whole, all) = read.map_err(|error| error.at(path))?;
        loaded.earlier_bytes += loaded.whole_bytes;
        (loaded.number, loaded.whole_bytes, loaded.torn_bytes) = (*number, whole, all - whole);
    }
    Ok(loaded)
}

/// What is wrong with one file.
enum FileError {
    Io(io::Error),
    Log(LogError),
}

impl FileError {
    fn at(self, folder: &Path) -> LogError {
        match self {
            Self::Io(source) => LogError::Io { folder: folder.to_owned(), source },
            Self::Log(error) => error,
        }
    }
}

/// Takes the entries of a file in; how much of it is whole, and how much there is.
fn read_file(
    path: &Path,
    most: u64,
    may_be_torn: bool,
    loaded: &mut Loaded,
    now: Instant,
) -> Result<(u64, u64), FileError> {
    let mut bytes = std::fs::read(path).map_err(FileError::Io)?;
    bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let format = |_| FileError::Log(LogError::Format { file: PathBuf::from(path) });
    let scan = frame::scan(&bytes).map_err(format)?;
    let is_torn_where_it_may = scan.tail == Tail::Torn && may_be_torn;
    if scan.tail != Tail::None && !is_torn_where_it_may {
        let damaged = LogError::Damaged { file: path.to_owned(), offset: scan.whole };
        return Err(FileError::Log(damaged));
    }
    for entry in &scan.entries {
        match entry {
            Entry::Registry(record) => loaded.registry.restore(record),
            entry => loaded.state.apply(now, entry),
        }
    }
    Ok((scan.whole as u64, bytes.len() as u64))
}
