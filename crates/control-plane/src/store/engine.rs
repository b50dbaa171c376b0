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
        self.write_seen(change, |_| ()).await
    }

    /// The same; `seen` is called once it is on the disk, also when the caller has gone away.
    ///
    /// Not cancel safe: a dropped call may have been carried out.
    pub(crate) async fn write_seen<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Turn<'_>) -> T + Send + 'static,
        seen: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, SubmitError> {
        match self.store.write_registry(change, seen).await {
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio_util::task::TaskTracker;

    use crate::etcd::options;
    use crate::registry::Limits;
    use crate::settings::EtcdSettings;
    use crate::store::{Opened, Own, open_store};

    #[tokio::test]
    async fn what_is_written_is_seen_also_when_the_caller_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let own = Own { node: "n".to_owned(), address: "127.0.0.1".to_owned() };
        let options = options(&EtcdSettings::default());
        let path = folder.path().to_owned();
        let open = move || open_store(&path, options, Limits::default(), &own, |_| ());
        let opened = tokio::task::spawn_blocking(open).await.unwrap();
        let Opened { engine, writer, .. } = opened.unwrap();
        let tasks = TaskTracker::new();
        tasks.spawn(writer.run());
        let (tell, told) = tokio::sync::oneshot::channel();
        let seen = move |number: &u64| _ = tell.send(*number);
        let mut call = Box::pin(engine.write_seen(|_| 7, seen));
        assert!(call.as_mut().now_or_never().is_none(), "it has to wait for the disk");
        drop(call);
        assert_eq!(told.await, Ok(7));
    }
}
