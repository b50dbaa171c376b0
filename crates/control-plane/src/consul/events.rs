//! The latest events, in memory: a bounded ring, as Consul's agents have.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;
use uuid::Uuid;

/// Events that are kept, as in Consul; a further one lets go of the oldest.
const KEPT: usize = 256;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) payload: Bytes,
    pub(crate) node_filter: String,
    pub(crate) service_filter: String,
    pub(crate) tag_filter: String,
    /// Counts events since the start.
    pub(crate) time: u64,
}

/// The latest events; cheap to clone. They are gone after a restart, as in Consul.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    ring: Arc<Mutex<Ring>>,
    fired: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Event>,
    time: u64,
}

impl Events {
    /// Adds an event and wakes who waits for one.
    pub(crate) fn fire(&self, mut event: Event) {
        {
            let mut ring = self.lock();
            ring.time += 1;
            event.time = ring.time;
            if ring.events.len() >= KEPT {
                ring.events.pop_front();
            }
            ring.events.push_back(event);
        }
        self.fired.send_replace(());
    }

    /// The events of a name, or all with none, oldest first; and the index that says which is the
    /// latest.
    pub(crate) fn list(&self, name: Option<&str>) -> (u64, Vec<Event>) {
        let ring = self.lock();
        let named = ring.events.iter().filter(|event| name.is_none_or(|name| event.name == name));
        let events: Vec<_> = named.cloned().collect();
        (events.last().map_or(1, |event| index(event.id)), events)
    }

    /// Sees events from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.fired.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        // Each call leaves the ring whole even if a panic cuts it.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Not an order but a name for the event: both halves of its id in one, as Consul makes it.
fn index(id: Uuid) -> u64 {
    let (high, low) = id.as_u64_pair();
    high ^ low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> Event {
        let [node_filter, service_filter, tag_filter] = [const { String::new() }; 3];
        let (id, payload) = (Uuid::new_v4(), Bytes::new());
        Event {
            id,
            name: name.to_owned(),
            payload,
            node_filter,
            service_filter,
            tag_filter,
            time: 0,
        }
    }

    #[test]
    fn the_latest_are_kept_and_the_index_names_the_last_of_those_asked_for() {
        let events = Events::default();
        assert_eq!(events.list(None), (1, Vec::new()));
        let first = event("a");
        events.fire(first.clone());
        for _ in 0..KEPT {
            events.fire(event("b"));
        }
        let (_, all) = events.list(None);
        assert_eq!((all.len(), all[0].time), (KEPT, 2));
        assert_eq!(events.list(Some("a")), (1, Vec::new()));
        events.fire(first.clone());
        assert_eq!(events.list(Some("a")).0, index(first.id));
        assert_eq!(events.list(None).0, index(first.id));
    }

    #[test]
    fn the_index_is_both_halves_of_the_id() {
        let id = Uuid::parse_str("00000000-0000-0001-0000-000000000002").unwrap();
        assert_eq!(index(id), 3);
    }
}
