//! Takes a part's output to its file, to the last lines, and to whoever listens.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::broadcast;

use super::file::MOST_BYTES;
use super::{LogFile, Record, Ring, Splitter, Stream};
use crate::clock;
use crate::event::Event;

/// Lines kept in memory of each part, for messages about its end.
const KEPT_LINES: usize = 200;
/// Bytes kept in memory of each part.
const KEPT_BYTES: usize = 64 * 1024;
/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// The output of one part over all its processes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    part: Arc<str>,
    inner: Arc<Mutex<Inner>>,
    events: broadcast::Sender<Event>,
}

#[derive(Debug)]
struct Inner {
    ring: Ring,
    /// `None` once writing failed: a full disk must not end the system.
    file: Option<LogFile>,
}

impl Journal {
    /// Opens the part's log file.
    pub(crate) fn open(
        part: &str,
        path: &Path,
        events: broadcast::Sender<Event>,
    ) -> std::io::Result<Self> {
        let file = Some(LogFile::open(path, MOST_BYTES)?);
        let inner = Inner { ring: Ring::new(KEPT_LINES, KEPT_BYTES), file };
        Ok(Self { part: part.into(), inner: Arc::new(Mutex::new(inner)), events })
    }

    /// Reads an output to its end.
    pub(crate) async fn read(self, stream: Stream, mut output: impl AsyncRead + Unpin) {
        let mut splitter = Splitter::default();
        let mut chunk = vec![0; CHUNK];
        while let Ok(count @ 1..) = output.read(&mut chunk).await {
            self.take(stream, splitter.feed(&chunk[..count]));
        }
        self.take(stream, splitter.finish().into_iter().collect());
    }

    /// The last lines of the present process.
    pub(crate) fn last(&self, count: usize) -> Vec<String> {
        self.lock().ring.last(count)
    }

    /// Forgets the lines of the process before; its file keeps them.
    pub(crate) fn begin(&self) {
        self.lock().ring.clear();
    }

    fn take(&self, stream: Stream, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        let at = clock::wall_text();
        let mut text = String::new();
        let mut inner = self.lock();
        for line in lines {
            let record =
                Record { at: at.clone(), part: self.part.to_string(), stream, line: line.clone() };
            text.push_str(&record.to_text());
            text.push('\n');
            inner.ring.push(line);
            // Nobody listening is no error.
            let _nobody = self.events.send(Event::Log(record));
        }
        let written = inner.file.as_mut().map_or(Ok(()), |file| file.append(&text));
        if let Err(error) = written {
            inner.file = None;
            let message = format!("the log file of {} is given up: {error}", self.part);
            let _nobody = self.events.send(Event::Warning { message });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
