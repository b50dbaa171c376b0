//! Settings of a release that somebody else writes while it is under way.

use std::collections::BTreeMap;

use super::Release;
use crate::center::{Expected, Item};

impl Release {
    /// Takes the settings that its changes are of as they are now, by their dotted keys. Whatever
    /// is written to one of them afterwards keeps it from being done.
    pub fn begin_from(&mut self, present: &BTreeMap<String, Item>) {
        let found = |key: &String| (key.clone(), present.get(key));
        let found: Vec<_> = self.changes.keys().map(found).collect();
        let value = |item: &Item| item.value.to_string();
        self.before = found.iter().map(|(key, it)| (key.clone(), it.map(value))).collect();
        let revision = |(key, it): (String, Option<&Item>)| Some((key, it?.revision));
        self.revisions = found.into_iter().filter_map(revision).collect();
    }

    /// The first of its settings that was written by somebody else since it began.
    pub fn overtaken(&self, present: &BTreeMap<String, Item>) -> Option<&str> {
        let differs = |key: &&String| {
            let value = present.get(*key).map(|item| &*item.value);
            match self.expected(key) {
                Expected::Revision(begun) => {
                    present.get(*key).is_none_or(|item| item.revision != begun)
                }
                Expected::Absent => value.is_some(),
                // Begun by a version that did not keep revisions.
                Expected::Any => value != self.before.get(*key).and_then(Option::as_deref),
            }
        };
        self.changes.keys().find(differs).map(String::as_str)
    }

    /// What a setting has to be for the release to be done.
    pub(super) fn expected(&self, key: &str) -> Expected {
        match (self.before.get(key), self.revisions.get(key)) {
            (_, Some(revision)) => Expected::Revision(*revision),
            (Some(Some(_)), None) => Expected::Any,
            _ => Expected::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::{OnWorse, Phase, Thresholds};

    fn present(items: &[(&str, &str, u64)]) -> BTreeMap<String, Item> {
        let item = |(key, value, revision): &(&str, &str, u64)| {
            ((*key).to_owned(), Item::new(&format!("/config/pay/{key}"), value, *revision))
        };
        items.iter().map(item).collect()
    }

    /// Changes `a`, which was there, and deletes `b`, which was not.
    fn begun() -> Release {
        let mut release = Release {
            id: "r1".to_owned(),
            service: "pay".to_owned(),
            changes: [("a".to_owned(), Some("4".to_owned())), ("b".to_owned(), None)].into(),
            before: BTreeMap::new(),
            revisions: BTreeMap::new(),
            stages: Vec::new(),
            thresholds: Thresholds::default(),
            on_worse: OnWorse::Halt,
            by: String::new(),
            why: String::new(),
            baseline_percent: None,
            phase: Phase::Done,
            notes: Vec::new(),
        };
        release.begin_from(&present(&[("a", "3", 5), ("c", "1", 6)]));
        release
    }

    #[test]
    fn a_setting_that_was_written_since_is_named() {
        let release = begun();
        let overtaken = |items: &[_]| release.overtaken(&present(items)).map(str::to_owned);
        assert_eq!(overtaken(&[("a", "3", 5), ("c", "2", 9)]), None, "none of its own");
        assert_eq!(overtaken(&[("a", "7", 9)]).as_deref(), Some("a"));
        assert_eq!(overtaken(&[("a", "3", 9)]).as_deref(), Some("a"), "the same value, on purpose");
        assert_eq!(overtaken(&[]).as_deref(), Some("a"), "deleted");
        assert_eq!(overtaken(&[("a", "3", 5), ("b", "1", 9)]).as_deref(), Some("b"));
    }

    #[test]
    fn a_driver_who_knows_better_begins_from_what_is_there() {
        let mut release = begun();
        let now = present(&[("a", "7", 9), ("b", "1", 10)]);
        release.begin_from(&now);
        assert_eq!(release.overtaken(&now), None);
        assert_eq!(release.before["a"].as_deref(), Some("7"), "a rollback brings it back");
    }

    #[test]
    fn of_one_that_kept_no_revisions_the_values_are_compared() {
        let mut release = begun();
        release.revisions.clear();
        assert_eq!(release.overtaken(&present(&[("a", "3", 9)])), None);
        assert_eq!(release.overtaken(&present(&[("a", "7", 9)])), Some("a"));
    }
}
