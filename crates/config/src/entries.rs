//! The effective values with their origins, fit to be shown.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use crate::redact::{HIDDEN, is_secret_name, redact_urls};
use crate::value::{Data, Value};
use crate::{Config, Groups, Origin, Schema};

/// One effective value, secrets hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The dotted key.
    pub key: String,
    /// The value as YAML in one line; `***` for a secret that is set, empty for no value.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
    mark: Mark,
}

/// Tells one raw value from another, hidden ones too, within this process.
///
/// Keyed at random: whoever sees it cannot try guesses.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark(u64);

impl Mark {
    fn of(raw: &str) -> Self {
        static KEY: OnceLock<RandomState> = OnceLock::new();
        Self(KEY.get_or_init(RandomState::new).hash_one(raw))
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Entry {
    /// Whether both hold the same value, wherever it came from; secrets are compared as they are
    /// and not as they are shown.
    pub fn has_value_of(&self, other: &Self) -> bool {
        self.value == other.value && self.mark == other.mark
    }
}

impl Config {
    /// The effective value of every setting of the groups, and of every key of the files and of the
    /// service's own part of the config center that none of them knows; sorted by key, secrets hidden, passwords in URLs too.
    pub fn entries<G: Groups>(&self) -> Vec<Entry> {
        let mut schemas = Vec::new();
        G::schemas(&mut schemas);
        self.entries_of(&schemas)
    }

    /// Like [`Config::entries`], for given schemas.
    pub fn entries_of(&self, schemas: &[Schema]) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = HashSet::new();
        for key in schemas.iter().flat_map(|schema| &schema.keys) {
            if !seen.insert(&key.name) {
                continue;
            }
            match self.value(&key.name, &key.environment) {
                Some(value) => leaves(&key.name, &value, key.secret, &mut entries),
                None => {
                    let text = key.default.clone().unwrap_or_default();
                    let hide = key.secret && !text.is_empty() && text != "\"\"";
                    let value = if hide { HIDDEN.to_owned() } else { redact_urls(&text) };
                    let mark = Mark::of(&text);
                    let (key, origin) = (key.name.clone(), Origin::Default);
                    entries.push(Entry { key, value, origin, mark });
                }
            }
        }
        let keys = schemas.iter().flat_map(|schema| &schema.keys);
        let known: Vec<_> = keys.map(|key| key.name.clone()).collect();
        let of_center = self.center().iter().filter(|tree| !tree.is_shared).map(|tree| &tree.value);
        for tree in self.files().iter().chain(of_center) {
            self.others(tree, "", &known, &mut entries);
        }
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        entries
    }

    /// Adds the leaves of a tree that are not known.
    fn others(&self, tree: &Value, path: &str, known: &[String], entries: &mut Vec<Entry>) {
        let Data::Map(children) = &tree.data else { return };
        for child in children {
            let key =
                if path.is_empty() { child.key.clone() } else { format!("{path}.{}", child.key) };
            if known.contains(&key) {
                continue;
            }
            if matches!(&child.value.data, Data::Map(children) if !children.is_empty()) {
                self.others(&child.value, &key, known, entries);
            } else if !entries.iter().any(|entry| entry.key == key) {
                // Through all layers: a variable may lie above the file. A key with a dot in it
                // cannot be asked for by its path, so what the file says stands.
                let value = self.value(&key, &[]).unwrap_or_else(|| child.value.clone());
                let value_shown = show(&value, is_secret_name(&key));
                let mark = Mark::of(&value.to_yaml());
                entries.push(Entry { key, value: value_shown, origin: value.origin, mark });
            }
        }
    }
}

/// One entry for each value in a map, because each may come from another layer.
fn leaves(key: &str, value: &Value, secret: bool, entries: &mut Vec<Entry>) {
    match &value.data {
        // A key with a dot in it would read as two.
        Data::Map(children)
            if !children.is_empty() && children.iter().all(|child| !child.key.contains('.')) =>
        {
            for child in children {
                let secret = secret || is_secret_name(&child.key);
                leaves(&format!("{key}.{}", child.key), &child.value, secret, entries);
            }
        }
        _ => entries.push(Entry {
            key: key.to_owned(),
            value: show(value, secret),
            origin: value.origin.clone(),
            mark: Mark::of(&value.to_yaml()),
        }),
    }
}

fn show(value: &Value, secret: bool) -> String {
    match (&value.data, secret) {
        (Data::Null, _) => String::new(),
        (Data::Text(scalar), true) if scalar.text.is_empty() => "\"\"".to_owned(),
        (_, true) => HIDDEN.to_owned(),
        (_, false) => redact_urls(&hide_named(value).to_yaml()),
    }
}

/// Hides what is named like a secret inside a map.
fn hide_named(value: &Value) -> Value {
    let mut value = value.clone();
    match &mut value.data {
        Data::Map(entries) => {
            for entry in entries {
                entry.value = match is_secret_name(&entry.key) {
                    true => Value {
                        origin: entry.origin.clone(),
                        data: Data::Text(regatta_yaml::Scalar::plain(HIDDEN)),
                    },
                    false => hide_named(&entry.value),
                };
            }
        }
        Data::List(items) => items.iter_mut().for_each(|item| *item = hide_named(item)),
        Data::Null | Data::Text(_) => {}
    }
    value
}
