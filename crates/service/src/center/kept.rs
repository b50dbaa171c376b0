//! The last known settings of the center, in a file.
//!
//! A service that restarts while the center is away would fall back to values that were replaced
//! long ago: a limit raised in an outage, a feature switched off. So what was taken over last is
//! kept. It is not flushed to the disk: after a power cut an older file, or none, serves too.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use regatta_config::center::{Item, Known};
use serde::{Deserialize, Serialize};

use super::Found;

/// The file.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct File {
    /// The form of this file; 1.
    format: u32,
    shared: Part,
    own: Part,
}

#[derive(Serialize, Deserialize)]
struct Part {
    revision: u64,
    /// Key, value and revision of each item.
    items: Vec<(String, String, u64)>,
}

impl Kept {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// What is kept; none when there is no file, or none that can be read.
    pub(crate) fn read(&self) -> Option<Found> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return self.skip(&error),
        };
        let file: File = match serde_json::from_slice(&bytes) {
            Ok(file) => file,
            Err(error) => return self.skip(&error),
        };
        Some(Found { shared: file.shared.into(), own: file.own.into() })
    }

    fn skip(&self, error: &dyn std::error::Error) -> Option<Found> {
        let path = self.path.display();
        tracing::warn!(%path, %error, "the kept settings of the config center cannot be read");
        None
    }

    /// Replaces the file in one step. Nothing to keep makes no file.
    pub(crate) fn write(&self, found: &Found) {
        let is_empty = found.shared.items().is_empty() && found.own.items().is_empty();
        if is_empty && !self.path.exists() {
            return;
        }
        let file = File { format: 1, shared: (&found.shared).into(), own: (&found.own).into() };
        if let Err(error) = replace(&self.path, &file) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "the settings of the config center cannot be kept");
        }
    }
}

fn replace(path: &Path, file: &File) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Of one process only: two that share the file must not write into one another's.
    let next = path.with_extension(format!("{}.next", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(&next)?;
    opened.write_all(&serde_json::to_vec(file)?)?;
    drop(opened);
    std::fs::rename(&next, path)
}

impl From<Part> for Known {
    fn from(part: Part) -> Self {
        let item =
            |(key, value, revision): &(String, String, u64)| Item::new(key, value, *revision);
        Self::from_items(part.items.iter().map(item), part.revision)
    }
}

impl From<&Known> for Part {
    fn from(known: &Known) -> Self {
        let item = |item: &Item| (item.key.to_string(), item.value.to_string(), item.revision);
        Self { revision: known.revision(), items: known.items().values().map(item).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: &str) -> Found {
        let item = Item::new("/config/a/x", value, 7);
        Found { shared: Known::default(), own: Known::from_items([item], 9) }
    }

    #[test]
    fn what_was_kept_reads_back_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/a/kept.json");
        let kept = Kept::at(path.clone());
        assert!(kept.read().is_none());
        kept.write(&found("1"));
        kept.write(&found("2"));
        let read = kept.read().unwrap();
        assert_eq!((&read.own, read.revision()), (&found("2").own, 9));
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &std::fs::metadata(&path).unwrap().permissions(),
            );
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_to_keep_makes_no_file_and_empties_one() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::at(folder.path().join("kept.json"));
        kept.write(&Found::default());
        assert!(kept.read().is_none());
        kept.write(&found("1"));
        kept.write(&Found::default());
        assert!(kept.read().unwrap().own.items().is_empty());
    }

    #[test]
    fn a_damaged_file_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.json");
        std::fs::write(&path, "{\"format\": 1").unwrap();
        assert!(Kept::at(path).read().is_none());
    }
}
