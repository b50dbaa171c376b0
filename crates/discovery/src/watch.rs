//! The latest set of one service, for many readers.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::InstanceSet;

/// One service under watch: reads the latest set without I/O or a lock.
///
/// Cheap to clone; a clone sees changes on its own. Dropping the last one lets the backend stop
/// asking about this service.
#[derive(Clone, Debug)]
pub struct Watch {
    current: Arc<ArcSwap<InstanceSet>>,
    changes: watch::Receiver<()>,
}

/// The backend's end of a [`Watch`].
#[derive(Debug)]
pub struct Publisher {
    current: Arc<ArcSwap<InstanceSet>>,
    changes: watch::Sender<()>,
}

impl Watch {
    /// The latest set. One atomic read and one count, so callers need no copy of their own.
    pub fn current(&self) -> Arc<InstanceSet> {
        self.current.load_full()
    }

    /// Waits for a set that this watch has not returned from here before, and returns it.
    ///
    /// Several changes in a row may be seen as one. A change of freshness alone counts too. Waits
    /// for ever when nothing will change any more (a static list, a backend that was stopped).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a change is not lost by dropping the future.
    pub async fn changed(&mut self) -> Arc<InstanceSet> {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.current()
    }

    /// Waits for the registry's first answer, at most so long, and returns what there is then.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: waiting changes nothing.
    pub async fn first(&self, timeout: Duration) -> Arc<InstanceSet> {
        // A clone, so that waiting here does not count as having seen the change.
        let mut watch = self.clone();
        watch.changes.mark_changed();
        let known = async { while !watch.changed().await.is_known() {} };
        let _too_late = tokio::time::timeout(timeout, known).await;
        self.current()
    }
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new(InstanceSet::unknown())
    }
}

impl Publisher {
    /// Starts with this set.
    pub fn new(set: InstanceSet) -> Self {
        Self { current: Arc::new(ArcSwap::from_pointee(set)), changes: watch::Sender::new(()) }
    }

    /// A new watch on this service.
    pub fn watch(&self) -> Watch {
        Watch { current: Arc::clone(&self.current), changes: self.changes.subscribe() }
    }

    /// Replaces the set and wakes the watches.
    pub fn publish(&self, set: InstanceSet) {
        self.current.store(Arc::new(set));
        self.changes.send_replace(());
    }

    /// Whether nobody watches now.
    pub fn is_idle(&self) -> bool {
        self.changes.receiver_count() == 0
    }

    /// Waits until nobody watches.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: waiting changes nothing.
    pub async fn idle(&self) {
        self.changes.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_ends_the_wait() {
        let publisher = Publisher::default();
        let watch = publisher.watch();
        let start = tokio::time::Instant::now();
        assert!(!watch.first(Duration::from_secs(5)).await.is_known());
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        let (set, ()) = tokio::join!(watch.first(Duration::from_secs(5)), async {
            publisher.publish(InstanceSet::fresh(vec![]));
        });
        assert!(set.is_known());
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_there_needs_no_wait() {
        let publisher = Publisher::new(InstanceSet::fresh(vec![]));
        drop(tokio::time::timeout(Duration::ZERO, publisher.watch().first(Duration::MAX)).await);
        let start = tokio::time::Instant::now();
        publisher.watch().first(Duration::from_secs(5)).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn each_clone_sees_the_change_and_a_gone_backend_changes_nothing() {
        let publisher = Publisher::default();
        let (mut one, mut two) = (publisher.watch(), publisher.watch());
        publisher.publish(InstanceSet::fresh(vec![]));
        assert_eq!(one.changed().await.generation, 1);
        assert_eq!(two.changed().await.generation, 1);
        drop(publisher);
        let waited = tokio::time::timeout(Duration::from_secs(60), one.changed()).await;
        assert!(waited.is_err());
        assert_eq!(one.current().generation, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn is_idle_when_the_last_watch_is_dropped() {
        let publisher = Publisher::default();
        let watch = publisher.watch();
        assert!(!publisher.is_idle());
        drop(watch);
        publisher.idle().await;
        assert!(publisher.is_idle());
    }
}
