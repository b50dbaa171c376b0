//! Backups: one file that holds everything, made while the control plane runs.

mod file;
pub(crate) use file::stream;

mod restore;
pub use restore::restore;

mod fetch;
pub use fetch::{Backup, Made};

mod error;
pub use error::BackupError;

/// Where a running control plane hands out its backup.
pub(crate) const PATH: &str = "/v1/regatta/backup";
