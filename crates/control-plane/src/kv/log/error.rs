//! What can be wrong with the files of the store.

use std::path::PathBuf;

/// The files of the key-value store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error(
        "cannot read or write the key-value store in `{}`; check the disk's space and permissions",
        folder.display()
    )]
    Io {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the thread that writes the key-value store has ended; restart the control plane")]
    Lost,
    #[error("the snapshot was given up, since the log needs the disk; ask again")]
    GaveWay,
    #[error("another process uses the key-value store in `{}`; stop it first", folder.display())]
    InUse { folder: PathBuf },
    #[error(
        "`{}` is damaged {offset} bytes from its start; restore a copy of the folder", file.display()
    )]
    Damaged { file: PathBuf, offset: u64 },
    #[error(
        "`{}` is of another version's format; use the version that wrote it, or a new folder",
        file.display()
    )]
    Format { file: PathBuf },
    #[error("`{}` is missing, but files after it exist; restore a copy of the folder", file.display())]
    Missing { file: PathBuf },
}

impl LogError {
    /// Whether room on the disk is all that is missing.
    pub(crate) fn is_full(&self) -> bool {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let Self::Io { source, .. } = self else { return false };
        matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    }
}
