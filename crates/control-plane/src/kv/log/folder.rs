//! The files of the store: numbered logs, and a snapshot of all before one of them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::private;

/// A snapshot that a backup brings, before any log.
pub(crate) const RESTORED: &str = "0000000000000001.snapshot";

/// The folder with the store's files.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

/// What is in the folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The newest whole snapshot: it holds all that is in logs with smaller numbers.
    pub(crate) snapshot: Option<u64>,
    /// The logs from there on, ascending.
    pub(crate) logs: Vec<u64>,
    /// What a newer snapshot has made useless.
    pub(crate) old: Vec<PathBuf>,
}

impl Folder {
    /// Makes the folder if it is absent, for its owner alone.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        private::create_folder(path)?;
        Ok(Self { path: path.to_owned() })
    }

    pub(crate) fn log(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:016}.log"))
    }

    pub(crate) fn snapshot(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:016}.snapshot"))
    }

    /// Locks the folder for this process as long as the file lives.
    pub(crate) fn lock(&self) -> io::Result<Option<File>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(private::FILE_MODE)
            .open(self.path.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }

    pub(crate) fn list(&self) -> io::Result<Listing> {
        let (mut logs, mut snapshots, mut old) = (Vec::new(), Vec::new(), Vec::new());
        for file in std::fs::read_dir(&self.path)? {
            let path = file?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            match (number, path.extension().and_then(|extension| extension.to_str())) {
                (Some(number), Some("log")) => logs.push(number),
                (Some(number), Some("snapshot")) => snapshots.push(number),
                // A snapshot that a crash cut.
                (_, Some("part")) => old.push(path),
                _ => (),
            }
        }
        logs.sort_unstable();
        let snapshot = snapshots.iter().max().copied();
        let first = snapshot.unwrap_or_default();
        let is_old = |number: &u64| *number < first;
        old.extend(snapshots.into_iter().filter(is_old).map(|number| self.snapshot(number)));
        old.extend(logs.iter().copied().filter(is_old).map(|number| self.log(number)));
        logs.retain(|number| !is_old(number));
        Ok(Listing { snapshot, logs, old })
    }

    /// Makes a file; after an error there is none.
    pub(crate) fn begin<T>(
        &self,
        path: &Path,
        make: impl FnOnce(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let made = make(path).and_then(|file| self.sync().map(|()| file));
        if made.is_err() {
            // What is not there takes no room, and is taken for nothing by the next start.
            let _left = std::fs::remove_file(path);
        }
        made
    }

    /// Writes a snapshot; it counts once it has its name, which it gets when all is on the disk.
    /// After an error nothing of it is left: on a full disk, its room is needed.
    pub(crate) fn write_snapshot(
        &self,
        number: u64,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<u64> {
        let part = self.path.join(format!("{number:016}.part"));
        let written = self.write_part(&part, number, write);
        if written.is_err() {
            let _left = std::fs::remove_file(&part);
        }
        written
    }

    fn write_part(
        &self,
        part: &Path,
        number: u64,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<u64> {
        let _absent = std::fs::remove_file(part);
        let mut file = io::BufWriter::with_capacity(1 << 20, private::new_file().open(part)?);
        write(&mut file)?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        std::fs::rename(part, self.snapshot(number))?;
        self.sync()?;
        Ok(file.metadata()?.len())
    }

    /// Removes what a snapshot has made useless; an error only leaves files that the next start
    /// removes.
    pub(crate) fn clean(&self) -> io::Result<()> {
        for path in self.list()?.old {
            std::fs::remove_file(path)?;
        }
        Ok(())
    }

    /// Puts the names of the files on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}
