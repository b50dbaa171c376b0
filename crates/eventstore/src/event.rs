//! Events as a store takes them and gives them back.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use regatta_events::{CloudEvent, InvalidEvent};

use crate::{Position, StreamId, SubjectId, Version};

/// An event to append.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// Names it for ever: an event with the same id is not appended twice.
    pub id: Uuid,
    /// What happened, such as `OrderPlaced`; 1 to 200 bytes.
    pub event_type: String,
    /// The revision of the type's data, from 1; see [`crate::Upcasters`].
    pub revision: u32,
    /// The data.
    pub data: Value,
    /// The part of the data that is about a person.
    pub personal: Option<Personal>,
    /// Where it comes from.
    pub metadata: Metadata,
}

/// Data about a person, kept under the person's own key until the person is forgotten.
#[derive(Clone, Debug, PartialEq)]
pub struct Personal {
    /// Whom it is about.
    pub subject: SubjectId,
    /// Members that belong to the event's data, which is an object without them.
    pub members: Map<String, Value>,
}

/// Where an event comes from; none of it changes what it means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// What all events of one business transaction share.
    pub correlation_id: Option<String>,
    /// The id of the command or event that caused it.
    pub causation_id: Option<String>,
    /// The W3C trace context in which it happened.
    pub traceparent: Option<String>,
}

/// An event of the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its place among all.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: Version,
    /// Its id.
    pub id: Uuid,
    /// What happened.
    pub event_type: String,
    /// The revision in which it was written.
    pub revision: u32,
    /// The data; what is about a person is in it unless that was erased.
    pub data: Value,
    /// Whether it is about a person.
    pub privacy: Privacy,
    /// Where it comes from.
    pub metadata: Metadata,
    /// When the store took it; never earlier than the event before it in the stream.
    pub recorded_at: OffsetDateTime,
}

/// Whether an event is about a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Privacy {
    /// It is not.
    #[default]
    None,
    /// It is about this person.
    About(SubjectId),
    /// It was about this person, who is forgotten; those members of the data are gone.
    Erased(SubjectId),
}

impl NewEvent {
    /// An event of revision 1 without metadata.
    pub fn new(id: Uuid, event_type: impl Into<String>, data: Value) -> Self {
        Self {
            id,
            event_type: event_type.into(),
            revision: 1,
            data,
            personal: None,
            metadata: Metadata::default(),
        }
    }
}

impl NewEvent {
    /// The message that tells other services of this event: its id and where it comes from are those
    /// of the event, its subject and its order those of the stream. It carries no data yet, and no
    /// time: a repository sets it when it appends the event.
    ///
    /// `source` is the service, such as `/order-service`; `event_type` such as `order.placed`. What
    /// of the metadata is no attribute, since it has a control character, is left out.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] when source or type are not such.
    pub fn to_message(
        &self,
        stream: &StreamId,
        source: &str,
        event_type: &str,
    ) -> Result<CloudEvent, InvalidEvent> {
        let Metadata { correlation_id, causation_id, traceparent } = &self.metadata;
        let mut message = CloudEvent::try_new(self.id.to_string(), source, event_type)?
            .with_subject(stream.as_str())?
            .with_extension(CloudEvent::PARTITION_KEY, stream.as_str())?;
        for (name, value) in [
            (CloudEvent::CORRELATION_ID, correlation_id),
            (CloudEvent::CAUSATION_ID, causation_id),
            (CloudEvent::TRACEPARENT, traceparent),
        ] {
            let Some(value) = value else { continue };
            if let Ok(with) = message.clone().with_extension(name, value.as_str()) {
                message = with;
            }
        }
        Ok(message)
    }
}

impl Metadata {
    /// As a JSON object without what is not set.
    pub fn to_json(&self) -> Value {
        let members = [
            ("correlation_id", &self.correlation_id),
            ("causation_id", &self.causation_id),
            ("traceparent", &self.traceparent),
        ];
        let set = members.into_iter().filter_map(|(name, value)| {
            value.as_ref().map(|value| (name.to_owned(), Value::from(value.as_str())))
        });
        Value::Object(set.collect())
    }

    /// From a JSON object; other members are left alone.
    pub fn from_json(value: &Value) -> Self {
        let member = |name| value.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            correlation_id: member("correlation_id"),
            causation_id: member("causation_id"),
            traceparent: member("traceparent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_ordered_by_its_stream_and_tells_what_caused_it() {
        let mut event = NewEvent::new(Uuid::from_u128(7), "Placed", serde_json::json!({}));
        event.metadata.correlation_id = Some("c".into());
        event.metadata.causation_id = Some("d".into());
        event.metadata.traceparent = Some("e".into());
        let stream = StreamId::try_new("order", 1).unwrap();
        let message = event.to_message(&stream, "/order-service", "order.placed").unwrap();
        assert_eq!(message.id(), event.id.to_string());
        assert_eq!(
            (message.subject(), message.partition_key()),
            (Some("order-1"), Some("order-1"))
        );
        let extension = |name| message.extension(name).unwrap_or_default();
        assert_eq!(extension(CloudEvent::CORRELATION_ID), "c");
        assert_eq!(extension(CloudEvent::CAUSATION_ID), "d");
        assert_eq!(extension(CloudEvent::TRACEPARENT), "e");
        let mut bare = NewEvent::new(Uuid::from_u128(7), "Placed", serde_json::json!({}));
        bare.metadata.correlation_id = Some("two\nlines".into());
        let bare = bare.to_message(&stream, "/order-service", "order.placed").unwrap();
        assert_eq!(
            bare.extensions().len(),
            1,
            "what is not known, or is no attribute, is not told"
        );
    }

    #[test]
    fn metadata_is_read_as_it_is_written() {
        let whole = Metadata {
            correlation_id: Some("a".into()),
            causation_id: Some("b".into()),
            traceparent: Some("c".into()),
        };
        assert_eq!(Metadata::from_json(&whole.to_json()), whole);
        assert_eq!(Metadata::default().to_json(), serde_json::json!({}));
    }
}
