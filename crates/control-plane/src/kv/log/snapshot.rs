//! Writes a snapshot while the log goes on.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::LogError;
use super::folder::Folder;
use super::frame::{self, FILE_HEAD};
use crate::kv::entry::Entry;
use crate::registry::State as Registry;

/// A frame of this many bytes takes no further entry: little memory, here and when it is read.
const MOST_FRAME_BYTES: usize = 1 << 20;

/// Where a snapshot belongs: before the log of the same number.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) folder: Folder,
    pub(super) path: PathBuf,
    pub(super) number: u64,
    /// The number in the file's head.
    pub(super) salt: u64,
}

/// A snapshot that is to be written.
pub(crate) struct SnapshotJob {
    pub(crate) place: Place,
    /// Up to where the logs before it go.
    pub(crate) revision: i64,
    /// What the logs before it hold, a part a call; empty at the end.
    pub(crate) parts: Box<dyn FnMut() -> Vec<Entry> + Send>,
    /// What they hold for the registry.
    pub(crate) registry: Registry,
    /// Set when the log needs the room that this takes. Relaxed: nothing is read by it.
    pub(crate) gives_way: Arc<AtomicBool>,
}

/// A snapshot that was written.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    /// Readable as long as it is held, whatever becomes of its name.
    pub(crate) file: File,
}

impl SnapshotJob {
    /// Writes it and removes what it replaces. After an error nothing of it is left.
    pub(crate) fn run(self) -> Result<Written, LogError> {
        let Self { place, mut parts, registry, gives_way, .. } = self;
        let Place { folder, path, number, salt } = place;
        let failed = |source| LogError::Io { folder: path.clone(), source };
        let bytes = folder.write_snapshot(number, |file| {
            file.write_all(&frame::file_head(salt))?;
            let (mut at, mut buffer) = (FILE_HEAD as u64, Vec::new());
            let registry = registry.image().map(Entry::Registry);
            let keys = std::iter::from_fn(|| Some(parts()).filter(|part| !part.is_empty()));
            let mut image = keys.flatten().chain(registry).peekable();
            while image.peek().is_some() {
                if gives_way.load(Ordering::Relaxed) {
                    return Err(io::Error::other("the log needs the disk"));
                }
                frame::write(&mut image, salt, at, MOST_FRAME_BYTES, &mut buffer)?;
                file.write_all(&buffer)?;
                at += buffer.len() as u64;
            }
            Ok(())
        });
        let bytes = bytes.map_err(failed)?;
        let file = File::open(folder.snapshot(number)).map_err(failed)?;
        folder.clean().map_err(failed)?;
        Ok(Written { bytes, file })
    }
}

impl std::fmt::Debug for SnapshotJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotJob").field("place", &self.place).finish_non_exhaustive()
    }
}
