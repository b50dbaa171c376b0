//! The JSON format: an event as one JSON object.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{DecodeError, is_json};
use crate::{CloudEvent, Data, Extension};

impl CloudEvent {
    /// The event as a JSON object.
    ///
    /// # Source
    ///
    /// CloudEvents 1.0.2, JSON event format, sections 2 and 3.1.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("specversion", "1.0".into());
        put("id", self.id().into());
        put("source", self.source().into());
        put("type", self.event_type().into());
        let optional = [
            ("subject", self.subject()),
            ("datacontenttype", self.content_type()),
            ("dataschema", self.data_schema()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                put(name, value.into());
            }
        }
        if let Some(time) = self.time() {
            put("time", format_time(time).into());
        }
        for (name, value) in self.extensions() {
            let value = match value {
                Extension::Boolean(value) => (*value).into(),
                Extension::Integer(value) => (*value).into(),
                Extension::Text(value) => value.as_str().into(),
            };
            put(name, value);
        }
        match self.data() {
            Data::None => None,
            Data::Json(value) => put("data", value.clone()),
            Data::Text(text) => put("data", text.as_str().into()),
            Data::Binary(bytes) => put("data_base64", STANDARD.encode(bytes).into()),
        };
        Value::Object(object)
    }

    /// The event from a JSON object.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] names what breaks the specification.
    pub fn from_json(value: Value) -> Result<Self, DecodeError> {
        let Value::Object(mut object) = value else { return Err(DecodeError::NotAnObject) };
        let version = required(&mut object, "specversion")?;
        if version != "1.0" {
            return Err(DecodeError::SpecVersion(version));
        }
        let id = required(&mut object, "id")?;
        let source = required(&mut object, "source")?;
        let mut event = Self::try_new(id, source, required(&mut object, "type")?)?;
        if let Some(subject) = text(&mut object, "subject")? {
            event = event.with_subject(subject)?;
        }
        if let Some(time) = text(&mut object, "time")? {
            event = event.with_time(parse_time(time)?);
        }
        if let Some(schema) = text(&mut object, "dataschema")? {
            event = event.with_data_schema(schema)?;
        }
        let content_type = text(&mut object, "datacontenttype")?;
        let data = data(&mut object, content_type.as_deref())?;
        if let Some(content_type) = content_type {
            event = event.with_data(content_type, data)?;
        } else {
            event.set_data(None, data);
        }
        for (name, value) in object {
            let value = match value {
                // The format's section 2.2: a null member is as good as none.
                Value::Null => continue,
                Value::Bool(value) => Extension::Boolean(value),
                Value::String(value) => Extension::Text(value),
                Value::Number(number) => {
                    let number = number.as_i64().and_then(|number| i32::try_from(number).ok());
                    let wanted = "an integer of 32 bits";
                    Extension::Integer(
                        number.ok_or(DecodeError::WrongType { name: name.clone(), wanted })?,
                    )
                }
                _ => {
                    return Err(DecodeError::WrongType {
                        name,
                        wanted: "a string, number or boolean",
                    });
                }
            };
            event = event.with_extension(name, value)?;
        }
        Ok(event)
    }

    /// The event as JSON text.
    pub fn to_json_string(&self) -> String {
        self.to_json().to_string()
    }

    /// The event from JSON text.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] names what breaks the specification.
    pub fn from_json_slice(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_json(serde_json::from_slice(bytes).map_err(DecodeError::Json)?)
    }
}

pub(super) fn format_time(time: OffsetDateTime) -> String {
    // RFC 3339 has four digits for the year; `time` fails on no other ground.
    time.format(&Rfc3339).unwrap_or_else(|_| "9999-12-31T23:59:59Z".to_owned())
}

pub(super) fn parse_time(text: String) -> Result<OffsetDateTime, DecodeError> {
    OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| DecodeError::Time(text))
}

fn required(object: &mut Map<String, Value>, name: &'static str) -> Result<String, DecodeError> {
    text(object, name)?.ok_or(DecodeError::Missing(name))
}

fn text(
    object: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Option<String>, DecodeError> {
    match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(DecodeError::WrongType { name: name.to_owned(), wanted: "a string" }),
    }
}

fn data(object: &mut Map<String, Value>, content_type: Option<&str>) -> Result<Data, DecodeError> {
    let encoded = text(object, "data_base64")?;
    match (object.remove("data"), encoded) {
        (None, None) => Ok(Data::None),
        (Some(_), Some(_)) => Err(DecodeError::TwoData),
        (None, Some(encoded)) => match STANDARD.decode(encoded) {
            Ok(bytes) => Ok(Data::Binary(bytes)),
            Err(_) => Err(DecodeError::Data("base64")),
        },
        (Some(Value::String(text)), None) if !is_json(content_type) => Ok(Data::Text(text)),
        (Some(value), None) => Ok(Data::Json(value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_example_of_the_specification_is_read() {
        // JSON event format 1.0.2, section 3.2, with a number and a boolean added.
        let event = CloudEvent::from_json(json!({
            "specversion": "1.0",
            "type": "com.example.someevent",
            "source": "/mycontext",
            "subject": null,
            "id": "C234-1234-1234",
            "time": "2018-04-05T17:31:00Z",
            "comexampleextension1": "value",
            "comexampleothervalue": 5,
            "comexampleflag": true,
            "datacontenttype": "application/vnd.apache.thrift.binary",
            "data_base64": "AAEC"
        }))
        .unwrap();
        assert_eq!(event.data(), &Data::Binary(vec![0, 1, 2]));
        assert_eq!(event.extensions()["comexampleothervalue"], Extension::Integer(5));
        assert_eq!(event.subject(), None);
        assert_eq!(event.time().unwrap().unix_timestamp(), 1_522_949_460);
    }

    #[test]
    fn a_string_under_a_content_type_that_is_not_json_is_text() {
        let event = |content_type: &str| {
            let mut json = minimal();
            json["datacontenttype"] = content_type.into();
            json["data"] = "<a/>".into();
            CloudEvent::from_json(json).unwrap().data().clone()
        };
        assert_eq!(event("text/xml"), Data::Text("<a/>".into()));
        assert_eq!(event("application/json"), Data::Json("<a/>".into()));
    }

    #[test]
    fn what_breaks_the_specification_is_named() {
        for (member, value, message) in [
            ("specversion", json!("0.3"), "`0.3`"),
            ("id", json!(""), "not valid"),
            ("id", json!(7), "`id`"),
            ("type", Value::Null, "`type` is missing"),
            ("time", json!("yesterday"), "`yesterday`"),
            ("myextension", json!([1]), "`myextension`"),
            ("myextension", json!(2_147_483_648_i64), "`myextension`"),
            ("MyExtension", json!("x"), "not valid"),
            ("data_base64", json!("%"), "base64"),
        ] {
            let mut json = minimal();
            json[member] = value;
            let error = CloudEvent::from_json(json).unwrap_err();
            assert!(error.to_string().contains(message), "{member}: {error}");
        }
        assert!(matches!(CloudEvent::from_json(json!([])), Err(DecodeError::NotAnObject)));
        assert!(matches!(CloudEvent::from_json_slice(b"{"), Err(DecodeError::Json(_))));
        let mut both = minimal();
        both["data"] = json!(1);
        both["data_base64"] = json!("AA==");
        assert!(matches!(CloudEvent::from_json(both), Err(DecodeError::TwoData)));
    }

    fn minimal() -> Value {
        json!({ "specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed" })
    }
}
