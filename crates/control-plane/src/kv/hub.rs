//! Tells those who watch that something of theirs has changed, and nobody else.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::range::KeyRange;
use super::ranges::Ranges;

/// Who watches which keys. Nothing is queued here: a watcher is told from which revision on to
/// read, and reads when it can.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hub {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    watchers: Mutex<Watchers>,
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Watchers {
    next: u64,
    /// Up to this revision everybody was told.
    told: i64,
    /// Those of one key.
    single: HashMap<Bytes, BTreeMap<u64, Arc<Cursor>>>,
    /// Those of a range.
    ranges: Ranges<Arc<Cursor>>,
}

/// How far behind one watcher is.
#[derive(Debug)]
struct Cursor {
    /// The first revision with a change that was not begun to be read; 0 for none.
    pending: AtomicI64,
    /// The first revision of those begun that is not read; 0 for none.
    reading: AtomicI64,
    wake: Arc<Notify>,
}

/// One watcher's place; leaves the hub when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    hub: Hub,
    id: u64,
    range: KeyRange,
    cursor: Arc<Cursor>,
}

impl Hub {
    /// Starts when the store is at this revision.
    pub(crate) fn new(revision: i64) -> Self {
        let hub = Self::default();
        hub.lock().told = revision;
        hub
    }

    /// Up to which revision everybody was told.
    pub(crate) fn told(&self) -> i64 {
        self.lock().told
    }

    /// The oldest revision that somebody has still to read.
    pub(crate) fn oldest_unread(&self) -> Option<i64> {
        let mut oldest: Option<i64> = None;
        self.lock().for_each(|cursor| {
            let unread = cursor.oldest_unread();
            oldest = oldest.into_iter().chain(unread).min();
        });
        oldest
    }

    /// How many have something to read.
    pub(crate) fn behind(&self) -> usize {
        let mut behind = 0;
        self.lock().for_each(|cursor| behind += usize::from(cursor.oldest_unread().is_some()));
        behind
    }

    /// How many watch.
    pub(crate) fn len(&self) -> usize {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// Watches from a revision on, or from now on; answers the place and the latest revision.
    /// `wake` is notified when [`Place::take`] has something.
    pub(crate) fn register(
        &self,
        range: KeyRange,
        from: Option<i64>,
        wake: Arc<Notify>,
    ) -> (Place, i64) {
        let mut watchers = self.lock();
        let id = watchers.next;
        watchers.next += 1;
        // What the hub has told of before is to be read from the history.
        let past = from.filter(|from| *from <= watchers.told);
        let cursor = Arc::new(Cursor {
            pending: AtomicI64::new(past.unwrap_or(0)),
            reading: AtomicI64::new(0),
            wake,
        });
        if past.is_some() {
            cursor.wake.notify_one();
        }
        let own = Arc::clone(&cursor);
        match range.single() {
            Some(key) => _ = watchers.single.entry(key.clone()).or_default().insert(id, own),
            None => watchers.ranges.insert(id, range.clone(), own),
        }
        self.shared.count.fetch_add(1, Ordering::Relaxed);
        let told = watchers.told;
        (Place { hub: self.clone(), id, range, cursor }, told)
    }

    /// Tells those whom the changes of a revision concern; readers see that revision already.
    pub(crate) fn tell(&self, revision: i64, keys: &[Bytes]) {
        let mut watchers = self.lock();
        watchers.told = revision;
        for key in keys {
            if let Some(single) = watchers.single.get(key) {
                single.values().for_each(|cursor| cursor.tell(revision));
            }
            watchers.ranges.holding(key, |cursor| cursor.tell(revision));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watchers> {
        // Each call leaves the maps whole even if a panic cuts it.
        self.shared.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watchers {
    fn for_each(&self, mut each: impl FnMut(&Arc<Cursor>)) {
        self.single.values().flat_map(BTreeMap::values).for_each(&mut each);
        self.ranges.for_each(each);
    }
}

impl Cursor {
    fn tell(&self, revision: i64) {
        // Sequentially consistent throughout: the order of the two cells is what is relied on.
        let nothing_pending =
            self.pending.compare_exchange(0, revision, Ordering::SeqCst, Ordering::SeqCst);
        if nothing_pending.is_ok() {
            self.wake.notify_one();
        }
    }
}

impl Cursor {
    fn oldest_unread(&self) -> Option<i64> {
        // In this order: what is taken is in `reading` before it leaves `pending`.
        let unread = [&self.pending, &self.reading].map(|unread| unread.load(Ordering::SeqCst));
        unread.into_iter().filter(|revision| *revision != 0).min()
    }
}

impl Place {
    pub(crate) fn range(&self) -> &KeyRange {
        &self.range
    }

    /// Whether there is something to read.
    pub(crate) fn is_pending(&self) -> bool {
        self.cursor.pending.load(Ordering::SeqCst) != 0
    }

    /// The first revision that was not read, if there is one.
    pub(crate) fn take(&self) -> Option<i64> {
        let pending = self.cursor.pending.load(Ordering::SeqCst);
        if pending == 0 {
            return None;
        }
        // Kept for it until it is read, see `reads_from`. The earlier one counts.
        let reading = self.cursor.reading.load(Ordering::SeqCst);
        if reading == 0 {
            self.cursor.reading.store(pending, Ordering::SeqCst);
        }
        self.cursor.pending.store(0, Ordering::SeqCst);
        Some(pending)
    }

    /// Says which revision of those it took is the first that is not read; none when all are.
    pub(crate) fn reads_from(&self, revision: Option<i64>) {
        self.cursor.reading.store(revision.unwrap_or(0), Ordering::SeqCst);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut watchers = self.hub.lock();
        match self.range.single() {
            Some(key) => {
                if let Some(single) = watchers.single.get_mut(key) {
                    single.remove(&self.id);
                    if single.is_empty() {
                        watchers.single.remove(key);
                    }
                }
            }
            None => watchers.ranges.remove(self.id, &self.range),
        }
        self.hub.shared.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(hub: &Hub, key: &'static str, end: &'static str, from: Option<i64>) -> Place {
        hub.register(KeyRange::new(key.into(), end.into()), from, Arc::default()).0
    }

    #[test]
    fn tells_whom_it_concerns_from_where_to_read() {
        let hub = Hub::new(4);
        let (one, range) = (place(&hub, "b", "", None), place(&hub, "a", "c", None));
        let other = place(&hub, "x", "", None);
        hub.tell(5, &["b".into()]);
        hub.tell(6, &["b".into()]);
        assert_eq!([&one, &range, &other].map(Place::take), [Some(5), Some(5), None]);
        assert_eq!([&one, &range, &other].map(Place::take), [None; 3]);
    }

    #[test]
    fn what_is_taken_stays_unread_until_it_is_said_to_be_read() {
        let hub = Hub::new(4);
        let place = place(&hub, "a", "", None);
        assert_eq!(hub.oldest_unread(), None);
        hub.tell(5, &["a".into()]);
        assert_eq!(hub.oldest_unread(), Some(5));
        place.take();
        hub.tell(6, &["a".into()]);
        assert_eq!(hub.oldest_unread(), Some(5));
        place.reads_from(None);
        assert_eq!(hub.oldest_unread(), Some(6));
    }

    #[test]
    fn a_start_in_the_past_is_pending_at_once_and_one_in_the_future_is_not() {
        let hub = Hub::new(4);
        assert_eq!(place(&hub, "a", "", Some(3)).take(), Some(3));
        assert_eq!(place(&hub, "a", "", Some(4)).take(), Some(4));
        assert_eq!(place(&hub, "a", "", Some(5)).take(), None);
    }

    #[test]
    fn keeps_nothing_of_those_who_left() {
        let hub = Hub::new(1);
        let places =
            [place(&hub, "a", "", None), place(&hub, "a", "", None), place(&hub, "a", "\0", None)];
        assert_eq!(hub.len(), 3);
        drop(places);
        assert_eq!(hub.len(), 0);
        let watchers = hub.lock();
        assert!(watchers.single.is_empty() && watchers.ranges.is_empty());
    }
}
