//! Between an author's events and those of the store.

use serde::de::value::MapDeserializer;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{DomainEvent, Metadata, NewEvent, Personal, Recorded, UpcastError, Upcasters};

/// An event cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Its fields do not become JSON.
    #[error("the event does not serialise")]
    Serialize(#[source] serde_json::Error),
    /// It does not look like a type with data.
    #[error(
        "the event serialises without `type` and `data`; put \
         `#[serde(tag = \"type\", content = \"data\")]` on its enum"
    )]
    Form,
    /// A member that should be personal is not there.
    #[error("`{event_type}` names `{member}` as personal and has no such member")]
    Personal {
        /// The type.
        event_type: String,
        /// The member.
        member: &'static str,
    },
}

/// An event of the store cannot be read as one of the author's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// An older or newer release wrote it.
    #[error("event {version} of `{stream}` has no form today")]
    Upcast {
        /// Its stream.
        stream: String,
        /// Its version.
        version: u64,
        /// Why.
        #[source]
        source: UpcastError,
    },
    /// The type is unknown or its data are not what it says.
    #[error("event {version} of `{stream}`, a `{event_type}`, does not deserialise")]
    Deserialize {
        /// Its stream.
        stream: String,
        /// Its version.
        version: u64,
        /// Its type.
        event_type: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// The event as the store takes it, with its personal members apart.
///
/// # Errors
///
/// [`EncodeError`] when its form is not that of a type with data.
pub fn encode<E: DomainEvent>(
    event: &E,
    id: Uuid,
    metadata: Metadata,
) -> Result<NewEvent, EncodeError> {
    let value = serde_json::to_value(event).map_err(EncodeError::Serialize)?;
    let Value::Object(mut object) = value else { return Err(EncodeError::Form) };
    let Some(Value::String(event_type)) = object.remove("type") else {
        return Err(EncodeError::Form);
    };
    // A variant without fields has no data.
    let mut data = object.remove("data").unwrap_or_default();
    if !object.is_empty() {
        return Err(EncodeError::Form);
    }
    let personal = match event.personal() {
        None => None,
        Some(wanted) => {
            let mut members = Map::new();
            for &member in wanted.members {
                let held = data.as_object_mut().and_then(|data| data.remove(member));
                let missing = || EncodeError::Personal { event_type: event_type.clone(), member };
                members.insert(member.to_owned(), held.ok_or_else(missing)?);
            }
            Some(Personal { subject: wanted.subject, members })
        }
    };
    let revision = E::revision(&event_type);
    Ok(NewEvent { id, event_type, revision, data, personal, metadata })
}

/// The event in today's form; none for one that means nothing any more.
///
/// # Errors
///
/// [`DecodeError`] when it has no form today.
pub fn decode<E: DomainEvent>(
    recorded: &Recorded,
    upcasters: &Upcasters,
) -> Result<Option<E>, DecodeError> {
    decode_owned(recorded.clone(), upcasters)
}

/// As [`decode`], of an event that nobody needs afterwards: its data are not copied.
pub(crate) fn decode_owned<E: DomainEvent>(
    recorded: Recorded,
    upcasters: &Upcasters,
) -> Result<Option<E>, DecodeError> {
    let Recorded { stream, version, event_type, revision, data, .. } = recorded;
    let place = || (stream.to_string(), version.get());
    let (event_type, data) = match upcasters.upcast(&event_type, revision, data, E::revision) {
        Ok(Some(today)) => today,
        Ok(None) => return Ok(None),
        Err(source) => {
            let (stream, version) = place();
            return Err(DecodeError::Upcast { stream, version, source });
        }
    };
    let data = Some(data).filter(|data| !data.is_null()).map(|data| ("data", data));
    let members = [Some(("type", Value::from(event_type.as_str()))), data];
    match E::deserialize(MapDeserializer::new(members.into_iter().flatten())) {
        Ok(event) => Ok(Some(event)),
        Err(source) => {
            let (stream, version) = place();
            Err(DecodeError::Deserialize { stream, version, event_type, source })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;
    use time::OffsetDateTime;

    use super::*;
    use crate::{PersonalMembers, Position, Privacy, StreamId, SubjectId, Version};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "type", content = "data")]
    enum Event {
        Joined { id: u32, email: Option<String> },
        Left,
        Moved(u32),
    }

    impl DomainEvent for Event {
        fn personal(&self) -> Option<PersonalMembers> {
            let Self::Joined { id, .. } = self else { return None };
            let subject = SubjectId::try_new(format!("user-{id}")).unwrap();
            Some(PersonalMembers { subject, members: &["email"] })
        }
    }

    #[test]
    fn an_event_is_a_type_with_data_and_personal_members_apart() {
        let joined = Event::Joined { id: 1, email: Some("a@b".into()) };
        let new = encode(&joined, Uuid::nil(), Metadata::default()).unwrap();
        assert_eq!((&*new.event_type, &new.data), ("Joined", &json!({ "id": 1 })));
        let personal = new.personal.unwrap();
        assert_eq!(personal.subject.as_str(), "user-1");
        assert_eq!(Value::Object(personal.members), json!({ "email": "a@b" }));
    }

    #[test]
    fn every_variant_is_read_as_it_was_written() {
        for event in [Event::Left, Event::Moved(7)] {
            let new = encode(&event, Uuid::nil(), Metadata::default()).unwrap();
            assert_eq!(read(&new.event_type, new.data), Ok(Some(event)));
        }
    }

    #[test]
    fn what_was_erased_is_missing() {
        let erased = Event::Joined { id: 1, email: None };
        assert_eq!(read("Joined", json!({ "id": 1 })), Ok(Some(erased)));
    }

    #[test]
    fn an_unknown_type_is_named_with_its_place() {
        let error = read("Vanished", json!({})).unwrap_err();
        assert!(error.contains("event 3 of `user-1`, a `Vanished`"), "{error}");
    }

    #[test]
    fn an_enum_without_the_two_members_is_refused_with_the_remedy() {
        #[derive(Clone, Serialize, Deserialize)]
        enum Plain {
            Joined { id: u32 },
        }
        impl DomainEvent for Plain {}
        let error = encode(&Plain::Joined { id: 1 }, Uuid::nil(), Metadata::default());
        assert!(error.unwrap_err().to_string().contains("serde(tag"));
    }

    #[test]
    fn a_personal_member_that_is_not_there_is_named() {
        #[derive(Clone, Serialize, Deserialize)]
        #[serde(tag = "type", content = "data")]
        enum Wrong {
            Joined { id: u32 },
        }
        impl DomainEvent for Wrong {
            fn personal(&self) -> Option<PersonalMembers> {
                let subject = SubjectId::try_new("a").unwrap();
                Some(PersonalMembers { subject, members: &["mail"] })
            }
        }
        let error = encode(&Wrong::Joined { id: 1 }, Uuid::nil(), Metadata::default());
        assert!(matches!(error, Err(EncodeError::Personal { member: "mail", .. })));
    }

    fn read(event_type: &str, data: Value) -> Result<Option<Event>, String> {
        let recorded = Recorded {
            position: Position::new(9),
            stream: StreamId::try_new("user", 1).unwrap(),
            version: Version::new(3),
            id: Uuid::nil(),
            event_type: event_type.to_owned(),
            revision: 1,
            data,
            privacy: Privacy::None,
            metadata: Metadata::default(),
            recorded_at: OffsetDateTime::UNIX_EPOCH,
        };
        decode(&recorded, &Upcasters::default()).map_err(|error| error.to_string())
    }
}
