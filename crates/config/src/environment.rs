//! Environment variables as a layer over the file.

use std::collections::BTreeMap;
use std::sync::Arc;

use regatta_yaml::Scalar;

use crate::value::{Data, Entry, Value};
use crate::{Origin, Problem};

/// Between the parts of a nested key: `DATABASE__HOST` is `database.host`.
const SEPARATOR: &str = "__";

/// The variables of a process.
///
/// An empty variable counts as absent, as OpenTelemetry's specification has it: what a compose file
/// leaves behind for `${UNSET:-}` overrides nothing.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    /// By name; a `.` in a name counts as `__`.
    variables: BTreeMap<String, (Arc<str>, String)>,
}

impl Environment {
    pub(crate) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let kept = variables.into_iter().filter(|(_, text)| !text.is_empty());
        let named = |(name, text): (String, String)| {
            (name.replace('.', SEPARATOR), (Arc::from(name.as_str()), text))
        };
        Self { variables: kept.map(named).collect() }
    }

    /// Every variable that is not empty, by its own name.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.values().map(|(name, text)| (&**name, text.as_str()))
    }

    /// What the variables say about a key: its own variable, else an alias, else its children's.
    pub(crate) fn value(&self, path: &[&str], aliases: &[&str]) -> Option<Value> {
        let name = variable(path);
        let own = self.variables.get(&name);
        let named = own.or_else(|| aliases.iter().find_map(|alias| self.variables.get(*alias)));
        match named {
            Some((variable, text)) => Some(leaf(variable, text)),
            None => self.children(&name),
        }
    }

    fn children(&self, name: &str) -> Option<Value> {
        let prefix = format!("{name}{SEPARATOR}");
        let mut map: Option<Value> = None;
        for (name, (variable, text)) in self.variables.range(prefix.clone()..) {
            let Some(rest) = name.strip_prefix(&prefix) else { break };
            let parts: Vec<_> = rest.split(SEPARATOR).map(str::to_lowercase).collect();
            if parts.iter().any(String::is_empty) {
                continue;
            }
            let origin = Origin::Environment { variable: variable.clone() };
            let nest = |value: Value, key: &String| Value {
                origin: origin.clone(),
                data: Data::Map(vec![Entry { key: key.clone(), origin: origin.clone(), value }]),
            };
            let value = parts.iter().rev().fold(leaf(variable, text), nest);
            match &mut map {
                Some(map) => map.overlay(value),
                None => map = Some(value),
            }
        }
        map
    }

    /// Every variable with `__` in its name: its path of keys and its own name.
    pub(crate) fn nested(&self) -> impl Iterator<Item = (Vec<String>, &Arc<str>)> {
        self.variables.iter().filter_map(|(name, (variable, _))| {
            let upper = !name.bytes().any(|b| b.is_ascii_lowercase());
            let parts: Vec<_> = name.split(SEPARATOR).map(str::to_lowercase).collect();
            let whole = parts.len() > 1 && !parts.iter().any(String::is_empty);
            (upper && whole).then_some((parts, variable))
        })
    }
}

/// The variable of a key: upper case, `-` as `_`, parts joined by `__`.
pub(crate) fn variable(path: &[&str]) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_uppercase().replace('-', "_")).collect();
    parts.join(SEPARATOR)
}

fn leaf(variable: &Arc<str>, text: &str) -> Value {
    let origin = Origin::Environment { variable: variable.clone() };
    Value { origin, data: Data::Text(Scalar::plain(text)) }
}

/// Reads the text of a variable where a list is wanted: `[a, b]`, or `a,b`.
pub(crate) fn list(origin: &Origin, text: &str) -> Result<Vec<Value>, Problem> {
    if text.trim_start().starts_with('[') {
        return match flow(origin, text)?.data {
            Data::List(items) => Ok(items),
            _ => Ok(Vec::new()),
        };
    }
    let item =
        |text: &str| Value { origin: origin.clone(), data: Data::Text(Scalar::plain(text.trim())) };
    Ok(text.split(',').filter(|item| !item.trim().is_empty()).map(item).collect())
}

/// Reads the text of a variable where a map is wanted: `{a: 1, b: 2}`, or `a=1,b=2`.
pub(crate) fn map(origin: &Origin, text: &str) -> Result<Vec<Entry>, Problem> {
    if text.trim_start().starts_with('{') {
        return match flow(origin, text)?.data {
            Data::Map(entries) => Ok(entries),
            _ => Ok(Vec::new()),
        };
    }
    let mut entries: Vec<Entry> = Vec::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let Some((key, text)) = pair.split_once('=') else {
            let message = "expected a map; write a=1,b=2 or {a: 1, b: 2}";
            return Err(Problem::wrong_type(origin, message));
        };
        let key = key.trim().to_owned();
        if entries.iter().any(|entry| entry.key == key) {
            let message = format!("key `{key}` occurs twice; keep one of them");
            return Err(Problem::wrong_type(origin, message));
        }
        let data = Data::Text(Scalar::plain(text.trim()));
        let value = Value { origin: origin.clone(), data };
        entries.push(Entry { key, origin: origin.clone(), value });
    }
    Ok(entries)
}

fn flow(origin: &Origin, text: &str) -> Result<Value, Problem> {
    let node = regatta_yaml::parse(text).map_err(|problems| {
        let first = problems.first().map(|p| p.message.clone()).unwrap_or_default();
        Problem::wrong_type(origin, first)
    })?;
    Ok(Value::from_node(&node, &|_| origin.clone()))
}
