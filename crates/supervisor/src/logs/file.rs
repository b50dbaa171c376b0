//! A log file that does not grow without bound.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Size at which a file is put aside. With the one put aside before, a part's logs take at most
/// 20 MiB, and one chunk of at most 64 KiB more.
pub(crate) const MOST_BYTES: u64 = 10 * 1024 * 1024;

/// Where the file before this one went.
pub(crate) fn previous(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// Appends to a file; when it is full, puts it aside as `<name>.log.1` and begins a new one.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    most_bytes: u64,
}

impl LogFile {
    /// Opens the file, at its end.
    pub(crate) fn open(path: &Path, most_bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, most_bytes })
    }

    /// Appends whole lines.
    pub(crate) fn append(&mut self, text: &str) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + text.len() as u64 > self.most_bytes {
            std::fs::rename(&self.path, previous(&self.path))?;
            *self = Self::open(&self.path, self.most_bytes)?;
        }
        self.file.write_all(text.as_bytes())?;
        self.bytes += text.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_hold_the_last_lines_within_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = LogFile::open(&path, 100).unwrap();
        for n in 0..100 {
            log.append(&format!("line {n:04}\n")).unwrap();
        }
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let (old, new) = (read(&previous(&path)), read(&path));
        assert!(old.len() <= 100 && new.len() <= 100);
        assert!((old + &new).ends_with("line 0098\nline 0099\n"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn goes_on_where_an_earlier_run_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        LogFile::open(&path, 100).unwrap().append("one\n").unwrap();
        LogFile::open(&path, 100).unwrap().append("two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }
}
