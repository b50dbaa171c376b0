//! A map of settings inside a setting: known keys only, each read and checked.

use regatta_yaml::nearest;

use crate::value::{Data, Entry, Value};
use crate::{Field, Problem, ProblemKind, Setting};

/// Reads the keys of a map that is itself the value of a setting, as a [`Setting`] of one's own
/// does for each item of a list or map of groups.
///
/// ```
/// use regatta_config::{Config, Field, Fields, Problem, Setting, Value};
///
/// struct Limit {
///     per_second: Option<u32>,
/// }
///
/// impl Setting for Limit {
///     fn kind() -> String {
///         "a limit".to_owned()
///     }
///
///     fn read(value: &Value) -> Result<Self, Vec<Problem>> {
///         let mut fields = Fields::of::<Self>(value)?;
///         let per_second = Field::new("", "per_second", &[], 0_u32).range(1..);
///         let limit = Self { per_second: fields.read("per_second", per_second) };
///         fields.finish().map(|()| limit)
///     }
///
///     fn write(&self) -> Option<String> {
///         None
///     }
/// }
///
/// let config = Config::builder().yaml("c.yaml", "limit: {per_secnd: 1}").build().unwrap();
/// let error = config.get::<Limit>("limit").err().unwrap().to_string();
/// assert!(error.contains("limit.per_secnd: unknown key; did you mean `per_second`?"), "{error}");
/// ```
#[derive(Debug)]
pub struct Fields<'a> {
    entries: &'a [Entry],
    known: Vec<String>,
    problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    /// Begins with the map; a key without a value is an empty one.
    ///
    /// # Errors
    ///
    /// The value is no map.
    pub fn of<T: Setting>(value: &'a Value) -> Result<Self, Vec<Problem>> {
        let entries = match &value.data {
            Data::Map(entries) => entries.as_slice(),
            Data::Null => &[],
            _ => {
                let (kind, found) = (T::kind(), value.found());
                let message = format!("expected {kind}, found {found}; write `key: value` lines");
                return Err(vec![Problem::wrong_type(&value.origin, message)]);
            }
        };
        Ok(Self { entries, known: Vec::new(), problems: Vec::new() })
    }

    /// The value of one key; none when it is not there, or wrong, which [`Fields::finish`] tells.
    pub fn read<T: Setting + 'static>(&mut self, name: &str, field: Field<T>) -> Option<T> {
        self.known.push(name.to_owned());
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        match field.read_from(&entry.value) {
            Ok(value) => Some(value),
            Err(problems) => {
                let name = format!(".{name}");
                self.problems.extend(problems.into_iter().map(|problem| problem.under(&name)));
                None
            }
        }
    }

    /// Ends with everything that was wrong, keys that were not asked for included.
    ///
    /// # Errors
    ///
    /// All of it.
    pub fn finish(mut self) -> Result<(), Vec<Problem>> {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key)) {
            let message = match nearest(&entry.key, self.known.iter().map(String::as_str)) {
                Some(meant) => format!("unknown key; did you mean `{meant}`?"),
                None => {
                    let names = self.known.join(", ");
                    format!("unknown key; remove it, or use one of those known here: {names}")
                }
            };
            self.problems.push(Problem {
                kind: ProblemKind::Unknown,
                key: format!(".{}", entry.key),
                origin: Some(entry.origin.clone()),
                message,
            });
        }
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems) }
    }
}
