//! Reads a range of keys: bounds, order, limit.

use bytes::Bytes;

use super::history::Version;
use super::range::KeyRange;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) range: KeyRange,
    /// The revision to read at; 0 for the latest.
    pub(crate) revision: i64,
    /// The most keys wanted; 0 for all.
    pub(crate) limit: usize,
    pub(crate) sort: Sort,
    pub(crate) descending: bool,
    pub(crate) keys_only: bool,
    pub(crate) count_only: bool,
    /// Bounds of the revision that made the version; 0 for none.
    pub(crate) modified: Between,
    /// Bounds of the revision that made the key; 0 for none.
    pub(crate) created: Between,
}

/// What the answer is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Key,
    Version,
    Created,
    Modified,
    Value,
}

/// Two bounds, both inside; 0 for no bound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Between {
    pub(crate) least: i64,
    pub(crate) most: i64,
}

/// A key as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) key: Bytes,
    pub(crate) version: Version,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) found: Vec<Found>,
    /// Whether the limit left some out.
    pub(crate) more: bool,
    /// Keys in the range, bounds and limit not counted in.
    pub(crate) count: usize,
}

impl Query {
    /// Everything in the range, now.
    pub(crate) fn all(range: KeyRange) -> Self {
        Self {
            range,
            revision: 0,
            limit: 0,
            sort: Sort::Key,
            descending: false,
            keys_only: false,
            count_only: false,
            modified: Between::default(),
            created: Between::default(),
        }
    }

    /// Picks the answer from the keys of the range, which come in the order of their names.
    pub(crate) fn pick<'a>(&self, keys: impl Iterator<Item = (&'a Bytes, &'a Version)>) -> Answer {
        if self.count_only {
            return Answer { count: keys.count(), ..Answer::default() };
        }
        let in_order = self.sort == Sort::Key && !self.descending;
        let mut count = 0;
        let mut picked: Vec<(&Bytes, &Version)> = Vec::new();
        for (key, version) in keys {
            count += 1;
            let is_wanted =
                self.modified.holds(version.revision) && self.created.holds(version.created);
            // One more than the limit says that there is more.
            let has_room = !in_order || self.limit == 0 || picked.len() <= self.limit;
            if is_wanted && has_room {
                picked.push((key, version));
            }
        }
        if !in_order {
            self.order(&mut picked);
        }
        let more = self.limit > 0 && picked.len() > self.limit;
        if more {
            picked.truncate(self.limit);
        }
        let found = picked.into_iter().map(|(key, version)| self.show(key, version)).collect();
        Answer { found, more, count }
    }

    fn order(&self, picked: &mut [(&Bytes, &Version)]) {
        // Stable: what is equal stays in the order of the keys, also the other way round.
        picked.sort_by(|(a_key, a), (b_key, b)| {
            let order = match self.sort {
                Sort::Key => a_key.cmp(b_key),
                Sort::Version => a.version.cmp(&b.version),
                Sort::Created => a.created.cmp(&b.created),
                Sort::Modified => a.revision.cmp(&b.revision),
                Sort::Value => a.value.cmp(&b.value),
            };
            if self.descending { order.reverse() } else { order }
        });
    }

    fn show(&self, key: &Bytes, version: &Version) -> Found {
        let mut version = version.clone();
        if self.keys_only {
            version.value = Bytes::new();
        }
        Found { key: key.clone(), version }
    }
}

impl Between {
    fn holds(self, revision: i64) -> bool {
        (self.least == 0 || revision >= self.least) && (self.most == 0 || revision <= self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(change: impl FnOnce(&mut Query)) -> (String, bool, usize) {
        let mut query = Query::all(KeyRange::new("\0".into(), "\0".into()));
        change(&mut query);
        // Key, created, modified, version, value.
        let rows = [("a", 2, 9, 3, "z"), ("b", 4, 4, 1, "y"), ("c", 3, 7, 2, "x")];
        let rows = rows.map(|(key, created, revision, version, value)| {
            let value = Bytes::from(value);
            (Bytes::from(key), Version { revision, created, version, lease: 0, value })
        });
        let answer = query.pick(rows.iter().map(|(key, version)| (key, version)));
        let keys = answer.found.iter().map(|found| char::from(found.key[0])).collect();
        (keys, answer.more, answer.count)
    }

    #[test]
    fn orders_by_each_target_both_ways() {
        let order = |sort, descending| {
            picked(|query| (query.sort, query.descending) = (sort, descending)).0
        };
        for (sort, up) in [
            (Sort::Key, "abc"),
            (Sort::Version, "bca"),
            (Sort::Created, "acb"),
            (Sort::Modified, "bca"),
            (Sort::Value, "cba"),
        ] {
            assert_eq!(order(sort, false), up, "{sort:?}");
            assert_eq!(order(sort, true), up.chars().rev().collect::<String>(), "{sort:?}");
        }
    }

    #[test]
    fn a_limit_cuts_after_ordering_and_says_so() {
        assert_eq!(picked(|query| query.limit = 2), ("ab".into(), true, 3));
        assert_eq!(picked(|query| query.limit = 3), ("abc".into(), false, 3));
        let last = |query: &mut Query| (query.limit, query.descending) = (1, true);
        assert_eq!(picked(last), ("c".into(), true, 3));
        let newest = |query: &mut Query| {
            (query.limit, query.descending, query.sort) = (1, true, Sort::Modified)
        };
        assert_eq!(picked(newest), ("a".into(), true, 3));
    }

    #[test]
    fn bounds_leave_out_but_do_not_change_the_count() {
        let modified = |least, most| picked(|query| query.modified = Between { least, most });
        assert_eq!(modified(7, 0), ("ac".into(), false, 3));
        assert_eq!(modified(0, 7), ("bc".into(), false, 3));
        let created = |query: &mut Query| query.created = Between { least: 3, most: 3 };
        assert_eq!(picked(created), ("c".into(), false, 3));
        let limited = |query: &mut Query| {
            (query.modified, query.limit) = (Between { least: 0, most: 7 }, 1);
        };
        assert_eq!(picked(limited), ("b".into(), true, 3));
    }

    #[test]
    fn a_count_shows_no_keys() {
        assert_eq!(picked(|query| query.count_only = true), (String::new(), false, 3));
    }
}
