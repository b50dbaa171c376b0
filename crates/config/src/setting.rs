//! A type that a setting can have.

use std::collections::BTreeMap;

use regatta_yaml::{NotThat, Scalar};

use crate::environment;
use crate::value::{Data, Value};
use crate::{Origin, Problem};

/// A type that a setting can have.
///
/// Implemented for numbers, booleans, texts, [`crate::ByteSize`], `Duration`, `Secret`, addresses,
/// paths, `Option`, `Vec` and `BTreeMap`; [`crate::choices!`] makes an enum one, and
/// [`crate::setting_from_text!`] any type with `FromStr` and `Display`.
pub trait Setting: Sized {
    /// Whether values are shown as `***`.
    const SECRET: bool = false;

    /// The type in words, as in "expected a duration such as 30s".
    fn kind() -> String;

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// Everything that keeps the value from being of this type.
    fn read(value: &Value) -> Result<Self, Vec<Problem>>;

    /// The value as YAML in one line, such that it reads back; none for a setting without value.
    fn write(&self) -> Option<String>;

    /// The value of a key that is there and holds nothing; a problem unless a type has one.
    ///
    /// # Errors
    ///
    /// By default always: most types have no such value.
    fn read_null(origin: &Origin) -> Result<Self, Vec<Problem>> {
        let message =
            format!("expected {}, found nothing; write a value or remove the key", Self::kind());
        Err(vec![Problem::wrong_type(origin, message)])
    }
}

/// Reads a scalar; lists, maps and nothing are problems.
///
/// # Errors
///
/// The value is no scalar, or not of the type.
pub fn read_scalar<T: Setting>(
    value: &Value,
    example: &str,
    read: impl FnOnce(&Scalar) -> Result<T, NotThat>,
) -> Result<T, Vec<Problem>> {
    let problem = |message: String| vec![Problem::wrong_type(&value.origin, message)];
    match &value.data {
        // What `from_environment` puts where bytes were not UTF-8.
        Data::Text(scalar) if scalar.text.contains('\u{fffd}') && value.origin.is_flat() => {
            Err(problem("the value is not UTF-8; set it to UTF-8 text".to_owned()))
        }
        Data::Text(scalar) => read(scalar).map_err(|error| problem(error.to_string())),
        Data::Null => T::read_null(&value.origin),
        Data::List(_) | Data::Map(_) => Err(problem(format!(
            "expected {}, found {}; write a single value{example}",
            T::kind(),
            value.found()
        ))),
    }
}

impl<T: Setting> Setting for Option<T> {
    const SECRET: bool = T::SECRET;

    fn kind() -> String {
        T::kind()
    }

    fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        match value.data {
            Data::Null => Ok(None),
            _ => T::read(value).map(Some),
        }
    }

    fn write(&self) -> Option<String> {
        self.as_ref().and_then(T::write)
    }
}

/// A list; from a variable `a,b` or `[a, b]`.
impl<T: Setting> Setting for Vec<T> {
    const SECRET: bool = T::SECRET;

    fn kind() -> String {
        format!("a list, each item {}", T::kind())
    }

    fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        let from_text;
        let items = match &value.data {
            Data::List(items) => items,
            Data::Text(scalar) if value.origin.is_flat() => {
                from_text = environment::list(&value.origin, &scalar.text).map_err(|p| vec![p])?;
                &from_text
            }
            Data::Null => return Self::read_null(&value.origin),
            _ => {
                let found = value.found();
                let message = format!("expected {}, found {found}; write [a, b]", Self::kind());
                return Err(vec![Problem::wrong_type(&value.origin, message)]);
            }
        };
        let items = items.iter().enumerate().map(|(index, item)| (format!("[{index}]"), item));
        collect(items.map(|(name, item)| T::read(item).map_err(|problems| (name, problems))))
    }

    fn write(&self) -> Option<String> {
        let items: Vec<_> =
            self.iter().map(|item| item.write().unwrap_or_else(|| "null".to_owned())).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

/// A map; from a variable `a=1,b=2` or `{a: 1, b: 2}`, or one variable a key (`LABELS__A=1`).
impl<T: Setting> Setting for BTreeMap<String, T> {
    const SECRET: bool = T::SECRET;

    fn kind() -> String {
        format!("a map, each value {}", T::kind())
    }

    fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        let from_text;
        let entries = match &value.data {
            Data::Map(entries) => entries,
            Data::Text(scalar) if value.origin.is_flat() => {
                from_text = environment::map(&value.origin, &scalar.text).map_err(|p| vec![p])?;
                &from_text
            }
            Data::Null => return Self::read_null(&value.origin),
            _ => {
                let found = value.found();
                let message = format!("expected {}, found {found}; write {{a: b}}", Self::kind());
                return Err(vec![Problem::wrong_type(&value.origin, message)]);
            }
        };
        let read = |entry: &crate::value::Entry| match T::read(&entry.value) {
            Ok(item) => Ok((entry.key.clone(), item)),
            Err(problems) => Err((format!(".{}", entry.key), problems)),
        };
        collect(entries.iter().map(read)).map(|entries: Vec<_>| entries.into_iter().collect())
    }

    fn write(&self) -> Option<String> {
        let entry = |(key, item): (&String, &T)| {
            let text = item.write().unwrap_or_else(|| "null".to_owned());
            format!("{}: {text}", regatta_yaml::quote(key))
        };
        let entries: Vec<_> = self.iter().map(entry).collect();
        Some(format!("{{{}}}", entries.join(", ")))
    }
}

/// All items, or the problems of all.
fn collect<T>(
    items: impl Iterator<Item = Result<T, (String, Vec<Problem>)>>,
) -> Result<Vec<T>, Vec<Problem>> {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for item in items {
        match item {
            Ok(item) => good.push(item),
            Err((name, problems)) => bad.extend(problems.into_iter().map(|p| p.under(&name))),
        }
    }
    if bad.is_empty() { Ok(good) } else { Err(bad) }
}
