//! Appends groups of entries, and makes the state from them again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::LogError;
use super::folder::Folder;
use super::frame::{self, Tail};
use crate::kv::entry::{Entry, Identity};
use crate::kv::state::State;
use crate::registry::State as Registry;

/// A snapshot is due when the logs since the last one are larger than that, and than this.
const LEAST_BYTES_FOR_SNAPSHOT: u64 = 16 << 20;
/// Entries of one frame of a snapshot; keeps what is held in memory for it small.
const SNAPSHOT_GROUP: usize = 1024;

/// The log that is written to.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: Folder,
    path: PathBuf,
    file: File,
    number: u64,
    /// Up to here the file is on the disk.
    synced_bytes: u64,
    /// In logs since the last snapshot began, without the file in use.
    earlier_bytes: u64,
    snapshot_bytes: u64,
    buffer: Vec<u8>,
    // Held, not read: the folder is this process's as long as this lives.
    _lock: File,
}

/// A snapshot that was written.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    /// Readable as long as it is held, whatever becomes of its name.
    pub(crate) file: File,
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

/// A snapshot that is to be written while the log goes on.
#[derive(Debug)]
pub(crate) struct SnapshotJob {
    folder: Folder,
    path: PathBuf,
    number: u64,
    state: State,
    registry: Registry,
}

/// What the files are read into.
#[derive(Default)]
struct Loaded {
    state: State,
    registry: Registry,
}

impl Journal {
    /// Opens or makes the store in this folder, and notes that it was opened. `fresh` is the
    /// identity of a store that is made.
    pub(crate) fn open(path: &Path, now: Instant, fresh: Identity) -> Result<Recovered, LogError> {
        let failed = |source| LogError::Io { folder: path.to_owned(), source };
        let folder = Folder::open(path).map_err(failed)?;
        let lock = folder.lock().map_err(failed)?;
        let lock = lock.ok_or_else(|| LogError::InUse { folder: path.to_owned() })?;
        Self::recover(folder, path.to_owned(), lock, now, fresh)
    }

    fn recover(
        folder: Folder,
        path: PathBuf,
        lock: File,
        now: Instant,
        fresh: Identity,
    ) -> Result<Recovered, LogError> {
        let failed = |source| LogError::Io { folder: path.clone(), source };
        let listing = folder.list().map_err(failed)?;
        let (mut loaded, mut snapshot_bytes) = (Loaded::default(), 0);
        if let Some(number) = listing.snapshot {
            snapshot_bytes = load_snapshot(&folder.snapshot(number), &mut loaded, now)
                .map_err(|e| e.at(&path))?;
        }
        let mut journal: Option<(u64, u64)> = None;
        let (mut earlier_bytes, mut torn_bytes) = (0, 0);
        let mut expected = listing.snapshot.unwrap_or(1);
        for number in &listing.logs {
            let file = folder.log(*number);
            if *number != expected {
                return Err(LogError::Missing { file: folder.log(expected) });
            }
            expected += 1;
            if let Some((_, bytes)) = journal {
                earlier_bytes += bytes;
            }
            let is_last = Some(number) == listing.logs.last();
            let (whole, all) =
                load_log(&file, is_last, &mut loaded, now).map_err(|e| e.at(&path))?;
            torn_bytes += all - whole;
            journal = Some((*number, whole));
        }
        // A snapshot without its log: the crash came between the two, nothing was written since.
        let (number, synced_bytes) = journal.unwrap_or((expected, 0));
        let file = open_log(&folder.log(number), synced_bytes).map_err(failed)?;
        folder.sync().map_err(failed)?;
        folder.clean().map_err(failed)?;
        let mut journal = Self {
            folder,
            path,
            file,
            number,
            synced_bytes,
            earlier_bytes,
            snapshot_bytes,
            buffer: Vec::new(),
            _lock: lock,
        };
        let Loaded { mut state, mut registry } = loaded;
        let identity = match state.identity() {
            Identity { term: 0, .. } => fresh,
            known => known,
        };
        let started = Entry::Started(Identity { term: identity.term + 1, ..identity });
        journal.append(std::slice::from_ref(&started))?;
        state.apply(now, &started);
        state.drop_compacted(None);
        registry.settle();
        Ok(Recovered { journal, state, registry, torn_bytes })
    }

    /// Writes these entries as one group. When it returns, they are on the disk.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<(), LogError> {
        self.buffer.clear();
        frame::write(entries, &mut self.buffer);
        let written = self.file.write_all(&self.buffer).and_then(|()| self.file.sync_data());
        written.map_err(|source| self.failed(source))?;
        self.synced_bytes += self.buffer.len() as u64;
        // One large group does not keep its size for ever.
        self.buffer.shrink_to(1 << 20);
        Ok(())
    }

    /// After a failed write: takes back what the file has of it, and makes the state again from
    /// what was acknowledged. The handle is gone when this fails, too.
    pub(crate) fn recover_after_failure(self, now: Instant) -> Result<Recovered, LogError> {
        let failed = |source| LogError::Io { folder: self.path.clone(), source };
        self.file.set_len(self.synced_bytes).map_err(failed)?;
        self.file.sync_all().map_err(failed)?;
        Self::recover(self.folder, self.path, self._lock, now, Identity::default())
    }

    /// What the store takes on the disk, in bytes.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.snapshot_bytes + self.earlier_bytes + self.synced_bytes
    }

    /// Whether the logs have grown so much that a snapshot pays.
    pub(crate) fn wants_snapshot(&self) -> bool {
        let logs = self.earlier_bytes + self.synced_bytes;
        logs > LEAST_BYTES_FOR_SNAPSHOT.max(self.snapshot_bytes)
    }

    /// Begins a new log, and answers what is to be written of the state before it. `state` and
    /// `registry` are what the logs hold up to now.
    pub(crate) fn begin_snapshot(
        &mut self,
        state: &State,
        registry: &Registry,
    ) -> Result<SnapshotJob, LogError> {
        let number = self.number + 1;
        let file = open_log(&self.folder.log(number), 0).map_err(|error| self.failed(error))?;
        self.folder.sync().map_err(|error| self.failed(error))?;
        self.file = file;
        self.number = number;
        self.earlier_bytes += self.synced_bytes;
        self.synced_bytes = 0;
        let (folder, path) = (self.folder.clone(), self.path.clone());
        let (state, registry) = (state.clone(), registry.clone());
        Ok(SnapshotJob { folder, path, number, state, registry })
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

impl SnapshotJob {
    /// Writes it and removes what it replaces.
    pub(crate) fn run(self) -> Result<Written, LogError> {
        let Self { folder, path, number, state, registry } = self;
        let failed = |source| LogError::Io { folder: path.clone(), source };
        let bytes = folder.write_snapshot(number, |file| {
            let (mut buffer, mut group) = (Vec::new(), Vec::with_capacity(SNAPSHOT_GROUP));
            let registry = registry.image().map(Entry::Registry);
            let mut image = state.image().chain(registry).peekable();
            while image.peek().is_some() {
                group.extend(image.by_ref().take(SNAPSHOT_GROUP));
                buffer.clear();
                frame::write(&group, &mut buffer);
                file.write_all(&buffer)?;
                group.clear();
            }
            Ok(())
        });
        let bytes = bytes.map_err(failed)?;
        let file = File::open(folder.snapshot(number)).map_err(failed)?;
        folder.clean().map_err(failed)?;
        Ok(Written { bytes, file })
    }
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

fn load_snapshot(path: &Path, loaded: &mut Loaded, now: Instant) -> Result<u64, FileError> {
    let (whole, all) = load_log(path, false, loaded, now)?;
    debug_assert_eq!(whole, all);
    Ok(all)
}

/// Takes the entries of a file in; how much of it is whole, and how much there is.
fn load_log(
    path: &Path,
    may_be_torn: bool,
    loaded: &mut Loaded,
    now: Instant,
) -> Result<(u64, u64), FileError> {
    let bytes = std::fs::read(path).map_err(FileError::Io)?;
    let format = |_| FileError::Log(LogError::Format { file: path.to_owned() });
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

/// Opens a log for appending, cut to what is whole.
fn open_log(path: &Path, whole: u64) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.len() != whole {
        file.set_len(whole)?;
        file.sync_all()?;
    }
    Ok(file)
}
