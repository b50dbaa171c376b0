//! The journal on a thread of its own, so that nothing else keeps it waiting.

use std::io;
use std::sync::mpsc;

use tokio::sync::oneshot;

use super::{Journal, LogError};

type Job = Box<dyn FnOnce(&mut Journal) + Send>;

/// Jobs that wait. The writer gives one at a time and waits for it.
const QUEUE: usize = 1;

/// The journal on its thread; the folder is free again when that has ended.
#[derive(Debug)]
pub(crate) struct JournalThread {
    jobs: mpsc::SyncSender<Job>,
    ended: oneshot::Receiver<()>,
}

impl JournalThread {
    pub(crate) fn start(journal: Journal) -> io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel::<Job>(QUEUE);
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("journal".to_owned());
        thread.spawn(move || {
            // Dropped after the journal.
            let _end = end;
            let mut journal = journal;
            queue.into_iter().for_each(|job| job(&mut journal));
        })?;
        Ok(Self { jobs, ended })
    }

    /// Does this with the journal and waits for it.
    ///
    /// Not cancel safe: a dropped call may be carried out.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Journal) -> T + Send + 'static,
    ) -> Result<T, LogError> {
        self.give(job)?.await.map_err(|_| LogError::Lost)
    }

    /// The same where waiting keeps nobody else waiting.
    pub(crate) fn run_blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Journal) -> T + Send + 'static,
    ) -> Result<T, LogError> {
        self.give(job)?.blocking_recv().map_err(|_| LogError::Lost)
    }

    /// Waits for its end.
    pub(crate) async fn end(self) {
        drop(self.jobs);
        // Only the sender's drop says it.
        let _ended = self.ended.await;
    }

    fn give<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Journal) -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<T>, LogError> {
        let (reply, answer) = oneshot::channel();
        let job = move |journal: &mut Journal| {
            let _gone = reply.send(job(journal));
        };
        self.jobs.send(Box::new(job)).map_err(|_| LogError::Lost)?;
        Ok(answer)
    }
}
