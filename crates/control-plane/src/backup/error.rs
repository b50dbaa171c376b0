//! Why there is no backup, or no use of one.

use std::io;
use std::path::PathBuf;

use crate::ClientTlsError;

/// Why a backup was not made or not restored. Nothing that was there before was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Somebody may need what is there.
    #[error("`{}` exists already and is not overwritten; choose another name", path.display())]
    Exists {
        /// The file, or the folder.
        path: PathBuf,
    },
    /// A file or a folder cannot be read or written.
    #[error("cannot read or write `{}`; check the path, its permissions and the space", path.display())]
    Io {
        /// The file or the folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("`{}` is no whole backup: {reason}; take another one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A file of certificates or keys cannot be used.
    #[error(transparent)]
    Tls(#[from] ClientTlsError),
    /// The control plane cannot be reached.
    #[error("cannot reach the control plane at `{url}`; check the address, and that it runs")]
    Unreachable {
        /// Its address.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The address is none.
    #[error("`{url}` is no address of a control plane; write http://HOST:PORT")]
    NoUrl {
        /// What was given.
        url: String,
    },
    /// Something else answers there.
    #[error(
        "`{url}` is no control plane of Regatta; name one, or take a snapshot with the tools of what \
         runs there"
    )]
    Foreign {
        /// Its address.
        url: String,
    },
    /// The control plane does not hand one out.
    #[error("the control plane at `{url}` refused: {reason}")]
    Refused {
        /// Its address.
        url: String,
        /// What it said.
        reason: String,
    },
}
