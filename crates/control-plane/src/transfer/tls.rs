//! The file of certificates that servers are verified by.

use std::path::Path;

use super::{Transfer, TransferError};

/// The file's content; none when none is named.
pub(super) fn pem(transfer: &Transfer) -> Result<Option<Vec<u8>>, TransferError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| TransferError::Certificates {
            path: path.to_owned(),
            source: source.into(),
        })
    };
    transfer.ca.as_deref().map(read).transpose()
}
