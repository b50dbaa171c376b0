//! Snapshots: one at a time, asked for or due, and later when they fail.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::log::{LogError, SnapshotJob, Written};
use super::pauses::Pauses;

/// Pauses before a snapshot that is due is tried again, since each attempt copies the state and
/// takes room on a disk that may have none.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const MOST_PAUSE: Duration = Duration::from_secs(600);

/// Whoever waits for a snapshot gets its file.
pub(super) type Waiting = oneshot::Sender<Result<File, Arc<LogError>>>;

/// Asks the writer to give back the disk space of what was compacted.
#[derive(Clone, Debug)]
pub(crate) struct Defragmenter(mpsc::Sender<Waiting>);

impl Defragmenter {
    /// Writes a snapshot and removes the logs before it. Answers when that is done; one that runs
    /// already is waited for first.
    pub(crate) async fn run(&self) -> Result<(), Arc<LogError>> {
        // A writer that ends has nothing left to defragment.
        self.snapshot().await.map_or(Ok(()), |written| written.map(|_| ()))
    }

    /// The same, and the snapshot's file: all that was acknowledged before this was asked for.
    /// None from a writer that ends.
    pub(crate) async fn snapshot(&self) -> Option<Result<File, Arc<LogError>>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(reply).await.ok()?;
        answer.await.ok()
    }
}

/// The snapshot that is being written, and who wants the next one.
#[derive(Debug)]
pub(super) struct Snapshots {
    asked: mpsc::Receiver<Waiting>,
    running: Option<Running>,
    pauses: Pauses,
}

#[derive(Debug)]
struct Running {
    task: JoinHandle<Result<Written, LogError>>,
    waiting: Option<Waiting>,
    gives_way: Arc<AtomicBool>,
    revision: i64,
}

/// What happened to snapshots.
#[derive(Debug)]
pub(super) enum Turn {
    Asked(Waiting),
    Ended(Ended),
}

/// A snapshot that was written, or was not, and who waits for it.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) result: Result<Written, Arc<LogError>>,
    pub(super) waiting: Option<Waiting>,
}

impl Snapshots {
    pub(super) fn new() -> (Defragmenter, Self) {
        let (ask, asked) = mpsc::channel(1);
        let pauses = Pauses::new(FIRST_PAUSE, MOST_PAUSE);
        (Defragmenter(ask), Self { asked, running: None, pauses })
    }

    /// Whether one that is due may begin.
    pub(super) fn may_begin(&self, now: Instant) -> bool {
        self.running.is_none() && self.pauses.is_over(now)
    }

    /// What the one that is being written is a snapshot of: until it is written, what was there
    /// then is needed.
    pub(super) fn revision(&self) -> Option<i64> {
        self.running.as_ref().map(|running| running.revision)
    }

    /// Waits for the end of the one that is being written, else for somebody who wants one.
    ///
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Turn {
        if let Some(ended) = self.ended().await {
            return Turn::Ended(ended);
        }
        match self.asked.recv().await {
            Some(waiting) => Turn::Asked(waiting),
            // Nobody is left who could ask.
            None => std::future::pending().await,
        }
    }

    /// Waits for the one that is being written, if there is one.
    ///
    /// Cancel safe.
    pub(super) async fn ended(&mut self) -> Option<Ended> {
        let running = self.running.as_mut()?;
        let result = match (&mut running.task).await {
            Ok(result) => result.map_err(Arc::new),
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Before it began: it stood in line for a thread.
                Err(_) => Err(Arc::new(LogError::GaveWay)),
            },
        };
        let waiting = self.running.take().and_then(|running| running.waiting);
        Some(Ended { result, waiting })
    }

    /// Writes one, for whoever waits for it.
    pub(super) fn begin(&mut self, job: SnapshotJob, waiting: Option<Waiting>) {
        let (gives_way, revision) = (Arc::clone(&job.gives_way), job.revision);
        let task = tokio::task::spawn_blocking(move || job.run());
        self.running = Some(Running { task, waiting, gives_way, revision });
    }

    /// Cuts the one that is being written: the log needs the room that it takes.
    pub(super) fn give_way(&self) {
        if let Some(running) = &self.running {
            running.gives_way.store(true, Ordering::Relaxed);
            running.task.abort();
        }
    }

    /// One has ended, or could not begin.
    pub(super) fn end(&mut self, ended: Ended, now: Instant) {
        let Ended { result, waiting } = ended;
        match &result {
            Ok(_) => self.pauses.succeeded(),
            Err(error) => {
                self.pauses.failed(now);
                tracing::error!(error = %regatta_core::Chain(&**error), "cannot write a snapshot of the key-value store; its log goes on growing");
            }
        }
        if let Some(waiting) = waiting {
            let _gone = waiting.send(result.map(|written| written.file));
        }
    }
}
