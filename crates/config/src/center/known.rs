//! What is known of a prefix, and what an answer changes of it: pure rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Batch, Change, Item, Snapshot};

/// More than is kept of one prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there are more than {items} keys or {bytes} bytes under `{prefix}`; delete what is not needed, \
     or move it elsewhere"
)]
pub struct TooMuch {
    /// The prefix.
    pub prefix: String,
    /// The most keys.
    pub items: usize,
    /// The most bytes of keys and values.
    pub bytes: usize,
}

/// What is known of a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    items: BTreeMap<Arc<str>, Item>,
    revision: u64,
}

impl Known {
    /// What was known before, such as what was kept on disk.
    pub fn from_items(items: impl IntoIterator<Item = Item>, revision: u64) -> Self {
        let items = items.into_iter().map(|item| (item.key.clone(), item)).collect();
        Self { items, revision }
    }

    /// All items by their keys.
    pub fn items(&self) -> &BTreeMap<Arc<str>, Item> {
        &self.items
    }

    /// The revision that all of it is of; 0 when nothing was ever heard.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.items.values().map(|item| item.key.len() + item.value.len()).sum()
    }

    /// Whether the center was at this state once: its past is ours, so its changes since are all
    /// that we lack. Not so for one that was wiped, or that is another one.
    pub fn is_past(&self, snapshot: &Snapshot) -> bool {
        snapshot.revision == self.revision
            && snapshot.items.len() == self.items.len()
            && snapshot.items.iter().all(|item| self.items.get(&item.key) == Some(item))
    }

    /// Takes a whole state and says what it changes: what is not in it is gone.
    pub fn reset(&mut self, snapshot: &Snapshot) -> Vec<Change> {
        let after = Self::from_items(snapshot.items.iter().cloned(), snapshot.revision);
        let gone = self.items.keys().filter(|key| !after.items.contains_key(*key));
        let delete =
            |key: &Arc<str>| Change::Delete { key: key.clone(), revision: snapshot.revision };
        let mut changes: Vec<Change> = gone.map(delete).collect();
        // Another store may give the same revision to another value, so both are compared.
        let is_new = |item: &&Item| self.items.get(&item.key) != Some(*item);
        changes.extend(after.items.values().filter(is_new).cloned().map(Change::Put));
        changes.sort_by_key(Change::revision);
        *self = after;
        changes
    }

    /// Takes changes and gives back those that were not known yet.
    pub fn apply(&mut self, batch: Batch) -> Vec<Change> {
        let known = self.revision;
        let mut changes = batch.changes;
        changes.retain(|change| change.revision() > known);
        for change in &changes {
            match change {
                Change::Put(item) => drop(self.items.insert(item.key.clone(), item.clone())),
                Change::Delete { key, .. } => drop(self.items.remove(key)),
            }
        }
        self.revision = known.max(batch.revision);
        changes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(key: &str, value: &str, revision: u64) -> Change {
        Change::Put(Item::new(key, value, revision))
    }

    fn delete(key: &str, revision: u64) -> Change {
        Change::Delete { key: key.into(), revision }
    }

    fn snapshot(revision: u64, items: &[(&str, &str, u64)]) -> Snapshot {
        let items: Vec<_> = items.iter().map(|(k, v, r)| Item::new(k, v, *r)).collect();
        let total = items.len() as u64;
        Snapshot::new(revision, items, total)
    }

    #[test]
    fn a_whole_state_is_told_as_what_it_changes() {
        let mut known = Known::default();
        let first = snapshot(7, &[("a", "1", 3), ("b", "1", 5)]);
        assert_eq!(known.reset(&first), [put("a", "1", 3), put("b", "1", 5)]);
        assert_eq!(known.reset(&first), []);
        let later = snapshot(9, &[("b", "2", 8), ("c", "1", 9)]);
        assert_eq!(known.reset(&later), [put("b", "2", 8), delete("a", 9), put("c", "1", 9)]);
        assert_eq!(known.revision(), 9);
    }

    #[test]
    fn another_value_of_the_same_revision_is_a_change() {
        let mut known = Known::default();
        known.reset(&snapshot(3, &[("a", "1", 3)]));
        assert_eq!(known.reset(&snapshot(3, &[("a", "2", 3)])), [put("a", "2", 3)]);
    }

    #[test]
    fn what_was_heard_before_is_not_told_again() {
        let mut known = Known::default();
        known.reset(&snapshot(5, &[("a", "1", 5)]));
        let batch = Batch::new(vec![put("a", "1", 5), put("a", "2", 6), delete("a", 7)]);
        assert_eq!(known.apply(batch), [put("a", "2", 6), delete("a", 7)]);
        assert!(known.items().is_empty());
        assert_eq!(known.revision(), 7);
        assert_eq!(known.apply(Batch::default()), []);
        assert_eq!(known.revision(), 7, "nothing heard is nothing forgotten");
    }

    #[test]
    fn a_center_that_was_wiped_has_another_past() {
        let mut known = Known::default();
        let state = snapshot(5, &[("a", "1", 5)]);
        known.reset(&state);
        assert!(known.is_past(&state));
        for other in [
            snapshot(5, &[]),
            snapshot(5, &[("a", "2", 5)]),
            snapshot(5, &[("a", "1", 4)]),
            snapshot(5, &[("a", "1", 5), ("b", "1", 4)]),
            snapshot(4, &[("a", "1", 5)]),
        ] {
            assert!(!known.is_past(&other), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn told_changes_lead_from_one_state_to_the_next(
            before in prop::collection::btree_map("[a-e]", "[0-9]", 0..5),
            after in prop::collection::btree_map("[a-e]", "[0-9]", 0..5),
        ) {
            let state = |revision, map: &BTreeMap<String, String>| {
                let items: Vec<_> =
                    map.iter().map(|(k, v)| Item::new(k, v, revision)).collect();
                Snapshot::new(revision, items, map.len() as u64)
            };
            let mut known = Known::default();
            known.reset(&state(3, &before));
            let mut told = known.clone();
            let changes = known.reset(&state(4, &after));
            told.apply(Batch::new(changes));
            prop_assert_eq!(told.items(), known.items());
        }
    }
}
