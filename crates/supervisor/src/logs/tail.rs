//! Reads log files from their end, and what is added to them.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::file::previous;
use super::{Record, Splitter};

/// The last `count` records of several parts together, oldest first.
///
/// `files` are pairs of a part's name and its log file; a file that does not exist is empty.
///
/// # Errors
///
/// That of the file system.
pub fn last(files: &[(String, PathBuf)], count: usize) -> io::Result<Vec<Record>> {
    let mut records = Vec::new();
    for (part, path) in files {
        let mut text = String::new();
        for path in [previous(path), path.clone()] {
            text.push_str(&read_lossy(&path)?);
        }
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(count);
        records.extend(lines[from..].iter().map(|line| Record::from_text(part, line)));
    }
    // Stable: lines of one part with the same time stay in their order.
    records.sort_by(|a, b| a.at.cmp(&b.at));
    Ok(records.split_off(records.len().saturating_sub(count)))
}

fn read_lossy(path: &Path) -> io::Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// Follows one log file from where it ends now, over its being put aside.
#[derive(Debug)]
pub struct Tail {
    part: String,
    path: PathBuf,
    file: Option<File>,
    splitter: Splitter,
}

impl Tail {
    /// Begins at the present end of the file; one that does not exist yet, at its beginning.
    ///
    /// # Errors
    ///
    /// That of the file system.
    pub fn from_end(part: &str, path: &Path) -> io::Result<Self> {
        let mut file = open(path)?;
        if let Some(file) = &mut file {
            file.seek(SeekFrom::End(0))?;
        }
        let (part, path) = (part.to_owned(), path.to_owned());
        Ok(Self { part, path, file, splitter: Splitter::default() })
    }

    /// What was added since the last call.
    ///
    /// # Errors
    ///
    /// That of the file system.
    pub fn poll(&mut self) -> io::Result<Vec<Record>> {
        let mut lines = self.rest()?;
        let current = std::fs::metadata(&self.path).ok().map(|data| (data.dev(), data.ino()));
        let ours = match &self.file {
            Some(file) => file.metadata().ok().map(|data| (data.dev(), data.ino())),
            None => None,
        };
        if current.is_some() && current != ours {
            // Between reading and looking the old file may have got its last lines.
            lines.extend(self.rest()?);
            self.file = open(&self.path)?;
            lines.extend(self.rest()?);
        }
        Ok(lines.iter().map(|line| Record::from_text(&self.part, line)).collect())
    }

    fn rest(&mut self) -> io::Result<Vec<String>> {
        let mut bytes = Vec::new();
        if let Some(file) = &mut self.file {
            file.read_to_end(&mut bytes)?;
        }
        Ok(self.splitter.feed(&bytes))
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{LogFile, Stream};

    #[test]
    fn the_last_lines_of_several_parts_come_in_the_order_of_time() {
        let folder = tempfile::tempdir().unwrap();
        let a = log(folder.path(), "a", &["1 out a1", "3 out a3", "5 out a5"]);
        let b = log(folder.path(), "b", &["2 err b2", "4 err b4"]);
        let records = last(&[a, b, ("c".to_owned(), folder.path().join("c.log"))], 4).unwrap();
        let lines: Vec<_> = records.iter().map(|record| record.line.as_str()).collect();
        assert_eq!(lines, ["b2", "a3", "b4", "a5"]);
        assert_eq!(records[0].stream, Stream::Err);
    }

    #[test]
    fn follows_a_file_over_its_being_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut file = LogFile::open(&path, 40).unwrap();
        file.append("1 out before\n").unwrap();
        let mut tail = Tail::from_end("a", &path).unwrap();
        assert!(tail.poll().unwrap().is_empty());
        let mut seen = Vec::new();
        for n in 0..9 {
            file.append(&format!("2 out line{n}\n")).unwrap();
            seen.extend(tail.poll().unwrap().into_iter().map(|record| record.line));
        }
        assert_eq!(seen, (0..9).map(|n| format!("line{n}")).collect::<Vec<_>>());
    }

    #[test]
    fn waits_for_a_file_that_does_not_exist_yet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut tail = Tail::from_end("a", &path).unwrap();
        assert!(tail.poll().unwrap().is_empty());
        log(folder.path(), "a", &["1 out first"]);
        assert_eq!(tail.poll().unwrap()[0].line, "first");
    }

    fn log(folder: &Path, part: &str, lines: &[&str]) -> (String, PathBuf) {
        let path = folder.join(format!("{part}.log"));
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        (part.to_owned(), path)
    }
}
