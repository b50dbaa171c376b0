//! The way into the registry: commands go to the writer, readers see what is committed.

use std::sync::Arc;

use crate::kv::{LogError, Store, StoreError};
use crate::registry::{Command, Published, Rejection, State, Topic, Turn, Waking};

/// The committed registry and the way to change it; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    published: Published,
    store: Store,
}

/// A command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Nothing was changed, unless the disk failed in its last step.
    #[error("the store cannot write")]
    Log(#[source] Arc<LogError>),
    #[error("the control plane is stopping")]
    Stopping,
}

impl Engine {
    /// Reads what is published and writes through the store.
    pub(crate) fn new(published: Published, store: Store) -> Self {
        Self { published, store }
    }

    /// Carries a command out; when this returns `Ok`, it is on the disk and readers see it.
    ///
    /// Not cancel safe: a dropped call may have been carried out.
    pub(crate) async fn submit(&self, command: Command) -> Result<(), SubmitError> {
        Ok(self.write(move |turn| turn.command(command)).await??)
    }

    /// Carries out what this does with the registry; when this returns `Ok`, it is on the disk and
    /// readers see it.
    ///
    /// Not cancel safe: a dropped call may have been carried out.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Turn<'_>) -> T + Send + 'static,
    ) -> Result<T, SubmitError> {
        match self.store.write_registry(change).await {
            Ok(answer) => Ok(answer),
            Err(StoreError::Log(error)) => Err(SubmitError::Log(error)),
            Err(_) => Err(SubmitError::Stopping),
        }
    }

    /// Reads the committed state; `read` must be short, since the writer waits for it.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.published.state())
    }

    /// Whether the disk took what was written last.
    pub(crate) fn is_writable(&self) -> bool {
        self.published.is_writable()
    }

    /// Waits for changes of a topic from now on.
    pub(crate) fn subscribe(&self, topic: Topic) -> Waking {
        self.published.subscribe(topic)
    }
}
