//! The one task that changes the store: groups, their log, leases that end, compaction.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use super::entry::{Entry, Identity};
use super::log::{Journal, LogError, Recovered, Written};
use super::registrations::Registrations;
use super::retention::{self, Retention};
use super::store::{Answered, Shared, Store, Submitted};
use super::transition::{Limits, Transition};
use crate::registry;

/// Requests per commit. Enough for one sync to serve every caller that waits in practice.
const GROUP: usize = 1024;
/// How long what was compacted is kept for watchers that have not read it, and how often it is
/// looked whether they have.
const UNREAD: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

/// What the operator decides about the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) limits: Limits,
    /// How long a revision stays readable.
    pub(crate) history: Duration,
    /// Of memory; a longer history is cut in half.
    pub(crate) history_bytes: usize,
}

/// The one that writes; runs until every [`Store`] is dropped.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    changes: mpsc::Receiver<Submitted>,
    defragment: mpsc::Receiver<Waiting>,
    disk: Disk,
    registrations: Registrations,
    options: Options,
    retention: Retention,
    snapshot: Option<Snapshot>,
    /// Since when there is something compacted that somebody has to read.
    unread_since: Option<Instant>,
}

/// Whoever waits for a snapshot gets its file.
type Waiting = oneshot::Sender<Result<File, Arc<LogError>>>;

/// Asks the writer to give back the disk space of what was compacted.
#[derive(Clone, Debug)]
pub(crate) struct Defragmenter(mpsc::Sender<Waiting>);

#[derive(Debug)]
enum Disk {
    Ready(Box<Journal>),
    /// It failed in a way that only a new start can repair.
    Failed(Arc<LogError>),
}

/// A snapshot that is being written.
#[derive(Debug)]
struct Snapshot {
    task: JoinHandle<Result<Written, LogError>>,
    waiting: Option<Waiting>,
}

/// Opens the store in a folder.
pub(crate) fn open(
    folder: &Path,
    options: Options,
    now: Instant,
    fresh: Identity,
) -> Result<(Store, Writer, Defragmenter), LogError> {
    let Recovered { journal, state, registry, torn_bytes } = Journal::open(folder, now, fresh)?;
    if torn_bytes > 0 {
        tracing::warn!(
            torn_bytes,
            "took back a write of the key-value store that was cut and never acknowledged"
        );
    }
    let shared = Arc::new(Shared::new(state, journal.disk_bytes()));
    let (store, changes) = Store::new(Arc::clone(&shared));
    let (ask, defragment) = mpsc::channel(1);
    let retention = Retention::new(options.history);
    let disk = Disk::Ready(Box::new(journal));
    let writer = Writer {
        shared,
        changes,
        defragment,
        disk,
        registrations: Registrations::new(now, registry),
        options,
        retention,
        snapshot: None,
        unread_since: None,
    };
    Ok((store, writer, Defragmenter(ask)))
}

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

impl Writer {
    /// Serves the registry, too: within these limits, telling `observer` of each committed change.
    /// `first` is what it changes before anybody can ask, at this index or later. Reads and writes
    /// files.
    pub(crate) fn serve_registry(
        &mut self,
        limits: registry::Limits,
        observer: impl Fn(&registry::Delta) + Send + Sync + 'static,
        first_index: u64,
        first: impl FnOnce(&registry::State, u64) -> Vec<registry::Delta>,
    ) -> Result<registry::Published, LogError> {
        let entries = self.registrations.change(first_index, first);
        if let (Disk::Ready(journal), false) = (&mut self.disk, entries.is_empty()) {
            journal.append(&entries)?;
            self.registrations.publish();
        }
        Ok(self.registrations.serve(limits, observer))
    }

    /// Commits what comes until every [`Store`] is dropped, and what is queued then.
    pub(crate) async fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP);
        let mut sampling = tokio::time::interval(self.retention.interval());
        loop {
            let lease = self.shared.read().leases().next_deadline();
            let deadline = lease.into_iter().chain(self.registrations.next_deadline()).min();
            let expiry = sleep_until(deadline.unwrap_or_else(|| now() + UNREAD).into());
            let mut sampled = false;
            let can_snapshot = self.snapshot.is_none();
            tokio::select! {
                count = self.changes.recv_many(&mut group, GROUP) => if count == 0 { break },
                () = expiry, if deadline.is_some() => (),
                _ = sampling.tick() => sampled = true,
                () = tokio::time::sleep(LOOK), if self.unread_since.is_some() => (),
                ended = Snapshot::ended(&mut self.snapshot) => self.end_snapshot(ended),
                Some(reply) = self.defragment.recv(), if can_snapshot => self.begin_snapshot(Some(reply)),
            }
            self.commit(&mut group, sampled).await;
            let is_due = matches!(&self.disk, Disk::Ready(journal) if journal.wants_snapshot());
            if is_due && self.snapshot.is_none() {
                self.begin_snapshot(None);
            }
        }
        if let Some(snapshot) = self.snapshot.take() {
            // Whole or absent on the disk either way; what it would have replaced is still there.
            let _finished = snapshot.task.await;
        }
    }

    async fn commit(&mut self, group: &mut Vec<Submitted>, sampled: bool) {
        let mut entries = Vec::new();
        let mut answers = Vec::with_capacity(group.len());
        let before;
        {
            let mut state = self.shared.write();
            before = state.revision();
            let now = now();
            let mut transition =
                Transition::new(&mut state, &mut entries, self.options.limits, now);
            transition.expire();
            self.registrations.turn(now).expire();
            answers.extend(group.drain(..).map(|submitted| match submitted {
                Submitted::Keys(change) => change(&mut transition),
                Submitted::Registry(change) => change(&mut self.registrations.turn(now)),
            }));
            if sampled && let Some(old) = self.retention.sample(now, transition.revision()) {
                // Refused when a client has compacted further already.
                let _done_already = transition.compact(old);
            }
            // Not again before the last one has had its effect.
            let is_dropped = state.dropped() == state.compacted();
            if is_dropped && state.history_bytes() > self.options.history_bytes {
                let middle = retention::middle(state.compacted(), state.revision());
                let mut transition =
                    Transition::new(&mut state, &mut entries, self.options.limits, now);
                let _done_already = transition.compact(middle);
            }
        }
        entries.extend(self.registrations.entries());
        let (begun, is_written) = (now(), !entries.is_empty());
        let grouped = answers.len() as u64;
        let written = self.write(entries).await;
        if is_written {
            self.shared.syncs.observe(now().duration_since(begun));
            self.shared.grouped.fetch_add(grouped, Ordering::Relaxed);
        }
        self.shared.is_writable.store(written.is_ok(), Ordering::Relaxed);
        match written {
            Ok(()) => {
                self.publish(before);
                self.registrations.publish();
                answer_all(answers, &Ok(()));
            }
            Err(error) => {
                tracing::error!(error = %regatta_core::Chain(&*error), "cannot write the store");
                self.registrations.take_back(now());
                answer_all(answers, &Err(error));
            }
        }
    }

    /// Puts the entries on the disk. After a failure the state is again what was acknowledged.
    async fn write(&mut self, entries: Vec<Entry>) -> Result<(), Arc<LogError>> {
        if let Disk::Failed(error) = &self.disk {
            // The state may be ahead of what was acknowledged, so nothing is read from it either.
            return Err(Arc::clone(error));
        }
        if entries.is_empty() {
            return Ok(());
        }
        let journal = match std::mem::replace(&mut self.disk, Disk::Failed(lost())) {
            Disk::Ready(journal) => journal,
            Disk::Failed(error) => {
                self.disk = Disk::Failed(Arc::clone(&error));
                return Err(error);
            }
        };
        let at = now();
        let append = move || {
            let mut journal = journal;
            match journal.append(&entries) {
                Ok(()) => (Ok(()), Ok((journal, None))),
                Err(error) => {
                    let recovered = journal.recover_after_failure(at);
                    let recovered = recovered
                        .map(|Recovered { journal, state, .. }| (Box::new(journal), Some(state)));
                    (Err(error), recovered)
                }
            }
        };
        let (written, journal) = match tokio::task::spawn_blocking(append).await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        match journal {
            Ok((journal, state)) => {
                self.shared.disk_bytes.store(journal.disk_bytes(), Ordering::Relaxed);
                self.disk = Disk::Ready(journal);
                if let Some(state) = state {
                    *self.shared.write() = state;
                }
            }
            Err(error) => self.disk = Disk::Failed(Arc::new(error)),
        }
        written.map_err(Arc::new)
    }

    fn publish(&mut self, before: i64) {
        {
            let state = self.shared.read();
            let latest = state.revision();
            self.shared.commit(latest);
            // In the order of the revisions, after readers can see them.
            for (revision, keys) in state.changed(before + 1, latest) {
                self.shared.hub.tell(revision, keys);
            }
            if state.dropped() == state.compacted() {
                self.unread_since = None;
                return;
            }
        }
        // Watchers were told of it, but may not have come to read it.
        let since = *self.unread_since.get_or_insert_with(now);
        let is_late = now().duration_since(since) >= UNREAD;
        let unread = if is_late { None } else { self.shared.hub.oldest_unread() };
        let mut state = self.shared.write();
        state.drop_compacted(unread);
        if state.dropped() == state.compacted() {
            self.unread_since = None;
        }
    }

    fn begin_snapshot(&mut self, waiting: Option<Waiting>) {
        let begun = match &mut self.disk {
            Disk::Ready(journal) => {
                let registry = self.registrations.committed();
                journal.begin_snapshot(&self.shared.read(), registry).map_err(Arc::new)
            }
            Disk::Failed(error) => Err(Arc::clone(error)),
        };
        match begun {
            Ok(job) => {
                let task = tokio::task::spawn_blocking(move || job.run());
                self.snapshot = Some(Snapshot { task, waiting });
            }
            Err(error) => answer(waiting, Err(error)),
        }
    }

    fn end_snapshot(&mut self, result: Result<Written, LogError>) {
        let waiting = self.snapshot.take().and_then(|snapshot| snapshot.waiting);
        let result = result.map_err(Arc::new);
        if let (Ok(written), Disk::Ready(journal)) = (&result, &mut self.disk) {
            journal.end_snapshot(written.bytes);
            self.shared.disk_bytes.store(journal.disk_bytes(), Ordering::Relaxed);
        }
        answer(waiting, result.map(|written| written.file));
    }
}

impl Snapshot {
    /// Waits for the one that is being written; for ever when there is none.
    async fn ended(snapshot: &mut Option<Self>) -> Result<Written, LogError> {
        match snapshot {
            None => std::future::pending().await,
            Some(snapshot) => match (&mut snapshot.task).await {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            },
        }
    }
}

fn answer(waiting: Option<Waiting>, result: Result<File, Arc<LogError>>) {
    match (waiting, result) {
        (Some(waiting), result) => _ = waiting.send(result),
        (None, Err(error)) => {
            tracing::error!(error = %regatta_core::Chain(&*error), "cannot write a snapshot of the key-value store; its log goes on growing");
        }
        (None, Ok(_)) => (),
    }
}

fn answer_all(answers: Vec<Answered>, result: &Result<(), Arc<LogError>>) {
    for answered in answers {
        answered(result.clone());
    }
}

/// Stands in while the journal is lent to the blocking thread.
fn lost() -> Arc<LogError> {
    Arc::new(LogError::Lost)
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
