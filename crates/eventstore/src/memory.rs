//! An event store in the memory of one process, for tests.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use regatta_events::CloudEvent;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Append, AppendError, Appended, EventStore, Filter, Outbox, Page, Position, Privacy, Queued,
    Range, Recorded, Snapshot, StoreError, StreamId, StreamInfo, SubjectId, Until, Version,
};

/// A store and outbox that forget everything with their process; clones share them.
///
/// It keeps personal data as they are and drops them when their subject is erased. It is not
/// bounded: tests end.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Kept>,
    snapshots: HashMap<StreamId, Snapshot>,
    checkpoints: HashMap<String, Position>,
    /// True once erased.
    subjects: HashMap<SubjectId, bool>,
    outbox: VecDeque<Queued>,
    set_aside: Vec<(Queued, String)>,
    queued: u64,
    turn: Option<(Uuid, Instant)>,
}

/// An event, with what is personal apart.
#[derive(Debug)]
struct Kept {
    recorded: Recorded,
    members: serde_json::Map<String, Value>,
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is made whole before the lock is let go.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was set aside from the outbox, with the reasons.
    pub fn set_aside_messages(&self) -> Vec<(CloudEvent, String)> {
        let state = self.lock();
        let messages = state.set_aside.iter();
        messages.map(|(queued, reason)| (queued.event.clone(), reason.clone())).collect()
    }
}

impl State {
    fn version(&self, stream: &StreamId) -> Version {
        self.last(stream).map_or(Version::NONE, |last| last.version)
    }

    fn last(&self, stream: &StreamId) -> Option<&Recorded> {
        self.events.iter().rev().map(|kept| &kept.recorded).find(|event| event.stream == *stream)
    }

    /// The outcome of an append that was made before; an error when only some of it was.
    fn repeated(&self, append: &Append) -> Result<Option<Appended>, AppendError> {
        let held = |id| self.events.iter().map(|kept| &kept.recorded).find(|event| event.id == id);
        let found: Vec<_> = append.events.iter().filter_map(|event| held(event.id)).collect();
        let Some(first) = found.first() else { return Ok(None) };
        let is_whole = found.len() == append.events.len()
            && (0..).zip(&found).all(|(number, event)| {
                event.stream == append.stream && event.version == first.version.plus(number)
            });
        match found.last() {
            Some(last) if is_whole => {
                let (version, position) = (last.version, last.position);
                Ok(Some(Appended { version, position, repeated: true }))
            }
            _ => Err(AppendError::IdTaken { id: first.id }),
        }
    }

    fn shown(&self, kept: &Kept) -> Recorded {
        let mut recorded = kept.recorded.clone();
        if let Privacy::About(subject) = &recorded.privacy {
            if self.subjects.get(subject) == Some(&true) {
                recorded.privacy = Privacy::Erased(subject.clone());
            } else if let Some(data) = recorded.data.as_object_mut() {
                data.extend(kept.members.clone());
            }
        }
        recorded
    }

    fn has_turn(&self, relay: Uuid) -> bool {
        self.turn.is_some_and(|(holder, until)| holder == relay && until > Instant::now())
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn append(&self, append: &Append) -> Result<Appended, AppendError> {
        append.validate()?;
        let mut state = self.lock();
        if let Some(repeated) = state.repeated(append)? {
            return Ok(repeated);
        }
        let (stream, expected) = (&append.stream, append.expected);
        let actual = state.version(stream);
        if !expected.holds(actual) {
            return Err(AppendError::Conflict { stream: stream.clone(), expected, actual });
        }
        for personal in append.events.iter().filter_map(|event| event.personal.as_ref()) {
            let subject = personal.subject.clone();
            if *state.subjects.entry(subject.clone()).or_default() {
                return Err(AppendError::Erased { subject });
            }
        }
        let earliest = state.last(stream).map(|last| last.recorded_at);
        let recorded_at = earliest.map_or(wall_clock(), |earliest| earliest.max(wall_clock()));
        let (mut version, mut position) = (actual, Position::START);
        for event in &append.events {
            version = version.plus(1);
            position = Position::new(state.events.len() as u64 + 1);
            let personal = event.personal.clone();
            let about = personal.as_ref().map(|personal| personal.subject.clone());
            let recorded = Recorded {
                position,
                stream: stream.clone(),
                version,
                id: event.id,
                event_type: event.event_type.clone(),
                revision: event.revision,
                data: event.data.clone(),
                privacy: about.map_or(Privacy::None, Privacy::About),
                metadata: event.metadata.clone(),
                recorded_at,
            };
            let members = personal.map(|personal| personal.members).unwrap_or_default();
            state.events.push(Kept { recorded, members });
        }
        for event in &append.outbox {
            state.queued += 1;
            let number = state.queued;
            state.outbox.push_back(Queued { number, event: event.clone() });
        }
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(Appended { version, position, repeated: false })
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        range: Range,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        let state = self.lock();
        let is_wanted = |event: &Recorded| {
            event.stream == *stream
                && event.version > range.after
                && match range.until {
                    Until::End => true,
                    Until::Version(version) => event.version <= version,
                    Until::Time(time) => event.recorded_at <= time,
                }
        };
        let wanted = state.events.iter().filter(|kept| is_wanted(&kept.recorded));
        Ok(wanted.take(limit as usize).map(|kept| state.shown(kept)).collect())
    }

    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let state = self.lock();
        let first = usize::try_from(after.get()).unwrap_or(usize::MAX).min(state.events.len());
        let end = state.events.len().min(first.saturating_add(limit as usize));
        let looked = &state.events[first..end];
        let passes = |event: &Recorded| filter.passes(event.stream.category(), &event.event_type);
        Ok(Page {
            events: looked
                .iter()
                .filter(|kept| passes(&kept.recorded))
                .map(|kept| state.shown(kept))
                .collect(),
            next: Position::new(end as u64).max(after),
            is_last: end == state.events.len(),
        })
    }

    async fn find(&self, id: Uuid) -> Result<Option<Recorded>, StoreError> {
        let state = self.lock();
        let found = state.events.iter().find(|kept| kept.recorded.id == id);
        Ok(found.map(|kept| state.shown(kept)))
    }

    async fn streams(
        &self,
        category: Option<&str>,
        after: Option<&StreamId>,
        limit: u32,
    ) -> Result<Vec<StreamInfo>, StoreError> {
        let state = self.lock();
        let mut streams = BTreeMap::new();
        for event in state.events.iter().map(|kept| &kept.recorded) {
            let is_wanted = category.is_none_or(|category| event.stream.category() == category)
                && after.is_none_or(|after| event.stream > *after);
            if is_wanted {
                let (version, recorded_at) = (event.version, event.recorded_at);
                let stream = event.stream.clone();
                streams.insert(event.stream.clone(), StreamInfo { stream, version, recorded_at });
            }
        }
        Ok(streams.into_values().take(limit as usize).collect())
    }

    async fn snapshot(
        &self,
        stream: &StreamId,
        revision: u32,
    ) -> Result<Option<Snapshot>, StoreError> {
        let state = self.lock();
        let held = state.snapshots.get(stream);
        Ok(held.filter(|snapshot| snapshot.revision == revision).cloned())
    }

    async fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let mut state = self.lock();
        let is_about_erased = state.events.iter().any(|kept| {
            kept.recorded.stream == snapshot.stream
                && matches!(state.shown(kept).privacy, Privacy::Erased(_))
        });
        let held = state.snapshots.get(&snapshot.stream);
        let is_newer = held.is_none_or(|held| {
            held.revision != snapshot.revision || held.version < snapshot.version
        });
        if is_newer && !is_about_erased {
            state.snapshots.insert(snapshot.stream.clone(), snapshot.clone());
        }
        Ok(())
    }

    async fn checkpoint(&self, name: &str) -> Result<Position, StoreError> {
        Ok(self.lock().checkpoints.get(name).copied().unwrap_or_default())
    }

    async fn move_checkpoint(
        &self,
        name: &str,
        from: Position,
        to: Position,
    ) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let held = state.checkpoints.entry(name.to_owned()).or_default();
        let is_mine = *held == from;
        if is_mine {
            *held = to;
        }
        Ok(is_mine)
    }

    async fn erase(&self, subject: &SubjectId) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let Some(is_erased) = state.subjects.get_mut(subject) else { return Ok(false) };
        *is_erased = true;
        let mut streams = Vec::new();
        for kept in &mut state.events {
            if kept.recorded.privacy == Privacy::About(subject.clone()) {
                kept.members.clear();
                streams.push(kept.recorded.stream.clone());
            }
        }
        state.snapshots.retain(|stream, _| !streams.contains(stream));
        Ok(true)
    }

    async fn wait(&self, after: Position) {
        let changed = self.shared.changed.notified();
        tokio::pin!(changed);
        // From here on a change is not missed.
        changed.as_mut().enable();
        if self.lock().events.len() as u64 <= after.get() {
            changed.await;
        }
    }
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn claim(
        &self,
        relay: Uuid,
        lease: Duration,
        limit: u32,
    ) -> Result<Option<Vec<Queued>>, StoreError> {
        let mut state = self.lock();
        let now = Instant::now();
        if state.outbox.is_empty() {
            return Ok(Some(Vec::new()));
        }
        if state.turn.is_some_and(|(holder, until)| holder != relay && until > now) {
            return Ok(None);
        }
        state.turn = Some((relay, now + lease));
        Ok(Some(state.outbox.iter().take(limit as usize).cloned().collect()))
    }

    async fn published(&self, relay: Uuid, numbers: &[u64]) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let is_mine = state.has_turn(relay);
        if is_mine {
            state.outbox.retain(|queued| !numbers.contains(&queued.number));
        }
        Ok(is_mine)
    }

    async fn set_aside(&self, relay: Uuid, number: u64, reason: &str) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let is_mine = state.has_turn(relay);
        let place = state.outbox.iter().position(|queued| queued.number == number);
        if let (true, Some(place)) = (is_mine, place)
            && let Some(queued) = state.outbox.remove(place)
        {
            state.set_aside.push((queued, reason.to_owned()));
        }
        Ok(is_mine)
    }

    async fn release(&self, relay: Uuid) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.has_turn(relay) {
            state.turn = None;
        }
        Ok(())
    }

    async fn backlog(&self) -> Result<(u64, u64), StoreError> {
        let state = self.lock();
        Ok((state.outbox.len() as u64, state.set_aside.len() as u64))
    }

    async fn wait_for_message(&self) {
        let changed = self.shared.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if self.lock().outbox.is_empty() {
            changed.await;
        }
    }
}

/// When an event is recorded.
fn wall_clock() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
