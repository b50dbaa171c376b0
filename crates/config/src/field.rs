//! One setting as its group declares it, and the reader that fills it.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds};

use crate::environment::variable;
use crate::schema::Key;
use crate::value::{Data, Value};
use crate::{Config, Problem, ProblemKind, Setting, redact};

type Check<T> = Box<dyn Fn(&T) -> Result<(), String>>;

/// One setting: its key, its default and what a value must satisfy. Made by [`crate::settings!`].
#[must_use]
pub struct Field<T> {
    key: Key,
    default: T,
    checks: Vec<Check<T>>,
}

impl<T> std::fmt::Debug for Field<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Field").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<T: Setting + 'static> Field<T> {
    /// A setting of a group, with the lines of its documentation.
    pub fn new(group: &str, name: &str, docs: &[&str], default: T) -> Self {
        // A raw identifier is Rust's way to write a keyword: `r#type` is the key `type`.
        let name = name.strip_prefix("r#").unwrap_or(name);
        let key = Key {
            name: format!("{group}.{name}"),
            docs: docs.iter().map(|line| line.trim().to_owned()).collect(),
            kind: T::kind(),
            default: default.write(),
            required: false,
            secret: T::SECRET,
            environment: Vec::new(),
            range: None,
        };
        Self { key, default, checks: Vec::new() }
    }

    /// A further environment variable, below the one named for the key.
    pub fn env(mut self, variable: &'static str) -> Self {
        self.key.environment.push(variable);
        self
    }

    /// Some layer must set it: the default of the struct is no setting.
    pub fn required(mut self) -> Self {
        self.key.required = true;
        self.key.default = None;
        self
    }

    /// Values are shown as `***` although their type is none of secrets.
    pub fn secret(mut self) -> Self {
        self.key.secret = true;
        self
    }

    /// Values outside are refused.
    pub fn range(mut self, range: impl RangeBounds<T> + 'static) -> Self
    where
        T: PartialOrd,
    {
        let text = range_text(&range);
        self.key.range = Some(text.clone());
        self.check(
            move |value| if range.contains(value) { Ok(()) } else { Err(format!("use {text}")) },
        )
    }

    /// Values are refused when the function says why; the text ends with what to do.
    pub fn validate<E: Display>(self, check: impl Fn(&T) -> Result<(), E> + 'static) -> Self {
        self.check(move |value| check(value).map_err(|error| error.to_string()))
    }

    /// Reads and checks a value that stands elsewhere than under the setting's own key.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it; a value of a secret is not shown.
    pub fn read_from(self, value: &Value) -> Result<T, Vec<Problem>> {
        checked(value, &self.checks).map_err(|problems| {
            let kind = self.key.secret.then_some(self.key.kind.as_str());
            problems.into_iter().map(|problem| redact::problem(problem, kind)).collect()
        })
    }

    /// What the schema says of it.
    pub fn into_key(self) -> Key {
        self.key
    }

    fn check(mut self, check: impl Fn(&T) -> Result<(), String> + 'static) -> Self {
        self.checks.push(Box::new(check));
        self
    }
}

fn range_text<T: Setting>(range: &impl RangeBounds<T>) -> String {
    let text = |value: &T| value.write().unwrap_or_else(|| "nothing".to_owned());
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(low), Bound::Included(high)) => format!("{} to {}", text(low), text(high)),
        (Bound::Included(low), Bound::Excluded(high)) => {
            format!("{} or more, below {}", text(low), text(high))
        }
        (Bound::Included(low), Bound::Unbounded) => format!("{} or more", text(low)),
        (Bound::Unbounded, Bound::Included(high)) => format!("at most {}", text(high)),
        (Bound::Unbounded, Bound::Excluded(high)) => format!("below {}", text(high)),
        (Bound::Excluded(low), Bound::Included(high)) => {
            format!("above {}, at most {}", text(low), text(high))
        }
        (Bound::Excluded(low), Bound::Excluded(high)) => {
            format!("above {}, below {}", text(low), text(high))
        }
        (Bound::Excluded(low), Bound::Unbounded) => format!("above {}", text(low)),
        (Bound::Unbounded, Bound::Unbounded) => "any value".to_owned(),
    }
}

/// Reads settings and remembers what was wrong with them.
#[derive(Debug)]
pub struct Reader<'a> {
    config: &'a Config,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(config: &'a Config) -> Self {
        Self { config, problems: Vec::new() }
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// The setting; its default when no layer sets it, or when what is set is wrong.
    pub fn read<T: Setting + 'static>(&mut self, field: Field<T>) -> T {
        let Field { key, default, checks } = field;
        let Some(value) = self.config.value(&key.name, &key.environment) else {
            if key.required {
                self.missing(&key);
            }
            return default;
        };
        if key.required && value.data == Data::Null {
            self.missing(&key);
            return default;
        }
        let read = checked(&value, &checks);
        read.unwrap_or_else(|problems| {
            let placed = problems.into_iter().map(|p| p.under(&key.name));
            let kind = key.secret.then_some(key.kind.as_str());
            self.problems.extend(placed.map(|p| redact::problem(p, kind)));
            default
        })
    }

    fn missing(&mut self, key: &Key) {
        let path: Vec<_> = key.name.split('.').collect();
        let own = variable(&path);
        let variables = match key.environment.first() {
            Some(alias) => format!("{alias} or {own}"),
            None => own,
        };
        let message = format!(
            "{} is required and set nowhere; set the environment variable {variables}, or `{}` in {}",
            key.kind,
            key.name,
            self.config.path()
        );
        self.problems.push(Problem {
            kind: ProblemKind::Missing,
            key: key.name.clone(),
            origin: None,
            message,
        });
    }
}

/// Reads a value and checks it.
fn checked<T: Setting>(value: &Value, checks: &[Check<T>]) -> Result<T, Vec<Problem>> {
    let setting = T::read(value)?;
    let refused = |check: &Check<T>| check(&setting).err();
    match checks.iter().find_map(refused) {
        // An absent optional value is nothing that could be out of range.
        Some(_) if value.data == Data::Null => Ok(setting),
        Some(remedy) => Err(vec![out_of_range(value, &remedy)]),
        None => Ok(setting),
    }
}

fn out_of_range(value: &Value, remedy: &str) -> Problem {
    Problem {
        kind: ProblemKind::OutOfRange,
        key: String::new(),
        origin: Some(value.origin.clone()),
        message: format!("{} is not allowed; {remedy}", value.found()),
    }
}
