//! One task for each watched service, however many watch it: for backends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use regatta_core::ServiceName;
use tokio_util::task::TaskTracker;

use crate::{Publisher, Watch};

/// The services of a backend that are watched now, each with the task that keeps its set true.
///
/// A task is dropped when nobody watches its service any more, and begun anew with the next watch.
/// Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Polls {
    watched: Arc<Mutex<HashMap<ServiceName, Arc<Publisher>>>>,
    tasks: TaskTracker,
}

impl Polls {
    /// Watches a service; `poll` makes the task if nobody watches it yet. Needs the context of a
    /// tokio runtime.
    pub fn watch<F>(&self, service: &ServiceName, poll: impl FnOnce(Arc<Publisher>) -> F) -> Watch
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut watched = lock(&self.watched);
        if let Some(publisher) = watched.get(service) {
            return publisher.watch();
        }
        let publisher = Arc::new(Publisher::default());
        let watch = publisher.watch();
        watched.insert(service.clone(), Arc::clone(&publisher));
        let poll = poll(Arc::clone(&publisher));
        let (watched, service) = (Arc::clone(&self.watched), service.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = poll => (),
                () = left_alone(&watched, &service, &publisher) => (),
            }
        });
        watch
    }

    /// How many services are watched now.
    pub fn len(&self) -> usize {
        lock(&self.watched).len()
    }

    /// Whether no service is watched now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Waits until nobody watches, and then makes room for a new poll.
async fn left_alone(
    watched: &Mutex<HashMap<ServiceName, Arc<Publisher>>>,
    service: &ServiceName,
    publisher: &Publisher,
) {
    loop {
        publisher.idle().await;
        let mut watched = lock(watched);
        // Someone may have come between the wake-up and the lock.
        if publisher.is_idle() {
            watched.remove(service);
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each holder changes one entry, so the map is whole even after a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::InstanceSet;

    #[tokio::test]
    async fn a_service_is_polled_once_and_no_longer_than_it_is_watched() {
        let (polls, begun) = (Polls::default(), Arc::new(AtomicU32::new(0)));
        let name: ServiceName = "users".parse().unwrap();
        let watch = || {
            let begun = Arc::clone(&begun);
            polls.watch(&name, |publisher| async move {
                begun.fetch_add(1, Ordering::SeqCst);
                publisher.publish(InstanceSet::fresh(vec![]));
                std::future::pending().await
            })
        };
        let watches = [watch(), watch()];
        for watch in &watches {
            assert!(watch.first(std::time::Duration::MAX).await.is_known());
        }
        assert_eq!((polls.len(), begun.load(Ordering::SeqCst)), (1, 1));
        drop(watches);
        while !polls.is_empty() {
            tokio::task::yield_now().await;
        }
        let again = watch();
        assert!(again.first(std::time::Duration::MAX).await.is_known());
        assert_eq!((polls.len(), begun.load(Ordering::SeqCst)), (1, 2));
    }
}
