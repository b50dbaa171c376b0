//! Reads the text of a key set from where it is published.

use std::path::PathBuf;
use std::time::Duration;

use crate::Keys;

/// The longest key set that is read; real ones have a few KiB.
const MOST_BYTES: usize = 1 << 20;

/// From the request to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A key set could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("cannot read `{}`; check that the file is there and readable", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot fetch `{url}`; check that the issuer is up")]
    Fetch {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("`{url}` answers {status}; check the path of the key set")]
    Status { url: String, status: u16 },
    #[error("`{from}` has more than {MOST_BYTES} bytes; it is no key set")]
    TooLong { from: String },
    #[error("`{from}` is not usable")]
    Unusable {
        from: String,
        #[source]
        source: regatta_auth::InvalidKeySet,
    },
}

/// Reads the whole text.
///
/// # Cancel safety
///
/// Cancel safe: reading changes nothing.
pub(super) async fn read(keys: &Keys) -> Result<String, SourceError> {
    match keys {
        Keys::File(path) => {
            let path = path.clone();
            // Small and local: not worth an asynchronous file.
            let read = move || read_file(&path);
            let read = tokio::task::spawn_blocking(read).await;
            read.unwrap_or_else(|_| Err(SourceError::TooLong { from: "the reader".into() }))
        }
        Keys::Url(url) => fetch(url).await,
    }
}

/// Reads a file at once; used at the start, where waiting is right.
pub(super) fn read_file(path: &std::path::Path) -> Result<String, SourceError> {
    std::fs::read_to_string(path)
        .map_err(|source| SourceError::File { path: path.to_path_buf(), source })
}

async fn fetch(url: &str) -> Result<String, SourceError> {
    let failed = |source| SourceError::Fetch { url: url.to_owned(), source };
    let client = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(failed)?;
    let mut response = client.get(url).send().await.map_err(failed)?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(SourceError::Status { url: url.to_owned(), status });
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err(SourceError::TooLong { from: url.to_owned() });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
