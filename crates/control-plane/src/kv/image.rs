//! The state as a snapshot keeps it, made part by part while the state goes on.

use std::ops::Bound;

use bytes::Bytes;

use super::entry::Entry;
use super::history::Version;
use super::state::State;

/// A part of so many bytes, or of so many entries, takes no more: nothing is written while one is
/// made, which is to be as short as a range that many ask for.
const MOST: Size = Size { bytes: 256 << 10, entries: 1024 };

/// Everything that [`State::apply`] needs to make a state again, as it was at one revision. Until
/// its end, nothing may be dropped that is needed to read at that revision; what is dropped of
/// before may be in it or not, since whoever reads it reads of the compaction, too.
#[derive(Debug)]
pub(crate) struct Image {
    revision: i64,
    next: Next,
    most: Size,
}

#[derive(Clone, Copy, Debug)]
struct Size {
    bytes: usize,
    entries: usize,
}

/// What comes next.
#[derive(Debug)]
enum Next {
    /// What is small.
    Head(Vec<Entry>),
    /// Versions by key and revision, behind this one.
    Versions(Option<(Bytes, i64)>),
    /// What changed several keys, from this revision on.
    Orders(i64),
}

impl Image {
    /// As the state is now.
    pub(crate) fn new(state: &State) -> Self {
        Self { revision: state.revision(), next: Next::Head(state.head()), most: MOST }
    }

    #[cfg(test)]
    pub(super) fn in_small_parts(state: &State) -> Self {
        Self { most: Size { bytes: 3, entries: 2 }, ..Self::new(state) }
    }

    /// The next part; empty at the end. `state` is the one that it was begun with, as that is now.
    pub(crate) fn part(&mut self, state: &State) -> Vec<Entry> {
        let mut part = Part { entries: Vec::new(), bytes: 0, most: self.most };
        self.next = match &mut self.next {
            Next::Head(head) => {
                part.entries.append(head);
                Next::Versions(None)
            }
            Next::Versions(after) => match part.add_versions(state, after.take(), self.revision) {
                Some(last) => Next::Versions(Some(last)),
                None => Next::Orders(part.add_orders(state, 0, self.revision)),
            },
            Next::Orders(from) => Next::Orders(part.add_orders(state, *from, self.revision)),
        };
        part.entries
    }
}

struct Part {
    entries: Vec<Entry>,
    bytes: usize,
    most: Size,
}

impl Part {
    fn is_full(&self) -> bool {
        self.bytes >= self.most.bytes || self.entries.len() >= self.most.entries
    }

    /// Adds versions up to a revision; the last of them when there may be more.
    fn add_versions(
        &mut self,
        state: &State,
        after: Option<(Bytes, i64)>,
        upto: i64,
    ) -> Option<(Bytes, i64)> {
        let from = after.as_ref().map_or(Bound::Unbounded, |(key, _)| Bound::Included(&**key));
        let mut last = after.as_ref().map(|(key, revision)| (key, *revision));
        for (key, history) in state.histories_from(from) {
            let seen =
                after.as_ref().filter(|(seen, _)| seen == key).map(|(_, revision)| *revision);
            let is_due = |version: &&Version| {
                version.revision <= upto && seen.is_none_or(|seen| version.revision > seen)
            };
            for version in history.versions().iter().filter(is_due) {
                // What one revision made of a key is in one part.
                let this = Some((key, version.revision));
                if last != this && self.is_full() {
                    return last.map(|(key, revision)| (key.clone(), revision));
                }
                last = this;
                self.bytes += key.len() + version.value.len();
                // Copied: a value that was shared once takes more memory for ever.
                let value = Bytes::copy_from_slice(&version.value);
                self.entries
                    .push(Entry::Kept { key: key.clone(), version: Version { value, ..*version } });
            }
        }
        None
    }

    /// Adds what revisions changed that changed several keys; from where to go on.
    fn add_orders(&mut self, state: &State, from: i64, upto: i64) -> i64 {
        for (revision, keys) in state.changed(from, upto).filter(|(_, keys)| keys.len() > 1) {
            if self.is_full() {
                return revision;
            }
            self.bytes += keys.iter().map(Bytes::len).sum::<usize>();
            self.entries.push(Entry::Order { revision, keys: keys.to_vec() });
        }
        upto + 1
    }
}
