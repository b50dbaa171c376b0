//! Wakes the queries that wait for a topic, and no others.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Topic;

/// The queries that wait, by topic; holds nothing for topics nobody waits for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wakers {
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    by_topic: HashMap<Topic, watch::Sender<()>>,
    /// How long the prefixes are that somebody waits for, and how many of each length there are.
    prefix_lengths: BTreeMap<usize, usize>,
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
        let receiver = self.lock().join(&topic);
        Waking { wakers: self.clone(), topic, receiver: Some(receiver) }
    }

    /// Wakes whoever waits for this topic; for a key, also for a prefix of it.
    pub(crate) fn wake(&self, topic: &Topic) {
        let waiting = self.lock();
        waiting.wake(topic);
        if let Topic::Key(key) = topic {
            let lengths = waiting.prefix_lengths.range(..=key.len());
            let prefixes = lengths.filter_map(|(length, _)| key.get(..*length));
            prefixes.for_each(|prefix| waiting.wake(&Topic::Prefix(prefix.into())));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Each call leaves the map whole even if a panic cuts it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn join(&mut self, topic: &Topic) -> watch::Receiver<()> {
        if let Some(sender) = self.by_topic.get(topic) {
            return sender.subscribe();
        }
        if let Topic::Prefix(prefix) = topic {
            *self.prefix_lengths.entry(prefix.len()).or_default() += 1;
        }
        self.by_topic.entry(topic.clone()).or_default().subscribe()
    }

    fn wake(&self, topic: &Topic) {
        if let Some(sender) = self.by_topic.get(topic) {
            sender.send_replace(());
        }
    }

    /// Forgets a topic that nobody waits for any more.
    fn leave(&mut self, topic: &Topic) {
        if self.by_topic.get(topic).is_none_or(|sender| sender.receiver_count() > 0) {
            return;
        }
        self.by_topic.remove(topic);
        if let Topic::Prefix(prefix) = topic
            && let Entry::Occupied(mut count) = self.prefix_lengths.entry(prefix.len())
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
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
        waiting.leave(&self.topic);
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
        let prefix = Topic::Prefix("a/".into());
        let (one, two) = (wakers.subscribe(prefix.clone()), wakers.subscribe(prefix));
        drop(one);
        assert_eq!(wakers.lock().by_topic.len(), 1);
        drop(two);
        let waiting = wakers.lock();
        assert_eq!((waiting.by_topic.len(), waiting.prefix_lengths.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_wakes_those_who_wait_for_it_or_for_a_prefix_of_it() {
        let wakers = Wakers::default();
        let key = |key: &str| Topic::Key(key.into());
        let prefix = |prefix: &str| Topic::Prefix(prefix.into());
        let concerned = [key("ä/b"), prefix("ä/b"), prefix("ä/"), prefix("ä"), prefix("")];
        let mut concerned = concerned.map(|topic| wakers.subscribe(topic));
        let others = [key("ä/"), prefix("ä/b/"), prefix("a"), prefix("ä/c"), key("")];
        let mut others = others.map(|topic| wakers.subscribe(topic));
        wakers.wake(&key("ä/b"));
        for waking in &mut concerned {
            waking.woken().await;
        }
        let second = std::time::Duration::from_secs(1);
        for waking in &mut others {
            assert!(tokio::time::timeout(second, waking.woken()).await.is_err());
        }
    }
}
