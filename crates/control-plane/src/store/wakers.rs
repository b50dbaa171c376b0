//! Wakes the queries that wait for a topic, and no others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::registry::Topic;

/// The queries that wait, by topic; holds nothing for topics nobody waits for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wakers {
    waiting: Arc<Mutex<HashMap<Topic, watch::Sender<()>>>>,
}

/// One query's place in the queue of a topic.
#[derive(Debug)]
pub(crate) struct Waking {
    wakers: Wakers,
    topic: Topic,
    // None only while dropping.
    receiver: Option<watch::Receiver<()>>,
}

impl Wakers {
    /// Waits for changes from now on.
    pub(crate) fn subscribe(&self, topic: Topic) -> Waking {
        let receiver = self.lock().entry(topic.clone()).or_default().subscribe();
        Waking { wakers: self.clone(), topic, receiver: Some(receiver) }
    }

    /// Wakes whoever waits for this topic.
    pub(crate) fn wake(&self, topic: &Topic) {
        if let Some(waiting) = self.lock().get(topic) {
            waiting.send_replace(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, watch::Sender<()>>> {
        // Each call leaves the map whole even if a panic cuts it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waking {
    /// Waits for the next change. Cancel safe.
    pub(crate) async fn woken(&mut self) {
        if let Some(receiver) = &mut self.receiver {
            // The sender lives in the map as long as this place in the queue does.
            let _never_closed = receiver.changed().await;
        }
    }
}

impl Drop for Waking {
    fn drop(&mut self) {
        let mut waiting = self.wakers.lock();
        self.receiver = None;
        if waiting.get(&self.topic).is_some_and(|sender| sender.receiver_count() == 0) {
            waiting.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn wakes_all_who_wait_for_the_topic_and_nobody_else() {
        let wakers = Wakers::default();
        let mut one = wakers.subscribe(Topic::service("a"));
        let mut two = wakers.subscribe(Topic::service("A"));
        let mut other = wakers.subscribe(Topic::service("b"));
        wakers.wake(&Topic::service("a"));
        one.woken().await;
        two.woken().await;
        let second = std::time::Duration::from_secs(1);
        assert!(tokio::time::timeout(second, other.woken()).await.is_err());
    }

    #[tokio::test]
    async fn keeps_nothing_for_those_who_left() {
        let wakers = Wakers::default();
        let (one, two) = (wakers.subscribe(Topic::Nodes), wakers.subscribe(Topic::Nodes));
        drop(one);
        assert_eq!(wakers.lock().len(), 1);
        drop(two);
        assert_eq!(wakers.lock().len(), 0);
    }
}
