//! A CloudEvent 1.0: what happened, where, and its data.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;

/// Names that are no extensions: the attributes of the specification and the JSON format's members.
const RESERVED: [&str; 10] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
    "data_base64",
];
const LONGEST_NAME: usize = 64;

/// Something that happened.
///
/// `source` and `id` together name it for ever: two events with the same pair are the same event.
///
/// # Source
///
/// CloudEvents 1.0.2, sections "Context attributes" and "Event data".
#[derive(Clone, Debug, PartialEq)]
pub struct CloudEvent {
    id: String,
    source: String,
    event_type: String,
    subject: Option<String>,
    time: Option<OffsetDateTime>,
    content_type: Option<String>,
    data_schema: Option<String>,
    extensions: BTreeMap<String, Extension>,
    data: Data,
}

/// What an event carries.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Data {
    /// Nothing.
    #[default]
    None,
    /// A JSON value.
    Json(Value),
    /// Text of another content type.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

/// The value of an extension attribute. URIs, times and bytes travel as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// `true` or `false`.
    Boolean(bool),
    /// A number of 32 bits.
    Integer(i32),
    /// Text without control characters.
    Text(String),
}

/// An attribute breaks the specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEvent {
    /// A required attribute, or an optional one that is set, has no characters.
    #[error("attribute `{0}` is empty; give it a value or leave it out")]
    Empty(&'static str),
    /// Control characters are not for attributes.
    #[error("attribute `{name}` has a control character; remove it")]
    ControlCharacter {
        /// The attribute.
        name: String,
    },
    /// `source` and `dataschema` are URI references.
    #[error("`{value}` in attribute `{name}` is not a URI reference; percent-encode what is not")]
    NotAUri {
        /// The attribute.
        name: &'static str,
        /// What it says.
        value: String,
    },
    /// Extensions are named with lower-case letters and digits.
    #[error(
        "extension name `{0}` is not valid; use 1 to 64 of a-z and 0-9, and no attribute's name"
    )]
    ExtensionName(String),
}

impl CloudEvent {
    /// The extension that keeps events in order: those with the same value come one after the other.
    pub const PARTITION_KEY: &'static str = "partitionkey";
    /// The extension with the W3C trace context of what caused the event.
    pub const TRACEPARENT: &'static str = "traceparent";
    /// The extension that all events of one business transaction share.
    pub const CORRELATION_ID: &'static str = "correlationid";
    /// The extension with the id of the event or command that caused this one.
    pub const CAUSATION_ID: &'static str = "causationid";

    /// An event without data.
    ///
    /// `id` is unique within `source`, a URI reference such as `/order-service`; `event_type` is
    /// such as `order.placed`.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] names the attribute that breaks the specification.
    pub fn try_new(
        id: impl Into<String>,
        source: impl Into<String>,
        event_type: impl Into<String>,
    ) -> Result<Self, InvalidEvent> {
        let (id, source, event_type) = (id.into(), source.into(), event_type.into());
        check_text("id", &id)?;
        check_uri("source", &source)?;
        check_text("type", &event_type)?;
        Ok(Self {
            id,
            source,
            event_type,
            subject: None,
            time: None,
            content_type: None,
            data_schema: None,
            extensions: BTreeMap::new(),
            data: Data::None,
        })
    }

    /// Carries a JSON value; the content type becomes `application/json`.
    #[must_use]
    pub fn with_json(mut self, value: Value) -> Self {
        self.content_type = Some("application/json".to_owned());
        self.data = Data::Json(value);
        self
    }

    /// Carries text or bytes of a content type.
    ///
    /// Receivers decide by the content type: bytes under `text/plain` may arrive as text. A JSON
    /// content type takes its data from [`CloudEvent::with_json`].
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] when the content type is empty or holds a control character.
    pub fn with_data(
        mut self,
        content_type: impl Into<String>,
        data: Data,
    ) -> Result<Self, InvalidEvent> {
        let content_type = content_type.into();
        check_text("datacontenttype", &content_type)?;
        self.content_type = Some(content_type);
        self.data = data;
        Ok(self)
    }

    /// Says what of the source it is about, such as the id of an order.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] when it is empty or holds a control character.
    pub fn with_subject(mut self, subject: impl Into<String>) -> Result<Self, InvalidEvent> {
        let subject = subject.into();
        check_text("subject", &subject)?;
        self.subject = Some(subject);
        Ok(self)
    }

    /// Says when it happened.
    #[must_use]
    pub fn with_time(mut self, time: OffsetDateTime) -> Self {
        self.time = Some(time);
        self
    }

    /// Names the schema that the data follows, a URI.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] when it is not a URI reference.
    pub fn with_data_schema(mut self, schema: impl Into<String>) -> Result<Self, InvalidEvent> {
        let schema = schema.into();
        check_uri("dataschema", &schema)?;
        self.data_schema = Some(schema);
        Ok(self)
    }

    /// Sets an extension attribute, in place of an earlier value.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] when the name or the value is not one.
    pub fn with_extension(
        mut self,
        name: impl Into<String>,
        value: impl Into<Extension>,
    ) -> Result<Self, InvalidEvent> {
        let (name, value) = (name.into(), value.into());
        let is_name = (1..=LONGEST_NAME).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && !RESERVED.contains(&name.as_str());
        if !is_name {
            return Err(InvalidEvent::ExtensionName(name));
        }
        if let Extension::Text(text) = &value
            && text.chars().any(char::is_control)
        {
            return Err(InvalidEvent::ControlCharacter { name });
        }
        self.extensions.insert(name, value);
        Ok(self)
    }

    /// Its id, unique within the source.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it happened.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What happened, such as `order.placed`.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// What of the source it is about.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// When it happened.
    pub fn time(&self) -> Option<OffsetDateTime> {
        self.time
    }

    /// The content type of the data; without one the data is JSON.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The schema of the data.
    pub fn data_schema(&self) -> Option<&str> {
        self.data_schema.as_deref()
    }

    /// The data.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The data, when it is JSON.
    pub fn json(&self) -> Option<&Value> {
        match &self.data {
            Data::Json(value) => Some(value),
            _ => None,
        }
    }

    /// Every extension, by name.
    pub fn extensions(&self) -> &BTreeMap<String, Extension> {
        &self.extensions
    }

    /// An extension that is text.
    pub fn extension(&self, name: &str) -> Option<&str> {
        match self.extensions.get(name) {
            Some(Extension::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// What keeps it in order; events without one have an order of their own.
    pub fn partition_key(&self) -> Option<&str> {
        self.extension(Self::PARTITION_KEY)
    }

    /// Data as a codec read it, whose content type may be absent.
    pub(crate) fn set_data(&mut self, content_type: Option<String>, data: Data) {
        self.content_type = content_type;
        self.data = data;
    }
}

impl From<bool> for Extension {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i32> for Extension {
    fn from(value: i32) -> Self {
        Self::Integer(value)
    }
}

impl From<String> for Extension {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Extension {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

fn check_text(name: &'static str, value: &str) -> Result<(), InvalidEvent> {
    if value.is_empty() {
        return Err(InvalidEvent::Empty(name));
    }
    if value.chars().any(char::is_control) {
        return Err(InvalidEvent::ControlCharacter { name: name.to_owned() });
    }
    Ok(())
}

/// The characters of RFC 3986; whether they are in the right places is the reader's concern.
fn check_uri(name: &'static str, value: &str) -> Result<(), InvalidEvent> {
    check_text(name, value)?;
    let is_uri = value
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte));
    if is_uri { Ok(()) } else { Err(InvalidEvent::NotAUri { name, value: value.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_an_id_a_source_and_a_type() {
        assert_eq!(CloudEvent::try_new("", "/a", "b"), Err(InvalidEvent::Empty("id")));
        assert_eq!(CloudEvent::try_new("1", "", "b"), Err(InvalidEvent::Empty("source")));
        assert_eq!(CloudEvent::try_new("1", "/a", ""), Err(InvalidEvent::Empty("type")));
        let spaced = CloudEvent::try_new("1", "/a b", "c");
        assert!(matches!(spaced, Err(InvalidEvent::NotAUri { name: "source", .. })));
        let broken = CloudEvent::try_new("1\n2", "/a", "c");
        assert!(matches!(broken, Err(InvalidEvent::ControlCharacter { .. })));
    }

    #[test]
    fn an_extension_is_named_in_lower_case_and_like_no_attribute() {
        for name in ["", "partitionKey", "a_b", "time", "data", "data_base64", &"a".repeat(65)] {
            let refused = event().with_extension(name, "x");
            assert_eq!(refused, Err(InvalidEvent::ExtensionName(name.to_owned())));
        }
        assert!(event().with_extension("a".repeat(64), "x").is_ok());
        assert!(event().with_extension("traceparent", "a\u{7}").is_err());
    }

    #[test]
    fn the_partition_key_is_an_extension() {
        let event = event().with_extension(CloudEvent::PARTITION_KEY, "order-1").unwrap();
        assert_eq!(event.partition_key(), Some("order-1"));
    }

    fn event() -> CloudEvent {
        CloudEvent::try_new("1", "/shop", "order.placed").unwrap()
    }
}
