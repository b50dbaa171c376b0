//! All pairs, who holds which, and the index that each query shows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::Pair;

/// Removed keys of which it is known when each was removed. More let go of the oldest; queries on
/// what is forgotten show the index of the latest removal that was.
const REMOVALS: usize = 16_384;

/// All pairs. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    pairs: BTreeMap<Arc<str>, Arc<Pair>>,
    /// Session -> the keys whose locks it holds.
    held: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    removed: BTreeMap<Arc<str>, u64>,
    /// The same, the oldest first.
    removals: BTreeSet<(u64, Arc<str>)>,
    /// No removal that is forgotten has a higher index.
    floor: u64,
    bytes: usize,
}

impl Keys {
    /// After a restart at this index: queries on what is not there show it.
    pub(crate) fn settle(&mut self, index: u64) {
        self.removed.clear();
        self.removals.clear();
        self.floor = index;
    }

    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// What all pairs take in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Arc<Pair>> {
        self.pairs.get(key)
    }

    /// Every pair, in the order of the bytes of the keys.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Pair>> {
        self.pairs.values()
    }

    /// The pairs whose keys begin so, in the order of their bytes.
    pub(crate) fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Arc<Pair>> {
        beginning(&self.pairs, prefix).map(|(_, pair)| pair)
    }

    /// The keys whose locks a session holds.
    pub(crate) fn held_by(&self, session: &str) -> impl Iterator<Item = &Arc<str>> {
        self.held.get(session).into_iter().flatten()
    }

    /// The index that a query on one key shows. It never goes backwards: a key that is gone shows
    /// its removal, one that never was (or is forgotten) shows the floor.
    pub(crate) fn index_of(&self, key: &str) -> u64 {
        match (self.pairs.get(key), self.removed.get(key)) {
            (Some(pair), _) => pair.modified,
            (None, Some(removed)) => *removed,
            (None, None) => self.floor.max(1),
        }
    }

    /// The index that a query on all keys that begin so shows. It never goes backwards.
    pub(crate) fn index_beginning(&self, prefix: &str) -> u64 {
        let there = self.beginning(prefix).map(|pair| pair.modified);
        let gone = beginning(&self.removed, prefix).map(|(_, removed)| *removed);
        there.chain(gone).max().unwrap_or(0).max(self.floor).max(1)
    }

    pub(crate) fn put(&mut self, pair: &Arc<Pair>) {
        self.forget_removal(&pair.key);
        self.bytes += pair.bytes();
        let old = self.pairs.insert(Arc::clone(&pair.key), Arc::clone(pair));
        if let Some(old) = old {
            self.bytes -= old.bytes();
            self.let_go(&old);
        }
        if let Some(session) = &pair.session {
            let held = self.held.entry(Arc::clone(session)).or_default();
            held.insert(Arc::clone(&pair.key));
        }
    }

    pub(crate) fn remove(&mut self, key: &str, index: u64) {
        let Some(old) = self.pairs.remove(key) else { return };
        self.bytes -= old.bytes();
        self.let_go(&old);
        self.removed.insert(Arc::clone(&old.key), index);
        self.removals.insert((index, Arc::clone(&old.key)));
        if self.removals.len() > REMOVALS
            && let Some((index, key)) = self.removals.pop_first()
        {
            self.removed.remove(&key);
            self.floor = self.floor.max(index);
        }
    }

    fn forget_removal(&mut self, key: &Arc<str>) {
        // The pair that comes instead has a higher index.
        if let Some(index) = self.removed.remove(key) {
            self.removals.remove(&(index, Arc::clone(key)));
        }
    }

    fn let_go(&mut self, old: &Pair) {
        let Some(session) = &old.session else { return };
        if let Some(held) = self.held.get_mut(session) {
            held.remove(&old.key);
            if held.is_empty() {
                self.held.remove(session);
            }
        }
    }
}

fn beginning<'a, T>(
    rows: &'a BTreeMap<Arc<str>, T>,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a Arc<str>, &'a T)> {
    let from = (Bound::Included(prefix), Bound::Unbounded);
    rows.range::<str, _>(from).take_while(move |(key, _)| key.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, modified: u64) -> Arc<Pair> {
        Arc::new(Pair {
            key: key.into(),
            value: "v".into(),
            flags: 0,
            lock_index: 0,
            session: None,
            created: modified,
            modified,
        })
    }

    #[test]
    fn a_removal_moves_its_prefixes_and_stays_until_it_is_forgotten() {
        let mut keys = Keys::default();
        keys.put(&pair("a/1", 5));
        keys.put(&pair("a/2", 7));
        keys.put(&pair("b", 9));
        keys.remove("a/2", 10);
        assert_eq!((keys.index_of("a/2"), keys.index_of("a/1")), (10, 5));
        assert_eq!((keys.index_beginning("a/"), keys.index_beginning("b")), (10, 9));
        assert_eq!((keys.index_beginning(""), keys.index_beginning("none")), (10, 1));
        keys.put(&pair("a/2", 11));
        keys.remove("b", 12);
        assert_eq!((keys.index_of("a/2"), keys.index_beginning("a/")), (11, 11));
    }

    #[test]
    fn removals_are_bounded_and_what_is_forgotten_shows_no_less_than_before() {
        let mut keys = Keys::default();
        for index in 1..=REMOVALS as u64 + 2 {
            keys.put(&pair(&format!("k{index}"), 2 * index));
            keys.remove(&format!("k{index}"), 2 * index + 1);
        }
        assert_eq!((keys.removed.len(), keys.removals.len()), (REMOVALS, REMOVALS));
        assert_eq!((keys.index_of("k1"), keys.index_of("k2"), keys.index_of("k3")), (5, 5, 7));
        assert_eq!((keys.len(), keys.bytes()), (0, 0));
    }

    #[test]
    fn knows_who_holds_what() {
        let mut keys = Keys::default();
        let locked = Pair { session: Some("s".into()), ..Pair::clone(&pair("a", 1)) };
        keys.put(&Arc::new(locked));
        assert_eq!(keys.held_by("s").count(), 1);
        keys.put(&pair("a", 2));
        assert_eq!((keys.held_by("s").count(), keys.held.len()), (0, 0));
    }
}
