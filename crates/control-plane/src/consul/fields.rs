//! Members of a JSON object by name, in any letter case.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::failure::Failure;
use crate::duration;

/// A JSON object whose members are taken one by one; what is left over at the end is an error.
///
/// A name matches without regard to case and underscores: clients send `ID`, `id`, `serviceid`,
/// `tagged_addresses`. `null` counts as absent.
#[derive(Debug)]
pub(crate) struct Fields {
    /// By their normal name: as they were written, and what they are.
    members: BTreeMap<String, (String, Value)>,
}

impl Fields {
    /// Reads a request's body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Failure> {
        let value = serde_json::from_slice::<Value>(body);
        let value = value.map_err(|error| match (error.is_eof(), body.is_empty()) {
            // Consul's words.
            (true, true) => failure("EOF"),
            (true, false) => failure("unexpected EOF"),
            _ => failure(&error.to_string()),
        })?;
        Self::of(value, "the body")
    }

    /// The members of a value that has to be an object.
    pub(crate) fn of(value: Value, name: &str) -> Result<Self, Failure> {
        match value {
            Value::Object(members) => Ok(Self::new(members)),
            other => Err(failure(&format!("{name} is {}, not an object", kind(&other)))),
        }
    }

    fn new(members: Map<String, Value>) -> Self {
        let present = members.into_iter().filter(|(_, value)| !value.is_null());
        Self { members: present.map(|(name, value)| (normal(&name), (name, value))).collect() }
    }

    /// Takes a member.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(&normal(name)).map(|(_, value)| value)
    }

    /// Takes a text; empty when absent.
    pub(crate) fn text(&mut self, name: &str) -> Result<String, Failure> {
        match self.take(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(wrong(name, &other, "a string")),
        }
    }

    /// Takes a whole number of this range.
    pub(crate) fn number<T: TryFrom<u64>>(&mut self, name: &str) -> Result<Option<T>, Failure> {
        let value = match self.take(name) {
            None => return Ok(None),
            Some(value) => value,
        };
        let number = value.as_u64().and_then(|number| T::try_from(number).ok());
        number.map(Some).ok_or_else(|| wrong(name, &value, "a number in range"))
    }

    /// Takes yes or no; no when absent.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Failure> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(wrong(name, &other, "true or false")),
        }
    }

    /// Takes a duration: Go's text, or a number of nanoseconds.
    pub(crate) fn duration(&mut self, name: &str) -> Result<Option<Duration>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => duration::parse(&text)
                .map(Some)
                .ok_or_else(|| failure(&format!("{name}: time: invalid duration {text:?}"))),
            Some(value) => {
                let nanos = value.as_u64().map(Duration::from_nanos);
                nanos.map(Some).ok_or_else(|| wrong(name, &value, "a duration such as \"10s\""))
            }
        }
    }

    /// Takes a list of texts; empty when absent.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>, Failure> {
        let list = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(other) => return Err(wrong(name, &other, "a list of strings")),
        };
        let text = |value| match value {
            Value::String(text) => Ok(text),
            other => Err(wrong(name, &other, "a list of strings")),
        };
        list.into_iter().map(text).collect()
    }

    /// Takes a list of texts, if it is there, also an empty one.
    pub(crate) fn list(&mut self, name: &str) -> Result<Option<Vec<String>>, Failure> {
        if !self.members.contains_key(&normal(name)) {
            return Ok(None);
        }
        self.texts(name).map(Some)
    }

    /// Takes an object whose names are the client's own and keep their case; empty when absent.
    pub(crate) fn map(&mut self, name: &str) -> Result<Map<String, Value>, Failure> {
        match self.take(name) {
            None => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map),
            Some(other) => Err(wrong(name, &other, "an object")),
        }
    }

    /// Takes a map of texts.
    pub(crate) fn text_map(&mut self, name: &str) -> Result<BTreeMap<String, String>, Failure> {
        let text = |(key, value)| match value {
            Value::String(text) => Ok((key, text)),
            other => Err(wrong(name, &other, "an object of strings")),
        };
        self.map(name)?.into_iter().map(text).collect()
    }

    /// Takes members that mean something to Consul and nothing here.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.take(name);
        }
    }

    /// Refuses what nobody took.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self.members.into_values().next() {
            Some((name, _)) => Err(failure(&format!("json: unknown field {name:?}"))),
            None => Ok(()),
        }
    }
}

pub(crate) fn failure(text: &str) -> Failure {
    Failure::bad_request(format!("Request decode failed: {text}"))
}

fn wrong(name: &str, value: &Value, expected: &str) -> Failure {
    failure(&format!("{name} is {}, not {expected}", kind(value)))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A name without what makes no difference.
pub(crate) fn normal(name: &str) -> String {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn names_match_in_any_case_and_without_underscores() {
        for json in [r#"{"ServiceID":"a"}"#, r#"{"serviceid":"a"}"#, r#"{"service_id":"a"}"#] {
            assert_eq!(fields(json).text("ServiceID").unwrap(), "a");
        }
    }

    #[test]
    fn null_is_absent() {
        let mut fields = fields(r#"{"tags":null,"port":null,"check":null}"#);
        assert!(fields.texts("Tags").unwrap().is_empty());
        assert_eq!(fields.number::<u16>("Port").unwrap(), None);
        assert!(fields.take("Check").is_none());
        fields.finish().unwrap();
    }

    #[test]
    fn a_duration_is_a_text_or_nanoseconds() {
        let seconds = Some(Duration::from_secs(10));
        assert_eq!(fields(r#"{"a":"10s"}"#).duration("a").unwrap(), seconds);
        assert_eq!(fields(r#"{"a":10000000000}"#).duration("a").unwrap(), seconds);
        assert!(fields(r#"{"a":"10"}"#).duration("a").is_err());
        assert!(fields(r#"{"a":-1}"#).duration("a").is_err());
    }

    #[test]
    fn keys_of_a_map_keep_their_case() {
        let map = fields(r#"{"META":{"Some_Key":"v"}}"#).text_map("Meta").unwrap();
        assert_eq!(map["Some_Key"], "v");
    }

    #[test]
    fn refuses_what_is_not_json_of_the_right_shape() {
        assert!(Fields::parse(b"{").is_err());
        assert!(Fields::parse(b"[]").is_err());
        assert!(Fields::parse(b"\xff").is_err());
        assert!(fields(r#"{"p":70000}"#).number::<u16>("p").is_err());
        assert!(fields(r#"{"p":-1}"#).number::<u16>("p").is_err());
        assert!(fields(r#"{"p":"x"}"#).number::<u16>("p").is_err());
        assert!(fields(r#"{"t":"x"}"#).texts("t").is_err());
        assert!(fields(r#"{"t":[1]}"#).texts("t").is_err());
        assert!(fields(r#"{"t":[]}"#).text("t").is_err());
        assert!(fields(r#"{"t":1}"#).text("t").is_err());
        assert!(fields(r#"{"p":"1"}"#).number::<u16>("p").is_err());
        assert!(fields(r#"{"surprise":1}"#).finish().is_err());
    }
}
