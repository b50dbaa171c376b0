//! One writer that commits in groups; readers see what is committed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot};

use super::{Journal, JournalError, Wakers, Waking};
use crate::registry::{Command, Delta, Limits, Rejection, State, Topic, decide};

/// Commands that wait for the writer; further callers wait in their own call.
const QUEUE: usize = 4096;
/// Commands per commit. Enough for one fsync to serve every caller that waits in practice.
const GROUP: usize = 1024;

/// The committed state and the way to change it; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Submitted>,
}

/// The one that writes; runs until every [`Engine`] is dropped.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Submitted>,
    journal: Arc<Journal>,
    limits: Limits,
    /// The state that the next command sees: ahead of the committed one by the group in work.
    ahead: State,
    /// Told of each committed change, before its caller is.
    observer: Box<dyn Fn(&Delta) + Send + Sync>,
}

#[derive(Debug)]
struct Shared {
    state: RwLock<State>,
    wakers: Wakers,
    /// Whether the latest commit succeeded. Relaxed: nothing else is read by it.
    is_writable: AtomicBool,
}

struct Submitted {
    command: Command,
    reply: oneshot::Sender<Result<(), SubmitError>>,
}

/// A command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Nothing was changed, unless the disk failed in its last step.
    #[error("the store cannot write")]
    Journal(#[source] Arc<JournalError>),
    #[error("the control plane is stopping")]
    Stopping,
}

impl Engine {
    /// Serves this state; `observer` is told of each change once it is committed.
    pub(crate) fn new(
        journal: Journal,
        state: State,
        limits: Limits,
        observer: impl Fn(&Delta) + Send + Sync + 'static,
    ) -> (Self, Writer) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let ahead = state.clone();
        let shared = Arc::new(Shared {
            state: RwLock::new(state),
            wakers: Wakers::default(),
            is_writable: AtomicBool::new(true),
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            commands: receiver,
            journal: Arc::new(journal),
            limits,
            ahead,
            observer: Box::new(observer),
        };
        (Self { shared, commands: sender }, writer)
    }

    /// Carries a command out; when this returns `Ok`, it is on the disk and readers see it.
    ///
    /// Not cancel safe: a dropped call may have been carried out.
    pub(crate) async fn submit(&self, command: Command) -> Result<(), SubmitError> {
        let (reply, answer) = oneshot::channel();
        let submitted = Submitted { command, reply };
        self.commands.send(submitted).await.map_err(|_| SubmitError::Stopping)?;
        answer.await.unwrap_or(Err(SubmitError::Stopping))
    }

    /// Reads the committed state; `read` must be short, since the writer waits for it.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.shared.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the disk took what was written last.
    pub(crate) fn is_writable(&self) -> bool {
        self.shared.is_writable.load(Ordering::Relaxed)
    }

    /// Waits for changes of a topic from now on.
    pub(crate) fn subscribe(&self, topic: Topic) -> Waking {
        self.shared.wakers.subscribe(topic)
    }
}

impl Writer {
    /// Commits what comes until every [`Engine`] is dropped, and what is queued then.
    pub(crate) async fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP);
        while self.commands.recv_many(&mut group, GROUP).await > 0 {
            self.commit(&mut group).await;
        }
    }

    async fn commit(&mut self, group: &mut Vec<Submitted>) {
        let mut steps = Vec::new();
        let mut replies = Vec::with_capacity(group.len());
        for Submitted { command, reply } in group.drain(..) {
            let index = self.ahead.index() + 1;
            match decide(&self.ahead, &self.limits, command, index) {
                Ok(deltas) => {
                    let grows = deltas.iter().any(Delta::is_durable);
                    let index = if grows { index } else { self.ahead.index() };
                    self.ahead.apply(&deltas, index);
                    steps.push((deltas, index));
                    replies.push((reply, Ok(())));
                }
                Err(rejection) => replies.push((reply, Err(rejection))),
            }
        }
        let written = self.write(&steps).await;
        self.shared.is_writable.store(written.is_ok(), Ordering::Relaxed);
        match written {
            Ok(()) => {
                self.publish(&steps);
                for (reply, result) in replies {
                    // A caller that went away does not want the answer.
                    let _gone = reply.send(result.map_err(SubmitError::Rejected));
                }
            }
            Err(error) => {
                tracing::error!(error = %regatta_core::Chain(&*error), "cannot write the registry");
                self.ahead =
                    self.shared.state.read().unwrap_or_else(PoisonError::into_inner).clone();
                for (reply, _) in replies {
                    let _gone = reply.send(Err(SubmitError::Journal(Arc::clone(&error))));
                }
            }
        }
    }

    async fn write(&self, steps: &[(Vec<Delta>, u64)]) -> Result<(), Arc<JournalError>> {
        let durable = |delta: &&Delta| delta.is_durable();
        let deltas: Vec<_> =
            steps.iter().flat_map(|(deltas, _)| deltas).filter(durable).cloned().collect();
        if deltas.is_empty() {
            return Ok(());
        }
        let (journal, index) = (Arc::clone(&self.journal), self.ahead.index());
        let commit = tokio::task::spawn_blocking(move || journal.commit(&deltas, index));
        match commit.await {
            Ok(result) => result.map_err(Arc::new),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn publish(&self, steps: &[(Vec<Delta>, u64)]) {
        let mut topics = HashSet::new();
        {
            let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
            for (deltas, index) in steps {
                topics.extend(state.apply(deltas, *index));
            }
        }
        steps.iter().flat_map(|(deltas, _)| deltas).for_each(|delta| (self.observer)(delta));
        topics.iter().for_each(|topic| self.shared.wakers.wake(topic));
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("limits", &self.limits).finish_non_exhaustive()
    }
}
