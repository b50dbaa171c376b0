//! Binary mode: attributes as headers, the data as the body.

use super::json::{format_time, parse_time};
use super::{DecodeError, is_json, is_text, percent};
use crate::{CloudEvent, Data, Extension};

const PREFIX: &str = "ce-";

/// An event as headers and a body, for HTTP and NATS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BinaryMessage {
    /// `ce-…` and `content-type`, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The data.
    pub body: Vec<u8>,
}

impl CloudEvent {
    /// The event as headers and a body.
    ///
    /// Headers are text: a number or boolean among the extensions arrives as text.
    ///
    /// # Source
    ///
    /// CloudEvents 1.0.2, HTTP protocol binding, section 3.1.
    pub fn to_binary(&self) -> BinaryMessage {
        let mut headers = vec![
            ("ce-specversion".to_owned(), "1.0".to_owned()),
            ("ce-id".to_owned(), percent::encode(self.id())),
            ("ce-source".to_owned(), percent::encode(self.source())),
            ("ce-type".to_owned(), percent::encode(self.event_type())),
        ];
        let mut put = |name: &str, value: &str| {
            headers.push((format!("{PREFIX}{name}"), percent::encode(value)));
        };
        if let Some(subject) = self.subject() {
            put("subject", subject);
        }
        if let Some(time) = self.time() {
            put("time", &format_time(time));
        }
        if let Some(schema) = self.data_schema() {
            put("dataschema", schema);
        }
        for (name, value) in self.extensions() {
            match value {
                Extension::Boolean(value) => put(name, &value.to_string()),
                Extension::Integer(value) => put(name, &value.to_string()),
                Extension::Text(value) => put(name, value),
            }
        }
        let body = match self.data() {
            Data::None => Vec::new(),
            Data::Json(value) => value.to_string().into_bytes(),
            Data::Text(text) => text.clone().into_bytes(),
            Data::Binary(bytes) => bytes.clone(),
        };
        let implied = (self.data() != &Data::None).then_some("application/json");
        if let Some(content_type) = self.content_type().or(implied) {
            headers.push(("content-type".to_owned(), content_type.to_owned()));
        }
        BinaryMessage { headers, body }
    }

    /// The event from headers, whose names may be in any case, and a body.
    ///
    /// Other headers are left alone.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] names what breaks the specification.
    pub fn from_binary<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        body: &[u8],
    ) -> Result<Self, DecodeError> {
        let mut attributes = std::collections::BTreeMap::new();
        let mut content_type = None;
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            if name == "content-type" {
                content_type = Some(value.to_owned());
            } else if let Some(name) = name.strip_prefix(PREFIX) {
                let wrong = || DecodeError::WrongType { name: name.to_owned(), wanted: "UTF-8" };
                let value = percent::decode(value).ok_or_else(wrong)?;
                attributes.insert(name.to_owned(), value);
            }
        }
        let mut take =
            |name: &'static str| attributes.remove(name).ok_or(DecodeError::Missing(name));
        let version = take("specversion")?;
        if version != "1.0" {
            return Err(DecodeError::SpecVersion(version));
        }
        let mut event = Self::try_new(take("id")?, take("source")?, take("type")?)?;
        for (name, value) in attributes {
            event = match name.as_str() {
                "subject" => event.with_subject(value)?,
                "time" => event.with_time(parse_time(value)?),
                "dataschema" => event.with_data_schema(value)?,
                _ => event.with_extension(name, value)?,
            };
        }
        match content_type {
            None if body.is_empty() => (),
            None => event.set_data(None, data(None, body)?),
            Some(content_type) => {
                let data = data(Some(&content_type), body)?;
                event = event.with_data(content_type, data)?;
            }
        }
        Ok(event)
    }
}

fn data(content_type: Option<&str>, body: &[u8]) -> Result<Data, DecodeError> {
    if is_json(content_type) {
        if body.is_empty() {
            return Ok(Data::None);
        }
        let value = serde_json::from_slice(body);
        return value.map(Data::Json).map_err(|_| DecodeError::Data("the JSON it claims to be"));
    }
    match std::str::from_utf8(body) {
        Ok(text) if content_type.is_some_and(is_text) => Ok(Data::Text(text.to_owned())),
        _ => Ok(Data::Binary(body.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_any_case_are_read_and_others_left_alone() {
        let headers = [
            ("Ce-SpecVersion", "1.0"),
            ("CE-ID", "a%20b"),
            ("ce-source", "/shop"),
            ("ce-type", "order.placed"),
            ("ce-partitionkey", "order-1"),
            ("Content-Type", "application/json"),
            ("Accept", "*/*"),
        ];
        let event = CloudEvent::from_binary(headers, b"{\"a\":1}").unwrap();
        assert_eq!((event.id(), event.partition_key()), ("a b", Some("order-1")));
        assert_eq!(event.json(), Some(&serde_json::json!({ "a": 1 })));
        assert_eq!(event.extensions().len(), 1);
    }

    #[test]
    fn a_missing_attribute_and_a_broken_body_are_named() {
        let headers = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/shop")];
        let error = CloudEvent::from_binary(headers, b"").unwrap_err();
        assert!(matches!(error, DecodeError::Missing("type")), "{error}");
        let headers = headers.into_iter().chain([("ce-type", "a")]);
        let error = CloudEvent::from_binary(headers, b"{").unwrap_err();
        assert!(matches!(error, DecodeError::Data(_)), "{error}");
    }
}
