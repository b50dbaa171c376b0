//! The port of event stores.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use regatta_events::CloudEvent;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Expected, Filter, NewEvent, Position, Recorded, StreamId, SubjectId, Version};

/// Keeps streams of events, each append-only and numbered from 1 without gaps.
///
/// Implementations must pass every check in `conformance`.
///
/// - **One winner per version**: of two appends that expect the same version, one is told of the
///   conflict and wrote nothing.
/// - **Idempotent**: events that are all there already, in this stream and in this order, are
///   answered as they were the first time, whatever was expected.
/// - **One order for all readers**: whoever reads all streams after a position never misses an event
///   that comes to lie before it later.
#[async_trait]
pub trait EventStore: fmt::Debug + Send + Sync + 'static {
    /// Appends the events, and puts the messages into the outbox, all or nothing.
    ///
    /// # Errors
    ///
    /// [`AppendError::Conflict`] when the stream is not as expected; load it again and decide anew.
    /// After [`AppendError::Store`] the events may be there; repeating the same append is safe.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped append may have happened. Repeating it, with the same ids, is safe.
    async fn append(&self, append: &Append) -> Result<Appended, AppendError>;

    /// Reads a stream, oldest first; nothing when it does not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium; reads may be repeated.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn read_stream(
        &self,
        stream: &StreamId,
        range: Range,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError>;

    /// Reads the events of all streams after a position, oldest first, looking at `limit` or fewer.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium; reads may be repeated.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: u32,
    ) -> Result<Page, StoreError>;

    /// Finds one event by its id.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium; reads may be repeated.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn find(&self, id: Uuid) -> Result<Option<Recorded>, StoreError>;

    /// The streams of a category, or of all, by name, after this one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium; reads may be repeated.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn streams(
        &self,
        category: Option<&str>,
        after: Option<&StreamId>,
        limit: u32,
    ) -> Result<Vec<StreamInfo>, StoreError>;

    /// The newest snapshot of a stream, if its revision is this one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium; reads may be repeated.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn snapshot(
        &self,
        stream: &StreamId,
        revision: u32,
    ) -> Result<Option<Snapshot>, StoreError>;

    /// Keeps a snapshot in place of an older one. A stream with events about a forgotten person
    /// keeps none: it might remember what was erased.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium; a snapshot that is not kept costs time and nothing else.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it is kept or not.
    async fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError>;

    /// How far the reader of this name has come; [`Position::START`] when it is new.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium; reads may be repeated.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn checkpoint(&self, name: &str) -> Result<Position, StoreError>;

    /// Moves a checkpoint from where it was to where it is now; false when another one moved it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium: it may have been moved.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have moved it.
    async fn move_checkpoint(
        &self,
        name: &str,
        from: Position,
        to: Position,
    ) -> Result<bool, StoreError>;

    /// Forgets a person: the key goes, and with it everything personal in every event; snapshots of
    /// those streams go too. False when nothing was known about the person.
    ///
    /// What is not erased: copies outside the store, such as projections, published events and
    /// backups.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the medium: it may have been done; repeating it is safe.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have erased.
    async fn erase(&self, subject: &SubjectId) -> Result<bool, StoreError>;

    /// Waits until there may be something after this position; it may return without.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only waits.
    async fn wait(&self, after: Position);
}

/// What to append.
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    /// To which stream.
    pub stream: StreamId,
    /// What the writer expects of it.
    pub expected: Expected,
    /// The events, oldest first: 1 to 1000.
    pub events: Vec<NewEvent>,
    /// Messages to other services, published after the append and only if it happens; in order.
    pub outbox: Vec<CloudEvent>,
}

/// What was appended, now or the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The version of the last event.
    pub version: Version,
    /// The position of the last event.
    pub position: Position,
    /// The events were there already; nothing was written, nor put into the outbox.
    pub repeated: bool,
}

/// Which part of a stream to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// What comes after this version.
    pub after: Version,
    /// Up to where.
    pub until: Until,
}

/// The end of what to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The end of the stream.
    End,
    /// This version, itself included.
    Version(Version),
    /// What was recorded at this time or before.
    Time(OffsetDateTime),
}

impl Default for Range {
    fn default() -> Self {
        Self { after: Version::NONE, until: Until::End }
    }
}

/// A part of all events.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Those that pass the filter.
    pub events: Vec<Recorded>,
    /// Up to where the store has looked: read on from here.
    pub next: Position,
    /// The store has looked at everything that there was.
    pub is_last: bool,
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its name.
    pub stream: StreamId,
    /// The version of its last event.
    pub version: Version,
    /// When its last event was recorded.
    pub recorded_at: OffsetDateTime,
}

/// The state of an aggregate at a version, to spare reading what is before.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Whose.
    pub stream: StreamId,
    /// The last event that is in it.
    pub version: Version,
    /// The revision of its form.
    pub revision: u32,
    /// The state.
    pub state: Value,
}

/// An append did not happen, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The stream is not as expected.
    #[error("stream `{stream}` has version {actual} and {expected} was expected; load it again")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// What was expected.
        expected: Expected,
        /// What it has; may be out of date.
        actual: Version,
    },
    /// Some of the events are in the store already, and not as the same append.
    #[error("event `{id}` is in the store already; give each event an id of its own")]
    IdTaken {
        /// The id of one of them.
        id: Uuid,
    },
    /// The person is forgotten, and new personal data is not taken.
    #[error("subject `{subject}` was erased; leave the personal data out or use another subject")]
    Erased {
        /// The person.
        subject: SubjectId,
    },
    /// The append itself is not right.
    #[error("the append is not valid")]
    Invalid(#[from] InvalidAppend),
    /// The store failed; the events may be there.
    #[error("the event store failed")]
    Store(#[from] StoreError),
}

/// An append is not right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAppend {
    /// Too few or too many events.
    #[error("`{0}` events at once; append 1 to 1000")]
    Count(usize),
    /// The type is none.
    #[error("event type `{0}` is not valid; use 1 to 200 bytes without control characters")]
    EventType(String),
    /// Revisions begin with 1.
    #[error("revision `{0}` is out of range; use 1 to 2147483647")]
    Revision(u32),
    /// Personal members belong to an object that lacks them.
    #[error("the personal data of event `{0}` does not fit; its data must be an object without it")]
    Personal(Uuid),
    /// Two events of the append have one id.
    #[error("event id `{0}` is there twice; give each event an id of its own")]
    Twice(Uuid),
}

/// The store cannot do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The medium does not answer. What was being written may be there or not.
    #[error("the event store does not answer; see that its database runs")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The medium answers, and no event store was ever made there.
    #[error(
        "there is no event store in this database; name the one of a service that keeps events"
    )]
    Absent(#[source] Box<dyn Error + Send + Sync>),
    /// What is there is not what this program writes.
    #[error("the event store holds something that cannot be read")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl Append {
    /// An append without messages.
    pub fn new(stream: StreamId, expected: Expected, events: Vec<NewEvent>) -> Self {
        Self { stream, expected, events, outbox: Vec::new() }
    }

    /// Checks what no store takes; every store does this first.
    ///
    /// # Errors
    ///
    /// [`InvalidAppend`] names the first thing that is wrong.
    pub fn validate(&self) -> Result<(), InvalidAppend> {
        if !(1..=1000).contains(&self.events.len()) {
            return Err(InvalidAppend::Count(self.events.len()));
        }
        let mut ids = std::collections::HashSet::new();
        for event in &self.events {
            let is_type = (1..=200).contains(&event.event_type.len())
                && !event.event_type.chars().any(char::is_control);
            if !is_type {
                return Err(InvalidAppend::EventType(event.event_type.clone()));
            }
            if !(1..=i32::MAX.unsigned_abs()).contains(&event.revision) {
                return Err(InvalidAppend::Revision(event.revision));
            }
            if let Some(personal) = &event.personal {
                let Value::Object(data) = &event.data else {
                    return Err(InvalidAppend::Personal(event.id));
                };
                if personal.members.keys().any(|member| data.contains_key(member)) {
                    return Err(InvalidAppend::Personal(event.id));
                }
            }
            if !ids.insert(event.id) {
                return Err(InvalidAppend::Twice(event.id));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Personal;

    #[test]
    fn what_no_store_takes_is_named() {
        let good = event(1);
        assert_eq!(validate(vec![good.clone()]), Ok(()));
        assert_eq!(validate(vec![]), Err(InvalidAppend::Count(0)));
        let many = (0..1001).map(event).collect();
        assert_eq!(validate(many), Err(InvalidAppend::Count(1001)));
        assert_eq!(validate(vec![good.clone(), good.clone()]), Err(InvalidAppend::Twice(good.id)));
        let unnamed = NewEvent { event_type: String::new(), ..good.clone() };
        assert!(matches!(validate(vec![unnamed]), Err(InvalidAppend::EventType(_))));
        let zero = NewEvent { revision: 0, ..good };
        assert_eq!(validate(vec![zero]), Err(InvalidAppend::Revision(0)));
    }

    #[test]
    fn personal_members_complete_an_object() {
        let personal = |data| NewEvent {
            data,
            personal: Some(Personal {
                subject: SubjectId::try_new("user-1").unwrap(),
                members: serde_json::from_str(r#"{ "email": "a@b" }"#).unwrap(),
            }),
            ..event(1)
        };
        assert_eq!(validate(vec![personal(json!({ "id": 1 }))]), Ok(()));
        for data in [json!(null), json!([1]), json!({ "email": "there" })] {
            assert!(matches!(validate(vec![personal(data)]), Err(InvalidAppend::Personal(_))));
        }
    }

    fn event(id: u128) -> NewEvent {
        NewEvent::new(Uuid::from_u128(id), "Placed", json!({}))
    }

    fn validate(events: Vec<NewEvent>) -> Result<(), InvalidAppend> {
        Append::new(StreamId::try_new("order", 1).unwrap(), Expected::Any, events).validate()
    }
}
