//! The disk as the writer sees it: it takes writes, or fails and is tried again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::entry::Entry;
use super::log::{Journal, JournalThread, LogError, Place, Size};
use super::pauses::Pauses;
use super::state::State;

/// Pauses between attempts to write to a disk that failed: long enough to cost nothing, short
/// enough that nobody waits who has made room.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MOST_PAUSE: Duration = Duration::from_secs(5);

/// The log on its thread, and whether it takes what is written.
#[derive(Debug)]
pub(super) struct Disk {
    journal: JournalThread,
    size: Size,
    failure: Option<Arc<LogError>>,
    /// The state holds what was not acknowledged: from a failed write until it was made again.
    is_ahead: bool,
    pauses: Pauses,
}

impl Disk {
    pub(super) fn new(journal: JournalThread, size: Size) -> Self {
        let pauses = Pauses::new(FIRST_PAUSE, MOST_PAUSE);
        Self { journal, size, failure: None, is_ahead: false, pauses }
    }

    /// Why nothing is written, when that is so.
    pub(super) fn failure(&self) -> Option<&Arc<LogError>> {
        self.failure.as_ref()
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Whether the state holds what was not acknowledged.
    pub(super) fn is_ahead(&self) -> bool {
        self.is_ahead
    }

    /// When to try a disk that fails.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.pauses.until().filter(|_| self.failure.is_some())
    }

    /// Writes the entries as one group; when this returns, they are on the disk. After an error
    /// nothing is written until [`Disk::heal`].
    pub(super) async fn append(
        &mut self,
        entries: Vec<Entry>,
        now: Instant,
    ) -> Result<(), Arc<LogError>> {
        let append = move |journal: &mut Journal| (journal.append(&entries), journal.size());
        let written = self.journal.run(append).await.and_then(|(written, size)| {
            self.size = size;
            written
        });
        match written {
            Ok(()) => {
                self.pauses.succeeded();
                Ok(())
            }
            Err(error) => {
                self.is_ahead = true;
                Err(self.failed(error, now))
            }
        }
    }

    /// The same outside of any group and of the runtime's threads.
    pub(super) fn append_blocking(&mut self, entries: Vec<Entry>) -> Result<(), LogError> {
        let append = move |journal: &mut Journal| (journal.append(&entries), journal.size());
        let (written, size) = self.journal.run_blocking(append)?;
        self.size = size;
        written
    }

    /// Makes the keys' state again from what was acknowledged.
    pub(super) async fn reload(&mut self, now: Instant) -> Result<State, Arc<LogError>> {
        let reloaded = self.journal.run(move |journal| journal.reload(now)).await;
        let state = reloaded.and_then(|state| state).map_err(|error| self.failed(error, now))?;
        self.is_ahead = false;
        Ok(state)
    }

    /// Tries whether the disk takes writes again.
    pub(super) async fn heal(&mut self, now: Instant) -> Result<(), Arc<LogError>> {
        let healed = self.journal.run(Journal::heal).await;
        healed.and_then(|healed| healed).map_err(|error| self.failed(error, now))?;
        // The pause grows on until a group was written: there may be room for less than that.
        self.failure = None;
        Ok(())
    }

    /// Begins a log, for a snapshot of all before it.
    pub(super) async fn begin_snapshot(&mut self) -> Result<Place, Arc<LogError>> {
        if let Some(error) = &self.failure {
            return Err(Arc::clone(error));
        }
        let begun = self.journal.run(Journal::begin_snapshot).await;
        begun.and_then(|begun| begun).map_err(Arc::new)
    }

    /// A snapshot of this size has replaced the logs before it.
    pub(super) async fn end_snapshot(&mut self, bytes: u64) {
        let end = move |journal: &mut Journal| {
            journal.end_snapshot(bytes);
            journal.size()
        };
        if let Ok(size) = self.journal.run(end).await {
            self.size = size;
        }
    }

    /// Waits until the folder is free again.
    pub(super) async fn end(self) {
        self.journal.end().await;
    }

    fn failed(&mut self, error: LogError, now: Instant) -> Arc<LogError> {
        let error = Arc::new(error);
        self.failure = Some(Arc::clone(&error));
        self.pauses.failed(now);
        error
    }
}
