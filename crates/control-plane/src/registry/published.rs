//! The registry as it is committed, and who waits for its next change.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::{Delta, Record, State, Topic, Wakers, Waking};

/// The registry as it is committed; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: RwLock<State>,
    wakers: Wakers,
    /// Whether the latest commit succeeded. Relaxed: nothing else is read by it.
    is_writable: AtomicBool,
}

impl Published {
    pub(crate) fn new(state: State) -> Self {
        let (wakers, is_writable) = (Wakers::default(), AtomicBool::new(true));
        Self { shared: Arc::new(Shared { state: RwLock::new(state), wakers, is_writable }) }
    }

    /// What is committed. Held for moments only, since the writer waits for it.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.shared.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what was committed, tells the observer, then wakes whom it concerns.
    pub(crate) fn publish(&self, steps: &[Record], observer: &dyn Fn(&Delta)) {
        if steps.is_empty() {
            return;
        }
        let mut topics = HashSet::new();
        {
            let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
            for Record { index, deltas } in steps {
                topics.extend(state.apply(deltas, *index));
            }
        }
        steps.iter().flat_map(|step| &step.deltas).for_each(observer);
        topics.iter().for_each(|topic| self.shared.wakers.wake(topic));
    }

    /// Waits for changes of a topic from now on.
    pub(crate) fn subscribe(&self, topic: Topic) -> Waking {
        self.shared.wakers.subscribe(topic)
    }

    /// Whether the disk took what was written last.
    pub(crate) fn is_writable(&self) -> bool {
        self.shared.is_writable.load(Ordering::Relaxed)
    }

    pub(crate) fn set_writable(&self, is_writable: bool) {
        self.shared.is_writable.store(is_writable, Ordering::Relaxed);
    }
}
