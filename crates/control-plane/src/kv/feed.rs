//! What one watcher has to read, in order, without loss or repeat.

use bytes::Bytes;

use super::history::Version;
use super::hub::Place;
use super::query::Found;
use super::range::KeyRange;
use super::state::State;

/// Revisions looked at in one step, so that no step holds the store for long.
const MOST_REVISIONS: usize = 10_000;
/// A step ends with the revision that exceeds these.
const MOST_EVENTS: usize = 1000;
const MOST_BYTES: usize = 1 << 20;

/// What a watcher wants to know of a change.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) no_puts: bool,
    pub(crate) no_deletes: bool,
    /// Whether to show what was there before.
    pub(crate) previous: bool,
}

/// One change of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) key: Bytes,
    pub(crate) version: Version,
    pub(crate) previous: Option<Found>,
}

/// What one step of reading found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Everything up to now was read.
    UpToDate,
    /// These came next; with `more`, there may be others.
    Events { events: Vec<Event>, more: bool },
    /// What comes next was compacted at this revision.
    Compacted { revision: i64 },
}

/// One watcher's reading.
#[derive(Debug)]
pub(crate) struct Feed {
    place: Place,
    wanted: Wanted,
    /// The first revision that is not read.
    next: i64,
    /// Whether there is something from `next` on that the hub has told of.
    is_behind: bool,
    /// Whether it read anything. Before, it may begin in what a compaction has ended; later, it
    /// reads on as long as the history is there.
    has_begun: bool,
}

impl Feed {
    /// Reads from `next` on.
    pub(crate) fn new(place: Place, wanted: Wanted, next: i64) -> Self {
        Self { place, wanted, next, is_behind: false, has_begun: false }
    }

    /// What it is about.
    pub(crate) fn range(&self) -> &KeyRange {
        self.place.range()
    }

    /// Whether a step would find something to look at.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_behind || self.place.is_pending()
    }

    /// Whether a step would find something to look at that is not after this revision.
    pub(crate) fn is_before(&self, revision: i64) -> bool {
        self.is_ready() && self.next <= revision
    }

    /// Reads the next step from the state, of which `latest` is the last durable revision. It is
    /// asked for once what was told is taken: asked for before, a revision that is told of between
    /// the two would neither be read now nor be pending again.
    pub(crate) fn step(&mut self, state: &State, latest: impl FnOnce() -> i64) -> Step {
        if let Some(pending) = self.place.take() {
            // What is between was told to be no concern of this watcher.
            self.next = if self.is_behind { self.next } else { self.next.max(pending) };
            self.is_behind = true;
        }
        let latest = latest();
        if !self.is_behind {
            return Step::UpToDate;
        }
        let ended = if self.has_begun { state.dropped() } else { state.compacted() };
        if self.next < ended && self.next <= latest {
            return Step::Compacted { revision: state.compacted() };
        }
        self.has_begun = true;
        let (mut events, mut bytes) = (Vec::new(), 0);
        let (mut read, mut end) = (0, latest + 1);
        for (revision, keys) in state.changed(self.next, latest) {
            let own = keys.iter().enumerate();
            for (at, _) in own.filter(|(_, key)| self.place.range().contains(key)) {
                let event = self.event(state, keys, at, revision);
                bytes += event.as_ref().map_or(0, Event::bytes);
                events.extend(event);
            }
            read += 1;
            if events.len() >= MOST_EVENTS || bytes >= MOST_BYTES || read >= MOST_REVISIONS {
                end = revision + 1;
                break;
            }
        }
        // Not the last that was found: revision 1 has no changes, and is asked for all the same.
        self.next = self.next.max(end);
        self.is_behind = self.next <= latest;
        self.place.reads_from(self.is_behind.then_some(self.next));
        match events.is_empty() && !self.is_behind {
            true => Step::UpToDate,
            false => Step::Events { events, more: self.is_behind },
        }
    }

    /// What the revision that changed these keys did to the one at a place among them.
    fn event(&self, state: &State, keys: &[Bytes], at: usize, revision: i64) -> Option<Event> {
        let key = &keys[at];
        let history = state.history(key)?;
        let version = match history.made_at(revision) {
            [only] => only,
            // The key is named as often as it was changed.
            made => made.get(keys[..at].iter().filter(|earlier| *earlier == key).count())?,
        };
        let is_unwanted =
            if version.is_deletion() { self.wanted.no_deletes } else { self.wanted.no_puts };
        if is_unwanted {
            return None;
        }
        let previous = history.at(revision - 1).filter(|_| self.wanted.previous);
        let found = |version: &Version| Found { key: key.clone(), version: version.clone() };
        let (key, version) = (key.clone(), version.clone());
        Some(Event { key: key.clone(), version, previous: previous.map(found) })
    }
}

impl Event {
    /// What it takes in an answer, about.
    pub(crate) fn bytes(&self) -> usize {
        let size = |found: &Found| found.key.len() + found.version.value.len() + 32;
        self.key.len() + self.version.value.len() + 32 + self.previous.as_ref().map_or(0, size)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::kv::entry::{Change, Entry};
    use crate::kv::hub::Hub;

    #[test]
    fn what_is_told_of_while_a_step_reads_is_read_by_the_next() {
        let (hub, mut state) = (Hub::new(1), State::default());
        let now = tokio::time::Instant::now().into_std();
        for revision in [2, 3] {
            let put = Change::Put { key: "a".into(), value: "v".into(), lease: 0 };
            state.apply(now, &Entry::Written { revision, changes: vec![put] });
        }
        let (place, latest) = hub.register(KeyRange::only("a".into()), None, Arc::default());
        let mut feed = Feed::new(place, Wanted::default(), latest + 1);
        let revisions = |step: Step| match step {
            Step::Events { events, .. } => {
                events.iter().map(|event| event.version.revision).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        hub.tell(2, &["a".into()]);
        let first = feed.step(&state, || {
            hub.tell(3, &["a".into()]);
            2
        });
        assert_eq!(revisions(first), [2]);
        assert!(feed.is_ready());
        assert_eq!(revisions(feed.step(&state, || 3)), [3]);
    }
}
