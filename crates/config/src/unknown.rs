//! Keys that nobody knows.

use regatta_yaml::nearest;

use crate::value::{Data, Value};
use crate::{Config, Origin, Problem, ProblemKind, Schema};

/// What happens to top-level keys of the file that no group knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// They are problems.
    Refused,
    /// They are let through unless they look like a misspelt group.
    Allowed,
    /// They are let through: they are meant for somebody else.
    Foreign,
}

/// Reports unknown keys of the files and unknown nested variables of known groups.
pub(crate) fn report(
    config: &Config,
    schemas: &[Schema],
    others: Others,
    problems: &mut Vec<Problem>,
) {
    let known = Known::of(schemas);
    for tree in config.files() {
        known.walk(tree, "", others, problems);
    }
    for tree in config.center() {
        let others = if tree.is_shared { Others::Foreign } else { others };
        known.walk(&tree.value, "", others, problems);
    }
    for (path, variable) in config.environment().nested() {
        let origin = Origin::Environment { variable: variable.clone() };
        known.variable(&path, origin, problems);
    }
}

/// The keys and groups of all schemas, as paths.
struct Known<'a> {
    keys: Vec<&'a str>,
    groups: Vec<&'a str>,
}

impl<'a> Known<'a> {
    fn of(schemas: &'a [Schema]) -> Self {
        let keys = schemas.iter().flat_map(|schema| &schema.keys);
        Self {
            keys: keys.map(|key| key.name.as_str()).collect(),
            groups: schemas.iter().map(|schema| schema.group.as_str()).collect(),
        }
    }

    fn is_key(&self, path: &str) -> bool {
        self.keys.contains(&path)
    }

    /// Whether some key or group lies at or below the path.
    fn is_group(&self, path: &str) -> bool {
        let below = |name: &str| {
            name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.keys.iter().chain(&self.groups).any(|name| below(name))
    }

    /// The names that could stand right below a path.
    fn below(&self, path: &str) -> Vec<&'a str> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        let mut names: Vec<&str> = Vec::new();
        for name in self.keys.iter().chain(&self.groups) {
            if let Some(rest) = name.strip_prefix(&*prefix) {
                let first = rest.split('.').next().unwrap_or(rest);
                if !names.contains(&first) {
                    names.push(first);
                }
            }
        }
        names
    }

    fn walk(&self, value: &Value, path: &str, others: Others, problems: &mut Vec<Problem>) {
        let entries = match &value.data {
            Data::Map(entries) => entries,
            Data::Null => return,
            _ => {
                let message = format!(
                    "expected a map, found {}; write `key: value` lines below it",
                    value.found()
                );
                problems.push(Problem::wrong_type(&value.origin, message).under(path));
                return;
            }
        };
        for entry in entries {
            let inner = join(path, &entry.key);
            if self.is_key(&inner) {
                continue;
            }
            if self.is_group(&inner) {
                self.walk(&entry.value, &inner, others, problems);
                continue;
            }
            let meant = nearest(&entry.key, self.below(path));
            let let_through = path.is_empty()
                && match others {
                    Others::Refused => false,
                    Others::Allowed => meant.is_none(),
                    Others::Foreign => true,
                };
            if !let_through {
                problems.push(self.unknown(path, &entry.key, meant, entry.origin.clone(), ""));
            }
        }
    }

    /// A nested variable; those whose first part is no group of ours belong to someone else.
    fn variable(&self, path: &[String], origin: Origin, problems: &mut Vec<Problem>) {
        let mut at = String::new();
        for (index, part) in path.iter().enumerate() {
            // In variables `-` cannot be written, so `_` stands for both.
            let names = self.below(&at);
            let name = names.iter().find(|name| name.replace('-', "_") == *part);
            let Some(name) = name else {
                if index > 0 {
                    let meant = nearest(part, names);
                    let remedy = match meant {
                        Some(meant) => {
                            let mut path = path[..index].to_vec();
                            path.push(meant.to_owned());
                            let path: Vec<_> = path.iter().map(String::as_str).collect();
                            format!(" ({})", crate::environment::variable(&path))
                        }
                        None => String::new(),
                    };
                    problems.push(self.unknown(&at, part, meant, origin, &remedy));
                }
                return;
            };
            at = join(&at, name);
            // What lies below a key is its value, and was read as such.
            if self.is_key(&at) {
                return;
            }
        }
    }

    fn unknown(
        &self,
        path: &str,
        key: &str,
        meant: Option<&str>,
        origin: Origin,
        variable: &str,
    ) -> Problem {
        let message = match meant {
            Some(meant) => format!("unknown key; did you mean `{}`{variable}?", join(path, meant)),
            None => {
                let names = self.below(path).join(", ");
                let place = match path {
                    "" => "at the top".to_owned(),
                    path => format!("in {path}"),
                };
                format!("unknown key; remove it, or use one of those known {place}: {names}")
            }
        };
        Problem { kind: ProblemKind::Unknown, key: join(path, key), origin: Some(origin), message }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
