//! The bounded log of the bus in memory.

use std::collections::{HashSet, VecDeque};

use time::OffsetDateTime;

use crate::{CloudEvent, Logged};

/// The newest events, numbered from 1 without gaps.
#[derive(Debug)]
pub(super) struct Log {
    events: VecDeque<Logged>,
    seen: HashSet<(String, String)>,
    next: u64,
    capacity: usize,
}

impl Log {
    pub(super) fn new(capacity: usize) -> Self {
        Self { events: VecDeque::new(), seen: HashSet::new(), next: 1, capacity }
    }

    /// Appends what it has not seen. `needed` is the oldest position that a group still wants; when
    /// room would have to be made beyond it, nothing is appended and the answer is false.
    #[must_use]
    pub(super) fn append(
        &mut self,
        events: &[CloudEvent],
        needed: u64,
        now: OffsetDateTime,
    ) -> bool {
        let mut fresh = Vec::new();
        let mut named = HashSet::new();
        for event in events {
            let name = name(event);
            if !self.seen.contains(&name) && named.insert(name) {
                fresh.push(event);
            }
        }
        let surplus = (self.events.len() + fresh.len()).saturating_sub(self.capacity);
        // The first that would stay; the log has no gaps.
        let first_kept = self.next - self.events.len() as u64 + surplus as u64;
        if surplus > self.events.len() || (surplus > 0 && first_kept > needed) {
            return false;
        }
        for logged in self.events.drain(..surplus) {
            self.seen.remove(&name(&logged.event));
        }
        self.seen.extend(named);
        for event in fresh {
            let event = event.clone();
            self.events.push_back(Logged { position: self.next, recorded_at: now, event });
            self.next += 1;
        }
        true
    }

    pub(super) fn get(&self, position: u64) -> Option<&Logged> {
        let first = self.events.front()?.position;
        self.events.get(usize::try_from(position.checked_sub(first)?).ok()?)
    }

    /// The first event after the position.
    pub(super) fn after(&self, position: u64) -> Option<&Logged> {
        let first = self.events.front()?.position;
        self.get((position + 1).max(first))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Logged> {
        self.events.iter()
    }

    /// The position of the newest event; 0 before the first.
    pub(super) fn newest(&self) -> u64 {
        self.next - 1
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }
}

fn name(event: &CloudEvent) -> (String, String) {
    (event.source().to_owned(), event.id().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    #[test]
    fn room_is_made_of_what_no_group_needs() {
        let mut log = Log::new(2);
        assert!(log.append(&[event(1), event(2)], 1, NOW));
        assert!(!log.append(&[event(3)], 1, NOW), "the first is still needed");
        assert!(log.append(&[event(3)], 2, NOW));
        let ids: Vec<_> = log.iter().map(|logged| logged.event.id()).collect();
        assert_eq!(ids, ["2", "3"]);
        assert_eq!((log.get(1), log.after(0).unwrap().position), (None, 2));
    }

    #[test]
    fn more_at_once_than_there_is_room_for_is_refused_whole() {
        let mut log = Log::new(2);
        assert!(log.append(&[event(1)], u64::MAX, NOW));
        assert!(!log.append(&[event(2), event(3), event(4)], u64::MAX, NOW));
        assert_eq!((log.len(), log.newest()), (1, 1));
    }

    #[test]
    fn an_event_is_taken_once_and_again_when_it_was_let_go() {
        let mut log = Log::new(1);
        assert!(log.append(&[event(1), event(1)], u64::MAX, NOW));
        assert!(log.append(&[event(1)], u64::MAX, NOW));
        assert_eq!(log.newest(), 1);
        assert!(log.append(&[event(2)], u64::MAX, NOW));
        assert!(log.append(&[event(1)], u64::MAX, NOW));
        assert_eq!(log.newest(), 3);
    }

    fn event(id: u32) -> CloudEvent {
        CloudEvent::try_new(id.to_string(), "/shop", "order.placed").unwrap()
    }
}
