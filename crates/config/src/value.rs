//! A value of a layer, each part with its origin.

use std::fmt;
use std::sync::Arc;

use regatta_yaml::{Node, Scalar, quote};

use crate::Origin;

/// A value and where it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    /// Where it came from.
    pub origin: Origin,
    /// The value.
    pub data: Data,
}

/// What a value holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Data {
    /// The key is there and holds nothing.
    Null,
    /// A single text.
    Text(Scalar),
    /// Values in order.
    List(Vec<Value>),
    /// Keys and values; no key occurs twice.
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub origin: Origin,
    /// Its value.
    pub value: Value,
}

impl fmt::Debug for Value {
    /// Shows the origin and the sort of value; the value itself may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} from {}", self.data, self.origin)
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "nothing",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        })
    }
}

impl Value {
    /// Takes over a YAML tree that was read from a file.
    pub(crate) fn from_file(node: &Node, path: &Arc<str>) -> Self {
        let origin = |mark: regatta_yaml::Mark| Origin::File {
            path: path.clone(),
            line: mark.line,
            column: mark.column,
        };
        Self::from_node(node, &origin)
    }

    /// Takes over a YAML tree; `origin` makes an origin of each place.
    pub(crate) fn from_node(node: &Node, origin: &dyn Fn(regatta_yaml::Mark) -> Origin) -> Self {
        let data = match &node.value {
            regatta_yaml::Value::Null => Data::Null,
            regatta_yaml::Value::Scalar(scalar) => Data::Text(scalar.clone()),
            regatta_yaml::Value::List(items) => {
                Data::List(items.iter().map(|item| Self::from_node(item, origin)).collect())
            }
            regatta_yaml::Value::Map(entries) => {
                let entry = |(key, node): &(regatta_yaml::Key, Node)| Entry {
                    key: key.text.clone(),
                    origin: origin(key.mark),
                    value: Self::from_node(node, origin),
                };
                Data::Map(entries.iter().map(entry).collect())
            }
        };
        Self { origin: origin(node.mark), data }
    }

    /// The value of a key, when this is a map.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.data {
            Data::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.value),
            _ => None,
        }
    }

    /// The value at the end of a path of keys.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    /// What was found, in words for a message.
    pub fn found(&self) -> String {
        match &self.data {
            Data::Null => "nothing".to_owned(),
            Data::Text(scalar) => scalar.found(),
            Data::List(_) => "a list".to_owned(),
            Data::Map(_) => "a map".to_owned(),
        }
    }

    /// Lays a value of a higher layer over this one: maps are joined, all else is replaced.
    pub fn overlay(&mut self, above: Self) {
        match (&mut self.data, above.data) {
            (Data::Map(below), Data::Map(above)) => {
                for entry in above {
                    match below.iter_mut().find(|e| e.key == entry.key) {
                        Some(old) => old.value.overlay(entry.value),
                        None => below.push(entry),
                    }
                }
            }
            (data, above_data) => {
                *data = above_data;
                self.origin = above.origin;
            }
        }
    }

    /// The value as YAML in one line.
    pub(crate) fn to_yaml(&self) -> String {
        match &self.data {
            Data::Null => "null".to_owned(),
            // A plain scalar was a number or a boolean to somebody: quotes would change that.
            Data::Text(scalar) if !scalar.quoted && is_plain(&scalar.text) => scalar.text.clone(),
            Data::Text(scalar) => quote(&scalar.text),
            Data::List(items) => {
                let items: Vec<_> = items.iter().map(Self::to_yaml).collect();
                format!("[{}]", items.join(", "))
            }
            Data::Map(entries) => {
                let entry = |e: &Entry| format!("{}: {}", quote(&e.key), e.value.to_yaml());
                let entries: Vec<_> = entries.iter().map(entry).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

/// Whether a plain text can stand in a flow collection as it is.
fn is_plain(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
    let negative = text.len() > 1 && text.starts_with('-');
    (starts || negative) && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+%".contains(c))
}
