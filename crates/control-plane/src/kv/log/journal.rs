//! Appends groups of entries to the log.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::LogError;
use super::folder::Folder;
use super::frame::{self, FILE_HEAD};
use super::loading::{Log, load};
use super::snapshot::Place;
use crate::kv::entry::{Entry, Identity};
use crate::kv::state::State;
use crate::private::FILE_MODE;
use crate::registry::State as Registry;

/// A snapshot is due when the logs since the last one are larger than that, and than this.
const LEAST_BYTES_FOR_SNAPSHOT: u64 = 16 << 20;
/// A frame of this many bytes takes no further entry, so that neither writing one nor reading it
/// takes much memory.
const MOST_FRAME_BYTES: usize = 64 << 20;
/// A disk that failed is written to again when it takes this many bytes: room for some ordinary
/// groups, so that it does not fail at once again.
const ROOM: usize = 64 << 10;

/// The log that is written to.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: Folder,
    path: PathBuf,
    file: File,
    number: u64,
    /// The number in the file's head.
    salt: u64,
    /// What the numbers of further files are made from. Nobody who writes knows it.
    drawn: u64,
    pub(super) most_frame_bytes: usize,
    /// Up to here the file is on the disk.
    synced_bytes: u64,
    /// In logs since the last snapshot began, without the file in use.
    earlier_bytes: u64,
    snapshot_bytes: u64,
    buffer: Vec<u8>,
    // Held, not read: the folder is this process's as long as this lives.
    _lock: File,
}

/// What was on the disk.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) journal: Journal,
    pub(crate) state: State,
    pub(crate) registry: Registry,
    /// Bytes of a write that was cut and never acknowledged.
    pub(crate) torn_bytes: u64,
}

/// What the store takes on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) bytes: u64,
    /// Whether the logs have grown so much that a snapshot pays.
    pub(crate) wants_snapshot: bool,
}

impl Journal {
    /// Opens or makes the store in this folder, and notes that it was opened. `fresh` is the
    /// identity of a store that is made; `drawn` a random number that is told to nobody.
    pub(crate) fn open(
        path: &Path,
        now: Instant,
        fresh: Identity,
        drawn: u64,
    ) -> Result<Recovered, LogError> {
        let failed = |source| LogError::Io { folder: path.to_owned(), source };
        let folder = Folder::open(path).map_err(failed)?;
        let lock = folder.lock().map_err(failed)?;
        let lock = lock.ok_or_else(|| LogError::InUse { folder: path.to_owned() })?;
        let loaded = load(&folder, path, now, u64::MAX)?;
        let name = folder.log(loaded.number);
        let (file, Log { salt, bytes }) = match loaded.log {
            Some(log) => (go_on(&name, log).map_err(failed)?, log),
            None => begin(&name, salt(drawn, loaded.number)).map_err(failed)?,
        };
        folder.sync().map_err(failed)?;
        folder.clean().map_err(failed)?;
        let mut journal = Self {
            folder,
            path: path.to_owned(),
            file,
            number: loaded.number,
            salt,
            drawn,
            most_frame_bytes: MOST_FRAME_BYTES,
            synced_bytes: bytes,
            earlier_bytes: loaded.earlier_bytes,
            snapshot_bytes: loaded.snapshot_bytes,
            buffer: Vec::new(),
            _lock: lock,
        };
        let (mut state, mut registry, torn_bytes) =
            (loaded.state, loaded.registry, loaded.torn_bytes);
        let identity = match state.identity() {
            Identity { term: 0, .. } => fresh,
            known => known,
        };
        let started = Entry::Started(Identity { term: identity.term + 1, ..identity });
        journal.append(std::slice::from_ref(&started))?;
        state.apply(now, &started);
        state.drop_all_compacted();
        registry.settle();
        Ok(Recovered { journal, state, registry, torn_bytes })
    }

    /// Writes these entries as one group. When it returns, they are on the disk. After an error
    /// nothing can be appended before [`Journal::heal`].
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<(), LogError> {
        let mut left = entries.iter().peekable();
        let mut end = self.synced_bytes;
        while left.peek().is_some() {
            let most = self.most_frame_bytes;
            // Each on the disk before the next, as every frame is.
            let written = frame::write(&mut left, self.salt, end, most, &mut self.buffer)
                .and_then(|()| self.file.write_all(&self.buffer))
                .and_then(|()| self.file.sync_data());
            written.map_err(|source| self.failed(source))?;
            end += self.buffer.len() as u64;
        }
        // Nothing of a group counts before all of it does.
        self.synced_bytes = end;
        // One large group does not keep its size for ever.
        self.buffer.shrink_to(1 << 20);
        Ok(())
    }

    /// Makes the keys' state again from what was acknowledged; reads only, so it does so on a full
    /// disk, too.
    pub(crate) fn reload(&self, now: Instant) -> Result<State, LogError> {
        let mut state = load(&self.folder, &self.path, now, self.synced_bytes)?.state;
        state.drop_all_compacted();
        Ok(state)
    }

    /// After a failed write: takes back what the file has of it, and looks whether the disk takes
    /// writes again.
    pub(crate) fn heal(&mut self) -> Result<(), LogError> {
        // A crash in the middle leaves a write that was cut, which the next start takes back.
        let healed = self.cut().and_then(|()| {
            let tried = self.file.write_all(&[0; ROOM]).and_then(|()| self.file.sync_data());
            self.cut().and(tried)
        });
        healed.map_err(|source| self.failed(source))
    }

    fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.synced_bytes)?;
        self.file.sync_all()
    }

    pub(crate) fn size(&self) -> Size {
        let logs = self.earlier_bytes + self.synced_bytes;
        Size {
            bytes: self.snapshot_bytes + logs,
            wants_snapshot: logs > LEAST_BYTES_FOR_SNAPSHOT.max(self.snapshot_bytes),
        }
    }

    /// Begins a new log; answers where the snapshot of all before it belongs.
    pub(crate) fn begin_snapshot(&mut self) -> Result<Place, LogError> {
        let number = self.number + 1;
        let salt = salt(self.drawn, number);
        let begun = self.folder.begin(&self.folder.log(number), |path| begin(path, salt));
        let (file, log) = begun.map_err(|error| self.failed(error))?;
        (self.file, self.number, self.salt) = (file, number, log.salt);
        self.earlier_bytes += self.synced_bytes;
        self.synced_bytes = log.bytes;
        Ok(Place { folder: self.folder.clone(), path: self.path.clone(), number, salt })
    }

    /// Takes note that a snapshot of this size has replaced the logs before it.
    pub(crate) fn end_snapshot(&mut self, bytes: u64) {
        self.snapshot_bytes = bytes;
        self.earlier_bytes = 0;
    }

    fn failed(&self, source: io::Error) -> LogError {
        LogError::Io { folder: self.path.clone(), source }
    }
}

/// The number of one file: no two have the same.
fn salt(drawn: u64, number: u64) -> u64 {
    drawn.wrapping_add(number)
}

/// Begins a log; its head is on the disk before anything is written behind it.
fn begin(path: &Path, salt: u64) -> io::Result<(File, Log)> {
    let mut file = OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(path)?;
    file.set_len(0)?;
    file.write_all(&frame::file_head(salt))?;
    file.sync_all()?;
    Ok((file, Log { salt, bytes: FILE_HEAD as u64 }))
}

/// Opens a log for appending, cut to what is whole.
fn go_on(path: &Path, log: Log) -> io::Result<File> {
    let file = OpenOptions::new().append(true).open(path)?;
    if file.metadata()?.len() != log.bytes {
        file.set_len(log.bytes)?;
        file.sync_all()?;
    }
    Ok(file)
}
