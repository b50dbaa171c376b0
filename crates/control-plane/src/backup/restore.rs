//! Makes a folder for a control plane from a backup.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::BackupError;
use super::file;
use crate::kv::{RESTORED, STORE};
use crate::private;

/// Makes `data_dir` hold what the backup holds; answers how many bytes that is. A control plane
/// that is started on it has everything that was acknowledged before the backup began.
///
/// Reads and writes files, so it is not for a runtime's threads.
///
/// # Errors
///
/// [`BackupError::Exists`] when a store is there already, [`BackupError::Damaged`] when the backup
/// is not whole, [`BackupError::Io`].
pub fn restore(backup: &Path, data_dir: &Path) -> Result<u64, BackupError> {
    let folder = data_dir.join(STORE);
    if folder.exists() {
        return Err(BackupError::Exists { path: folder });
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::Io { path, source }
    };
    let opened = File::open(backup).map_err(failed(backup))?;
    // Beside its place, so that a half of it is no store.
    let part = data_dir.join(format!("{STORE}.restoring"));
    if part.exists() {
        fs::remove_dir_all(&part).map_err(failed(&part))?;
    }
    private::create_folder(&part).map_err(failed(&part))?;
    let written = write(opened, &part.join(RESTORED)).map_err(failed(data_dir))?;
    let moved = written
        .map_err(|file::Wrong(reason)| BackupError::Damaged { path: backup.to_owned(), reason });
    let moved = moved.and_then(|bytes| {
        fs::rename(&part, &folder).map_err(failed(&folder))?;
        let synced = File::open(data_dir).and_then(|folder| folder.sync_all());
        synced.map_err(failed(data_dir)).map(|()| bytes)
    });
    if moved.is_err() {
        // Of no use to anybody; the next attempt removes what this leaves.
        let _left = fs::remove_dir_all(&part);
    }
    moved
}

fn write(backup: File, path: &Path) -> io::Result<Result<u64, file::Wrong>> {
    let mut snapshot = io::BufWriter::new(private::new_file().open(path)?);
    let read = file::read(backup, |part| snapshot.write_all(part))?;
    snapshot.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(read)
}
