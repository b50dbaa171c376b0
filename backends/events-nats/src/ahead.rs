//! What a process has read ahead of its group, bounded.

use std::collections::BTreeMap;

use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
use futures::StreamExt;
use regatta_events::{BusError, CloudEvent, TypeFilter};

use crate::group::Group;
use crate::link::{Link, unavailable};
use crate::log;

/// So many events are read ahead at most, and so many bytes of them.
const MOST_EVENTS: usize = 256;
const MOST_BYTES: usize = 8 << 20;

/// How many the client asks for at a time.
const BATCH: i64 = 64;

/// Events of the log from somewhere on; those of types that are not wanted without their content.
#[derive(Default)]
pub(crate) struct Ahead {
    reader: Option<Ordered>,
    types: TypeFilter,
    /// Everything after this position that was read is here.
    after: u64,
    events: BTreeMap<u64, Option<Entry>>,
    bytes: usize,
}

struct Entry {
    event: CloudEvent,
    bytes: usize,
}

impl Ahead {
    /// Reads on after this position, these types. What is read already is used.
    pub(crate) async fn want(
        &mut self,
        link: &Link,
        types: &TypeFilter,
        after: u64,
    ) -> Result<(), BusError> {
        if self.reader.is_some() && self.types == *types && self.after <= after {
            return Ok(());
        }
        self.forget();
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
            replay_policy: ReplayPolicy::Instant,
            max_batch: BATCH,
            ..OrderedConfig::default()
        };
        let streams = link.streams().await?;
        let consumer = streams.events.create_consumer(config).await.map_err(unavailable)?;
        self.reader = Some(consumer.messages().await.map_err(unavailable)?);
        self.types = types.clone();
        self.after = after;
        Ok(())
    }

    /// Reads an event and what is there besides; waits for ever while there is no room.
    pub(crate) async fn read(&mut self, position: u64) {
        if self.bytes >= MOST_BYTES {
            self.let_go();
        }
        let ahead = self.events.range(position + 1..).count();
        let is_full = ahead >= MOST_EVENTS || self.bytes >= MOST_BYTES;
        let Some(reader) = self.reader.as_mut().filter(|_| !is_full) else {
            return std::future::pending().await;
        };
        let message = match reader.next().await {
            Some(Ok(message)) => message,
            // It is made anew when somebody wants it.
            Some(Err(_)) | None => {
                self.reader = None;
                return;
            }
        };
        let Ok(info) = message.info() else { return };
        let bytes = message.payload.len();
        // What another program has put there is none of ours.
        let event = log::read(&message.payload)
            .filter(|event| self.types.passes(event.event_type()))
            .map(|event| Entry { event, bytes });
        if event.is_some() {
            self.bytes += bytes;
        }
        self.events.insert(info.stream_sequence, event);
    }

    /// The first event after this position that was read, without its content when it is not
    /// wanted.
    pub(crate) fn after(&self, position: u64) -> Option<(u64, Option<&CloudEvent>)> {
        let (position, entry) = self.events.range(position + 1..).next()?;
        Some((*position, entry.as_ref().map(|entry| &entry.event)))
    }

    pub(crate) fn get(&self, position: u64) -> Option<&CloudEvent> {
        self.events.get(&position)?.as_ref().map(|entry| &entry.event)
    }

    /// Lets go of what the group has behind it.
    pub(crate) fn prune(&mut self, group: &Group) {
        self.after = self.after.max(group.position);
        let bytes = &mut self.bytes;
        self.events.retain(|position, entry| {
            let stays = *position > group.position || group.is_open(*position);
            if !stays && let Some(entry) = entry {
                *bytes -= entry.bytes;
            }
            stays
        });
    }

    /// Lets go of what is open: it is read from the log again when its turn comes, and many that wait
    /// behind one of their key do not take the room of others.
    fn let_go(&mut self) {
        let ahead = self.events.split_off(&(self.after + 1));
        self.events = ahead;
        self.bytes = self.events.values().flatten().map(|entry| entry.bytes).sum();
    }

    /// Reads anew the next time.
    pub(crate) fn forget(&mut self) {
        self.reader = None;
        self.events.clear();
        self.bytes = 0;
    }
}
