//! Gets a backup from a running control plane.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs;
use tokio::io::AsyncWriteExt;

use super::{BackupError, PATH, file};
use crate::{ClientTls, Secret, private};

/// How long the control plane may take to accept the connection, and how long to send anything.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// From where to where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Backup {
    /// Where Consul's interface of the control plane is, such as `http://127.0.0.1:8500`.
    pub url: String,
    /// The file to make; it must not exist.
    pub file: PathBuf,
    /// A token that may do everything; needed with access control. Default none.
    pub token: Option<Secret>,
    /// Whom to believe and who asks, for https.
    pub tls: ClientTls,
}

/// A backup that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Made {
    /// The size of the file.
    pub bytes: u64,
}

impl Backup {
    /// From a control plane without access control.
    pub fn new(url: impl Into<String>, file: impl Into<PathBuf>) -> Self {
        Self { url: url.into(), file: file.into(), token: None, tls: ClientTls::default() }
    }

    /// Makes the backup and checks it. The file has its name only when it is whole and on the disk;
    /// nobody but its owner may read it.
    ///
    /// # Errors
    ///
    /// [`BackupError::Exists`] when the file is there, [`BackupError::NoUrl`],
    /// [`BackupError::Foreign`] when no control plane of Regatta answers, [`BackupError::Tls`],
    /// [`BackupError::Unreachable`], [`BackupError::Refused`], [`BackupError::Damaged`] when the
    /// answer was cut, [`BackupError::Io`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may leave a file that ends in `.part`.
    pub async fn run(&self) -> Result<Made, BackupError> {
        if self.file.exists() {
            return Err(BackupError::Exists { path: self.file.clone() });
        }
        let is_url = self.url.starts_with("http://") || self.url.starts_with("https://");
        if !is_url || reqwest::Url::parse(&self.url).is_err() {
            return Err(BackupError::NoUrl { url: self.url.clone() });
        }
        let answer = self.ask().await?;
        let part = PathBuf::from(format!("{}.part", self.file.display()));
        let made = self.save(answer, &part).await;
        if made.is_err() {
            // What is left of it is of no use.
            let _left = fs::remove_file(&part).await;
        }
        made
    }

    async fn ask(&self) -> Result<reqwest::Response, BackupError> {
        let unreachable = |error: reqwest::Error| BackupError::Unreachable {
            url: self.url.clone(),
            source: error.without_url().into(),
        };
        let client = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT);
        let client = match self.url.starts_with("https:") {
            true => self.tls.add_to(client)?,
            false => client,
        };
        let client = client.build().map_err(unreachable)?;
        let mut request = client.get(format!("{}{PATH}", self.url.trim_end_matches('/')));
        if let Some(token) = &self.token {
            request = request.header("X-Consul-Token", token.expose());
        }
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        if status == reqwest::StatusCode::NOT_FOUND {
            return Err(BackupError::Foreign { url: self.url.clone() });
        }
        let said = answer.text().await.unwrap_or_default();
        let reason = match said.trim() {
            "" => status.to_string(),
            said => format!("{status}: {said}"),
        };
        Err(BackupError::Refused { url: self.url.clone(), reason })
    }

    async fn save(&self, mut answer: reqwest::Response, part: &Path) -> Result<Made, BackupError> {
        // One that was left may be readable by others.
        let _absent = fs::remove_file(part).await;
        let out = fs::OpenOptions::from(private::new_file()).open(part).await;
        let mut out = out.map_err(|error| failed(part, error))?;
        let cut = |error: reqwest::Error| BackupError::Unreachable {
            url: self.url.clone(),
            source: error.without_url().into(),
        };
        while let Some(chunk) = answer.chunk().await.map_err(cut)? {
            out.write_all(&chunk).await.map_err(|error| failed(part, error))?;
        }
        out.sync_all().await.map_err(|error| failed(part, error))?;
        drop(out);
        self.finish(part).map_err(|error| failed(&self.file, error))?
    }

    /// Gives a file that is whole its name, unless somebody else took that.
    fn finish(&self, part: &Path) -> std::io::Result<Result<Made, BackupError>> {
        let bytes = std::fs::metadata(part)?.len();
        if let Err(file::Wrong(reason)) = file::read(std::fs::File::open(part)?, |_| Ok(()))? {
            return Ok(Err(BackupError::Damaged { path: part.to_owned(), reason }));
        }
        // A second name, since a rename would replace what is there.
        match std::fs::hard_link(part, &self.file) {
            Ok(()) => (),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Ok(Err(BackupError::Exists { path: self.file.clone() }));
            }
            Err(error) => return Err(error),
        }
        std::fs::remove_file(part)?;
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Ok(Made { bytes }))
    }
}

fn failed(path: &Path, source: std::io::Error) -> BackupError {
    BackupError::Io { path: path.to_owned(), source }
}
