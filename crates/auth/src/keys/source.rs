//! Reads the text of a key set from where it is published.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Keys;
use crate::{InvalidKeySet, VerifyingKey, key_set};

/// The longest key set that is read; real ones have a few KiB.
const MOST_BYTES: usize = 1 << 20;

/// From the request to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A key set could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The file cannot be read.
    #[error("cannot read `{}`; check that the file is there and readable", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// The issuer does not answer.
    #[error("cannot fetch `{url}`; check that the issuer is up")]
    Fetch {
        /// The URL.
        url: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The issuer answers something else than 200.
    #[error("`{url}` answers {status}; check the path of the key set")]
    Status {
        /// The URL.
        url: String,
        /// The status.
        status: u16,
    },
    /// The text is longer than any key set.
    #[error("`{from}` has more than {MOST_BYTES} bytes; it is no key set")]
    TooLong {
        /// The path or URL.
        from: String,
    },
    /// No key of it can be used.
    #[error("`{from}` is not usable")]
    Unusable {
        /// The path or URL.
        from: String,
        /// Why not.
        #[source]
        source: InvalidKeySet,
    },
}

/// Reads the whole text.
///
/// # Cancel safety
///
/// Cancel safe: reading changes nothing.
pub(super) async fn read(keys: &Keys) -> Result<String, KeysError> {
    match keys {
        Keys::File(path) => {
            let path = path.clone();
            // Small and local: not worth an asynchronous file.
            let read = move || read_file(&path);
            let read = tokio::task::spawn_blocking(read).await;
            // A runtime that ends cancels it; nobody sees the answer.
            read.unwrap_or_else(|ended| {
                let source = std::io::Error::other(ended);
                Err(KeysError::File { path: PathBuf::new(), source })
            })
        }
        Keys::Url(url) => fetch(url).await,
    }
}

/// Reads a file at once; used at the start, where waiting is right.
pub(super) fn read_file(path: &Path) -> Result<String, KeysError> {
    let failed = |source| KeysError::File { path: path.to_path_buf(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    // One byte more than allowed, to see that there is more.
    file.take(MOST_BYTES as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() > MOST_BYTES {
        return Err(KeysError::TooLong { from: path.display().to_string() });
    }
    Ok(text)
}

/// The keys of a text.
pub(super) fn parse(from: &Keys, text: &str) -> Result<Vec<VerifyingKey>, KeysError> {
    key_set(text).map_err(|source| KeysError::Unusable { from: from.to_string(), source })
}

async fn fetch(url: &str) -> Result<String, KeysError> {
    let failed = |source: reqwest::Error| KeysError::Fetch {
        url: url.to_owned(),
        source: source.without_url().into(),
    };
    let client = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(failed)?;
    let mut response = client.get(url).send().await.map_err(failed)?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(KeysError::Status { url: url.to_owned(), status });
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err(KeysError::TooLong { from: url.to_owned() });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
