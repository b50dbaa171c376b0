//! What one key was, revision by revision.

use bytes::Bytes;

/// One version of a key. `version` 0 says that the key was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// The revision that made it.
    pub(crate) revision: i64,
    /// The revision at which this life of the key began.
    pub(crate) created: i64,
    /// Counts from 1 within a life.
    pub(crate) version: i64,
    /// The lease the key ends with; 0 for none.
    pub(crate) lease: i64,
    pub(crate) value: Bytes,
}

impl Version {
    pub(crate) fn deletion(revision: i64) -> Self {
        Self { revision, created: 0, version: 0, lease: 0, value: Bytes::new() }
    }

    pub(crate) fn is_deletion(&self) -> bool {
        self.version == 0
    }
}

/// The versions of one key that are not compacted, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History(Vec<Version>);

impl History {
    pub(crate) fn versions(&self) -> &[Version] {
        &self.0
    }

    /// What the key was at a revision; none when it did not exist.
    pub(crate) fn at(&self, revision: i64) -> Option<&Version> {
        let after = self.0.partition_point(|version| version.revision <= revision);
        self.0[..after].last().filter(|version| !version.is_deletion())
    }

    /// The versions that exactly this revision made, in their order: one, or a put and then a
    /// deletion by one transaction.
    pub(crate) fn made_at(&self, revision: i64) -> &[Version] {
        let since = &self.0[self.0.partition_point(|version| version.revision < revision)..];
        &since[..since.partition_point(|version| version.revision == revision)]
    }

    pub(crate) fn push(&mut self, version: Version) {
        debug_assert!(self.0.last().is_none_or(|last| last.revision <= version.revision));
        if self.0.is_empty() {
            // Most keys have one version; growing would make room for four.
            self.0.reserve_exact(1);
        }
        self.0.push(version);
    }

    /// Forgets what no read at `revision` or later can see, and hands it to `dropped`. A deletion
    /// at exactly `revision` stays, for those who watch from there.
    pub(crate) fn compact(&mut self, revision: i64, dropped: impl FnMut(Version)) {
        let upto = self.0.partition_point(|version| version.revision <= revision);
        let Some(last) = upto.checked_sub(1) else { return };
        let is_gone = self.0[last].is_deletion() && self.0[last].revision < revision;
        let made = self.0[last].revision;
        let first = self.0.partition_point(|version| version.revision < made);
        let first_kept = if is_gone { upto } else { first };
        self.0.drain(..first_kept).for_each(dropped);
        self.0.shrink_to(4);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let mut history = History::default();
        for (revision, created, version) in [(2, 2, 1), (5, 2, 2), (9, 9, 1)] {
            if revision == 9 {
                history.push(Version::deletion(7));
            }
            let value = Bytes::from(revision.to_string());
            history.push(Version { revision, created, version, lease: 0, value });
        }
        history
    }

    fn left(revision: i64) -> Vec<i64> {
        let mut history = history();
        history.compact(revision, |_| ());
        history.versions().iter().map(|version| version.revision).collect()
    }

    #[test]
    fn shows_what_was_there_at_a_revision() {
        let at = |revision| history().at(revision).map(|version| version.revision);
        let shown: Vec<_> = (1..=10).map(at).collect();
        let [none, two, five, nine] = [None, Some(2), Some(5), Some(9)];
        assert_eq!(shown, [none, two, two, two, five, five, none, none, nine, nine]);
    }

    #[test]
    fn a_key_that_is_put_and_deleted_at_once_is_gone_and_both_can_be_watched() {
        let mut history = History::default();
        let value = Bytes::from_static(b"v");
        history.push(Version { revision: 2, created: 2, version: 1, lease: 0, value });
        history.push(Version::deletion(2));
        assert_eq!(history.at(2), None);
        let kinds = |history: &History| {
            history.made_at(2).iter().map(Version::is_deletion).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&history), [false, true]);
        assert!(history.made_at(1).is_empty() && history.made_at(3).is_empty());
        history.compact(2, |_| ());
        assert_eq!(kinds(&history), [false, true]);
        history.compact(3, |_| ());
        assert!(history.is_empty());
    }

    #[test]
    fn compaction_keeps_what_a_later_read_or_watch_can_see() {
        assert_eq!(left(1), [2, 5, 7, 9]);
        assert_eq!(left(4), [2, 5, 7, 9]);
        assert_eq!(left(6), [5, 7, 9]);
        assert_eq!(left(7), [7, 9]);
        assert_eq!(left(8), [9]);
        assert_eq!(left(20), [9]);
    }
}
