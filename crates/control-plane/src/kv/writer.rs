//! The one task that changes the store: groups, their log, leases that end, compaction.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::disk::Disk;
use super::entry::{Entry, Identity};
use super::image::Image;
use super::log::{Journal, JournalThread, LogError, Recovered, SnapshotJob};
use super::registrations::Registrations;
use super::retention::{self, Retention};
use super::snapshots::{self, Defragmenter, Ended, Snapshots, Waiting};
use super::store::{Answered, Look, Shared, Store, Submitted};
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
    snapshots: Snapshots,
    disk: Disk,
    registrations: Registrations,
    options: Options,
    retention: Retention,
    /// Since when there is something compacted that somebody has to read.
    unread_since: Option<Instant>,
}

/// Opens the store in a folder. `fresh` is who it is if it is made; `drawn` a random number, kept
/// secret.
pub(crate) fn open(
    folder: &Path,
    options: Options,
    now: Instant,
    fresh: Identity,
    drawn: u64,
) -> Result<(Store, Writer, Defragmenter), LogError> {
    let Recovered { journal, state, registry, torn_bytes } =
        Journal::open(folder, now, fresh, drawn)?;
    if torn_bytes > 0 {
        tracing::warn!(
            torn_bytes,
            "took back a write of the key-value store that was cut and never acknowledged"
        );
    }
    let size = journal.size();
    let journal = JournalThread::start(journal)
        .map_err(|source| LogError::Io { folder: folder.to_owned(), source })?;
    let shared = Arc::new(Shared::new(state, size.bytes));
    let (store, changes) = Store::new(Arc::clone(&shared));
    let (defragmenter, snapshots) = Snapshots::new();
    let writer = Writer {
        shared,
        changes,
        snapshots,
        disk: Disk::new(journal, size),
        registrations: Registrations::new(now, registry),
        options,
        retention: Retention::new(options.history),
        unread_since: None,
    };
    Ok((store, writer, defragmenter))
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
        if !entries.is_empty() {
            self.disk.append_blocking(entries)?;
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
            let deadline = match self.disk.failure() {
                Some(_) => self.disk.retry_at(),
                None => lease.into_iter().chain(self.registrations.next_deadline()).min(),
            };
            let expiry = sleep_until(deadline.unwrap_or_else(|| now() + UNREAD).into());
            let mut sampled = false;
            tokio::select! {
                count = self.changes.recv_many(&mut group, GROUP) => if count == 0 { break },
                () = expiry, if deadline.is_some() => (),
                _ = sampling.tick() => sampled = true,
                () = tokio::time::sleep(LOOK), if self.unread_since.is_some() => (),
                turn = self.snapshots.next() => match turn {
                    snapshots::Turn::Asked(waiting) => self.begin_snapshot(Some(waiting)).await,
                    snapshots::Turn::Ended(ended) => self.end_snapshot(ended).await,
                },
            }
            if self.disk.retry_at().is_some_and(|at| at <= now()) {
                self.retry().await;
            }
            match self.disk.failure() {
                Some(error) => group.drain(..).for_each(|submitted| match submitted {
                    Submitted::Look(look) => self.show(look),
                    change => change.refuse(error),
                }),
                None => self.commit(&mut group, sampled).await,
            }
            let wants_snapshot = self.disk.failure().is_none() && self.disk.size().wants_snapshot;
            if wants_snapshot && self.snapshots.may_begin(now()) {
                self.begin_snapshot(None).await;
            }
        }
        // Whole or absent on the disk either way; what it would have replaced is still there.
        let _finished = self.snapshots.ended().await;
        self.disk.end().await;
    }

    async fn commit(&mut self, group: &mut Vec<Submitted>, sampled: bool) {
        let (mut entries, mut looks) = (Vec::new(), Vec::new());
        let mut answers = Vec::with_capacity(group.len());
        let before;
        {
            let mut state = self.shared.write();
            before = state.revision();
            let now = now();
            let mut transition =
                Transition::new(&mut state, &mut entries, self.options.limits, now);
            transition.expire();
            let expired = self.registrations.turn(now).expire();
            self.shared.expired.fetch_add(expired, Ordering::Relaxed);
            answers.extend(group.drain(..).filter_map(|submitted| match submitted {
                Submitted::Keys(change) => change(Ok(&mut transition)),
                Submitted::Registry(change) => change(Ok(&mut self.registrations.turn(now))),
                Submitted::Look(look) => {
                    looks.push(look);
                    None
                }
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
        let grouped = answers.len() as u64;
        match self.write(entries, grouped).await {
            Ok(()) => {
                self.publish(before);
                self.registrations.publish();
                answer_all(answers, &Ok(()));
            }
            Err(error) => {
                tracing::error!(error = %regatta_core::Chain(&*error), "cannot write the store; nothing is written until the disk takes it again");
                self.shared.is_writable.store(false, Ordering::Relaxed);
                self.registrations.take_back(now());
                answer_all(answers, &Err(error));
                self.take_back().await;
            }
        }
        looks.into_iter().for_each(|look| self.show(look));
    }

    /// Shows what is committed, unless a failed write is still in it.
    fn show(&self, look: Look) {
        match self.disk.failure().filter(|_| self.disk.is_ahead()) {
            Some(error) => look(Err(Arc::clone(error))),
            None => look(Ok(&self.shared.read())),
        }
    }

    /// Puts the entries on the disk.
    async fn write(&mut self, entries: Vec<Entry>, grouped: u64) -> Result<(), Arc<LogError>> {
        if entries.is_empty() {
            return Ok(());
        }
        let begun = now();
        let written = self.disk.append(entries, begun).await;
        self.shared.syncs.observe(now().duration_since(begun));
        self.shared.grouped.fetch_add(grouped, Ordering::Relaxed);
        self.shared.disk_bytes.store(self.disk.size().bytes, Ordering::Relaxed);
        written
    }

    /// After a failed write: makes the state what was acknowledged.
    async fn take_back(&mut self) {
        // It takes the room that the log needs; and it replaces files, which are read here.
        self.snapshots.give_way();
        if let Some(ended) = self.snapshots.ended().await {
            self.end_snapshot(ended).await;
        }
        match self.disk.reload(now()).await {
            Ok(state) => {
                *self.shared.write() = state;
                self.unread_since = None;
            }
            Err(error) => {
                tracing::error!(error = %regatta_core::Chain(&*error), "cannot read the store again; it is tried until it can be read");
            }
        }
    }

    /// Tries whether a disk that failed takes writes again.
    async fn retry(&mut self) {
        if self.disk.is_ahead() {
            self.take_back().await;
        }
        if self.disk.is_ahead() || self.disk.heal(now()).await.is_err() {
            return;
        }
        // Nobody could keep a lease alive meanwhile.
        self.shared.write().leases_mut().begin_anew(now());
        self.registrations.go_on(now());
        self.shared.is_writable.store(true, Ordering::Relaxed);
        tracing::info!("the store is written again");
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
        let needed = unread.into_iter().chain(self.snapshots.revision()).min();
        let mut state = self.shared.write();
        state.drop_compacted(needed);
        if state.dropped() == state.compacted() {
            self.unread_since = None;
        }
    }

    async fn begin_snapshot(&mut self, waiting: Option<Waiting>) {
        match self.disk.begin_snapshot().await {
            Ok(place) => {
                let shared = Arc::clone(&self.shared);
                let mut image = Image::new(&shared.read());
                let revision = shared.read().revision();
                let parts = Box::new(move || image.part(&shared.read()));
                let registry = self.registrations.committed().clone();
                let gives_way = Arc::default();
                let job = SnapshotJob { place, revision, parts, registry, gives_way };
                self.snapshots.begin(job, waiting);
            }
            Err(error) => self.snapshots.end(Ended { result: Err(error), waiting }, now()),
        }
    }

    async fn end_snapshot(&mut self, ended: Ended) {
        if let Ok(written) = &ended.result {
            self.disk.end_snapshot(written.bytes).await;
            self.shared.disk_bytes.store(self.disk.size().bytes, Ordering::Relaxed);
        }
        self.snapshots.end(ended, now());
    }
}

fn answer_all(answers: Vec<Answered>, result: &Result<(), Arc<LogError>>) {
    for answered in answers {
        answered(result.clone());
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
