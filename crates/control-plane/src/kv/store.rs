//! The committed state, for those who read, write and watch.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::{Notify, mpsc, oneshot};

use super::error::Rejection;
use super::feed::{Feed, Step, Wanted};
use super::hub::Hub;
use super::log::LogError;
use super::query::{Answer, Query};
use super::range::KeyRange;
use super::state::State;
use super::transition::Transition;
use crate::metrics::{Histogram, Text};
use crate::registry::Turn;

/// Requests that wait for the writer; further callers wait in their own call.
pub(super) const QUEUE: usize = 4096;

/// The committed state and the way to change it; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    shared: Arc<Shared>,
    changes: mpsc::Sender<Submitted>,
}

/// What readers and the writer share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Ahead of what is committed by the group in work; readers look at `committed` at most.
    state: RwLock<State>,
    /// Release by the writer, acquire by readers: who sees the revision sees its changes.
    committed: AtomicI64,
    /// Relaxed, both: shown, nothing is read by them.
    pub(super) disk_bytes: AtomicU64,
    pub(super) is_writable: AtomicBool,
    /// How long each group's write and sync took.
    pub(super) syncs: Histogram,
    /// Requests that were carried out in groups.
    pub(super) grouped: AtomicU64,
    /// Consul's sessions that ended with their time.
    pub(super) expired: AtomicU64,
    pub(super) hub: Hub,
}

/// A change that waits for its turn. It runs on the state, and what it returns is called once that
/// is on the disk, or is not. Without a turn it answers at once why there is none.
pub(super) enum Submitted {
    Keys(OfKeys),
    Registry(OfRegistry),
    /// No change: to be looked at between two groups.
    Look(Look),
}
pub(super) type Look = Box<dyn FnOnce(Offered<&State>) + Send>;
type OfKeys = Box<dyn FnOnce(Offered<&mut Transition<'_>>) -> Option<Answered> + Send>;
type OfRegistry = Box<dyn FnOnce(Offered<&mut Turn<'_>>) -> Option<Answered> + Send>;
pub(super) type Offered<T> = Result<T, Arc<LogError>>;
pub(super) type Answered = Box<dyn FnOnce(Result<(), Arc<LogError>>) + Send>;

/// A request was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Nothing was changed, unless the disk failed in its last step.
    #[error("the store cannot write")]
    Log(#[source] Arc<LogError>),
    #[error("etcdserver: server stopped")]
    Stopping,
}

/// An answer and the revision after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) revision: i64,
    pub(crate) value: T,
}

impl Store {
    pub(super) fn new(shared: Arc<Shared>) -> (Self, mpsc::Receiver<Submitted>) {
        let (changes, receiver) = mpsc::channel(QUEUE);
        (Self { shared, changes }, receiver)
    }

    /// Carries a change out; when this returns `Ok`, it is on the disk and readers see it.
    ///
    /// Not cancel safe: a dropped call may have been carried out.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Transition<'_>) -> Result<T, Rejection> + Send + 'static,
    ) -> Result<At<T>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let change = move |offered: Offered<&mut Transition<'_>>| -> Option<Answered> {
            let transition = match offered {
                Ok(transition) => transition,
                Err(error) => {
                    let _gone = reply.send(Err(StoreError::Log(error)));
                    return None;
                }
            };
            let result = change(transition);
            let revision = transition.revision();
            Some(Box::new(move |written| {
                let result = match (written, result) {
                    (Err(error), _) => Err(StoreError::Log(error)),
                    (Ok(()), result) => {
                        let answer = result.map(|value| At { revision, value });
                        answer.map_err(StoreError::Rejected)
                    }
                };
                // A caller that went away does not want the answer.
                let _gone = reply.send(result);
            }))
        };
        let submitted = Submitted::Keys(Box::new(change));
        self.changes.send(submitted).await.map_err(|_| StoreError::Stopping)?;
        answer.await.unwrap_or(Err(StoreError::Stopping))
    }

    /// The same for the registry, which shares the log and has indexes of its own. `seen` is called
    /// once it is on the disk, also when the caller has gone away.
    ///
    /// Not cancel safe: a dropped call may have been carried out.
    pub(crate) async fn write_registry<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Turn<'_>) -> T + Send + 'static,
        seen: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let change = move |offered: Offered<&mut Turn<'_>>| -> Option<Answered> {
            let turn = match offered {
                Ok(turn) => turn,
                Err(error) => {
                    let _gone = reply.send(Err(StoreError::Log(error)));
                    return None;
                }
            };
            let result = change(turn);
            Some(Box::new(move |written| {
                if written.is_ok() {
                    seen(&result);
                }
                // A caller that went away does not want the answer.
                let _gone = reply.send(written.map(|()| result).map_err(StoreError::Log));
            }))
        };
        let submitted = Submitted::Registry(Box::new(change));
        self.changes.send(submitted).await.map_err(|_| StoreError::Stopping)?;
        answer.await.unwrap_or(Err(StoreError::Stopping))
    }

    /// A copy of the state between two groups: nothing in it is uncommitted, leases and alarms
    /// neither. Shares keys and values with the store.
    ///
    /// Cancel safe.
    pub(crate) async fn copy(&self) -> Result<State, StoreError> {
        let (reply, answer) = oneshot::channel();
        let look = move |offered: Offered<&State>| {
            // A caller that went away does not want the answer.
            let _gone = reply.send(offered.cloned().map_err(StoreError::Log));
        };
        let submitted = Submitted::Look(Box::new(look));
        self.changes.send(submitted).await.map_err(|_| StoreError::Stopping)?;
        answer.await.unwrap_or(Err(StoreError::Stopping))
    }

    /// Answers a query from what is committed.
    pub(crate) fn query(&self, query: &Query) -> Result<At<Answer>, Rejection> {
        self.read(|state, revision| Ok(At { revision, value: state.query(query, revision)? }))
    }

    /// Looks at the state, of which the given revision is the latest that is committed. `read` must
    /// be short, since the writer waits for it.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&State, i64) -> T) -> T {
        let state = self.shared.read();
        // After the lock: what is committed by now is in the state.
        let revision = self.shared.committed();
        read(&state, revision)
    }

    /// The latest revision that is committed.
    pub(crate) fn revision(&self) -> i64 {
        self.shared.committed()
    }

    /// Up to which revision every feed knows whether it has something to read. Behind
    /// [`Store::revision`] for moments.
    pub(crate) fn told(&self) -> i64 {
        self.shared.hub.told()
    }

    /// Watches a range from a revision on, or from the next one. Answers the feed to step through
    /// when `wake` is notified, and the latest revision.
    pub(crate) fn watch(
        &self,
        range: KeyRange,
        wanted: Wanted,
        from: Option<i64>,
        wake: Arc<Notify>,
    ) -> (Feed, i64) {
        let (place, latest) = self.shared.hub.register(range, from, wake);
        (Feed::new(place, wanted, from.unwrap_or(latest + 1)), latest)
    }

    /// Reads the next step of a feed, and the latest revision that it can have seen.
    pub(crate) fn step(&self, feed: &mut Feed) -> At<Step> {
        let state = self.shared.read();
        let mut revision = 0;
        let value = feed.step(&state, || {
            revision = self.shared.committed();
            revision
        });
        At { revision, value }
    }

    /// What the store takes on the disk, in bytes.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.shared.disk_bytes.load(Ordering::Relaxed)
    }

    /// Whether the disk took what was written last.
    pub(crate) fn is_writable(&self) -> bool {
        self.shared.is_writable.load(Ordering::Relaxed)
    }

    /// How many watch.
    pub(crate) fn watchers(&self) -> usize {
        self.shared.hub.len()
    }

    /// Adds the store's figures.
    pub(crate) fn figures(&self, text: &mut Text) {
        self.read(|state, revision| {
            let mut gauge = |name: &str, help: &str, value: u64| {
                text.gauge(&format!("regatta_store_{name}"), help, value);
            };
            let size = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
            let number = |number: i64| u64::try_from(number).unwrap_or_default();
            gauge("revision", "The latest revision.", number(revision));
            gauge("compacted_revision", "Reads before it are refused.", number(state.compacted()));
            gauge(
                "keys",
                "Keys, those deleted but not compacted included.",
                size(state.key_count()),
            );
            gauge("bytes", "Memory of all versions, about.", size(state.bytes()));
            gauge(
                "history_bytes",
                "Of that, versions not the latest.",
                size(state.history_bytes()),
            );
            gauge("leases", "Leases.", size(state.leases().len()));
            gauge("alarms", "Alarms raised.", size(state.alarms().len()));
        });
        let relaxed = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (watchers, behind) = (self.watchers(), self.shared.hub.behind());
        text.gauge("regatta_store_watchers", "Watches.", watchers);
        text.gauge("regatta_store_slow_watchers", "Watches with something unread.", behind);
        text.gauge(
            "regatta_store_disk_bytes",
            "Bytes on the disk.",
            relaxed(&self.shared.disk_bytes),
        );
        let is_writable = u8::from(self.is_writable());
        text.gauge("regatta_store_writable", "1: the disk took the last write.", is_writable);
        let name = "regatta_store_grouped_requests_total";
        text.family(name, "counter", "Changes that were committed in groups.");
        text.sample(name, "", relaxed(&self.shared.grouped));
        let name = "regatta_control_sessions_expired_total";
        text.family(name, "counter", "Sessions that ended with their time.");
        text.sample(name, "", relaxed(&self.shared.expired));
        let help = "Time to write and sync one group.";
        self.shared.syncs.write(text, "regatta_store_sync_seconds", help);
    }
}

impl Shared {
    pub(super) fn new(state: State, disk_bytes: u64) -> Self {
        let revision = state.revision();
        Self {
            state: RwLock::new(state),
            committed: AtomicI64::new(revision),
            disk_bytes: AtomicU64::new(disk_bytes),
            is_writable: AtomicBool::new(true),
            syncs: Histogram::default(),
            grouped: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            hub: Hub::new(revision),
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn committed(&self) -> i64 {
        self.committed.load(Ordering::Acquire)
    }

    pub(super) fn commit(&self, revision: i64) {
        self.committed.store(revision, Ordering::Release);
    }
}

impl Submitted {
    /// Answers that nothing is written.
    pub(super) fn refuse(self, error: &Arc<LogError>) {
        let _answered = match self {
            Self::Keys(change) => change(Err(Arc::clone(error))),
            Self::Registry(change) => change(Err(Arc::clone(error))),
            Self::Look(look) => {
                look(Err(Arc::clone(error)));
                None
            }
        };
    }
}

impl std::fmt::Debug for Submitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Submitted").finish_non_exhaustive()
    }
}
