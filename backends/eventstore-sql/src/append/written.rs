//! An append as text and columns, which is how both engines take it.

use regatta_eventstore::{
    Append, AppendError, Appended, Expected, Metadata, NewEvent, Position, StreamId, Version,
};
use uuid::Uuid;

use crate::engine::{broken, unsigned};

/// An append, column by column; all columns are as long as `ids`.
pub(crate) struct Written {
    pub(super) stream: StreamId,
    pub(super) expected: Expected,
    pub(super) ids: Vec<String>,
    pub(super) types: Vec<String>,
    pub(super) revisions: Vec<i32>,
    pub(super) data: Vec<String>,
    pub(super) metadata: Vec<String>,
    pub(super) subjects: Vec<Option<String>>,
    pub(super) sealed: Vec<Option<Vec<u8>>>,
    pub(super) outbox: Vec<String>,
}

/// An event that is there already.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) stream: String,
    pub(super) version: i64,
    pub(super) position: i64,
}

impl Written {
    /// Of an append that is about nobody.
    pub(crate) fn plain(append: &Append) -> Self {
        Self::new(append, vec![None; append.events.len()])
    }

    /// Of an append whose personal members are sealed.
    pub(super) fn new(append: &Append, sealed: Vec<Option<Vec<u8>>>) -> Self {
        let events = &append.events;
        let subject =
            |event: &NewEvent| event.personal.as_ref().map(|personal| personal.subject.to_string());
        let metadata = |event: &NewEvent| match event.metadata == Metadata::default() {
            true => "{}".to_owned(),
            false => event.metadata.to_json().to_string(),
        };
        Self {
            stream: append.stream.clone(),
            expected: append.expected,
            ids: events.iter().map(|event| event.id.to_string()).collect(),
            types: events.iter().map(|event| event.event_type.clone()).collect(),
            revisions: events.iter().map(|event| event.revision.cast_signed()).collect(),
            data: events.iter().map(|event| event.data.to_string()).collect(),
            metadata: events.iter().map(metadata).collect(),
            subjects: events.iter().map(subject).collect(),
            sealed,
            outbox: append.outbox.iter().map(|message| message.to_json_string()).collect(),
        }
    }

    /// How many events.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Its last event stands at this version and position.
    pub(super) fn done(version: i64, position: i64) -> Appended {
        let (version, position) = (unsigned(version), unsigned(position));
        let (version, position) = (Version::new(version), Position::new(position));
        Appended { version, position, repeated: false }
    }

    /// The stream has this version, which is not what was expected.
    pub(super) fn conflict(&self, actual: i64) -> AppendError {
        let (stream, expected) = (self.stream.clone(), self.expected);
        AppendError::Conflict { stream, expected, actual: Version::new(unsigned(actual)) }
    }

    /// The outcome of an append that was made before; an error when only some of it was.
    pub(super) fn repeated(&self, found: &[Found]) -> Result<Appended, AppendError> {
        let of = |id: &String| found.iter().find(|held| held.id == *id);
        let in_order: Vec<_> = self.ids.iter().filter_map(of).collect();
        let is_whole = in_order.len() == self.len()
            && (0..).zip(&in_order).all(|(number, held)| {
                held.stream == self.stream.as_str() && held.version == in_order[0].version + number
            });
        match in_order.last() {
            Some(last) if is_whole => {
                Ok(Appended { repeated: true, ..Self::done(last.version, last.position) })
            }
            _ => Err(self.taken(self.ids.iter().find(|id| of(id).is_some()))),
        }
    }

    /// The id of one of its events belongs to another append.
    pub(super) fn taken(&self, id: Option<&String>) -> AppendError {
        match id.or(self.ids.first()).map(|id| Uuid::parse_str(id)) {
            Some(Ok(id)) => AppendError::IdTaken { id },
            _ => broken("an append without an id").into(),
        }
    }
}
