//! Makes the state from the files again.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Instant;

use super::LogError;
use super::folder::Folder;
use super::frame::{self, Scan, ScanError, Tail};
use crate::kv::entry::Entry;
use crate::kv::state::State;
use crate::registry::State as Registry;

/// What is read of a file at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// What the files hold.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) state: State,
    pub(super) registry: Registry,
    /// The log that is written to, and its number in the folder; none when it is to be begun.
    pub(super) log: Option<Log>,
    pub(super) number: u64,
    /// In logs since the snapshot, without that one.
    pub(super) earlier_bytes: u64,
    pub(super) snapshot_bytes: u64,
    /// Bytes of a write that was cut and never acknowledged.
    pub(super) torn_bytes: u64,
}

/// A log as it is on the disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    /// The number in its head.
    pub(super) salt: u64,
    /// How much of it is whole.
    pub(super) bytes: u64,
}

/// Reads everything, each entry once and no more at a time than one frame; of the last log `most`
/// bytes, since what is behind was not acknowledged.
pub(super) fn load(
    folder: &Folder,
    path: &Path,
    now: Instant,
    most: u64,
) -> Result<Loaded, LogError> {
    let failed = |source| LogError::Io { folder: path.to_owned(), source };
    let mut listing = folder.list().map_err(failed)?;
    // One that was not begun holds nothing, and whatever was written went to the one before it.
    if let Some(last) = listing.logs.last() {
        let file = folder.log(*last);
        if !is_begun(&file).map_err(|error| at(error, path, &file))? {
            listing.logs.pop();
        }
    }
    let mut loaded = Loaded { number: listing.snapshot.unwrap_or(1), ..Loaded::default() };
    if let Some(number) = listing.snapshot {
        let file = folder.snapshot(number);
        let read = read(&file, u64::MAX, &mut loaded, now);
        let (scan, bytes) = read.map_err(|error| at(error, path, &file))?;
        if scan.salt.is_none() || scan.tail != Tail::None {
            return Err(LogError::Damaged { file, offset: scan.whole });
        }
        loaded.snapshot_bytes = bytes;
    }
    // A snapshot may be without its log: one that a backup brought.
    for (expected, number) in (loaded.number..).zip(&listing.logs) {
        let file = folder.log(*number);
        if *number != expected {
            return Err(LogError::Missing { file: folder.log(expected) });
        }
        let is_last = Some(number) == listing.logs.last();
        let read = read(&file, if is_last { most } else { u64::MAX }, &mut loaded, now);
        let (Scan { salt, whole, tail }, all) = read.map_err(|error| at(error, path, &file))?;
        let is_torn_where_it_may = tail == Tail::Torn && is_last;
        let Some(salt) = salt.filter(|_| tail == Tail::None || is_torn_where_it_may) else {
            return Err(LogError::Damaged { file, offset: whole });
        };
        loaded.earlier_bytes += loaded.log.map_or(0, |log| log.bytes);
        loaded.log = Some(Log { salt, bytes: whole });
        (loaded.number, loaded.torn_bytes) = (*number, all - whole);
    }
    Ok(loaded)
}

/// Takes the entries of a file in, as they are read; how long it is.
fn read(
    path: &Path,
    most: u64,
    loaded: &mut Loaded,
    now: Instant,
) -> Result<(Scan, u64), ScanError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len().min(most);
    let scan =
        frame::scan(&mut BufReader::with_capacity(CHUNK, file), length, |entry| match entry {
            Entry::Registry(record) => loaded.registry.restore(&record),
            entry => loaded.state.apply(now, &entry),
        })?;
    Ok((scan, length))
}

fn is_begun(path: &Path) -> Result<bool, ScanError> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    frame::is_begun(&mut file, length)
}

fn at(error: ScanError, folder: &Path, file: &Path) -> LogError {
    match error {
        ScanError::Io(source) => LogError::Io { folder: folder.to_owned(), source },
        ScanError::Format(_) => LogError::Format { file: file.to_owned() },
    }
}
