//! What is wrong with a configuration, all of it at once.

use std::fmt;

use crate::Origin;

/// One thing that is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// What sort of problem it is.
    pub kind: ProblemKind,
    /// The setting, such as `database.port`; empty when a source as a whole is wrong.
    pub key: String,
    /// Where the wrong value stands; none when it stands nowhere.
    pub origin: Option<Origin>,
    /// What is wrong, and after `;` the remedy. Shows no secret. The text is not promised.
    pub message: String,
}

/// The sorts of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A file cannot be read or is not YAML.
    Source,
    /// Nobody knows this key.
    Unknown,
    /// The value is not of the setting's type.
    WrongType,
    /// The value is of the right type and not allowed.
    OutOfRange,
    /// A required setting is set nowhere.
    Missing,
}

impl Problem {
    /// A value that is not of the wanted type, for an own [`crate::Setting`].
    pub fn wrong_type(origin: &Origin, message: impl Into<String>) -> Self {
        Self {
            kind: ProblemKind::WrongType,
            key: String::new(),
            origin: Some(origin.clone()),
            message: message.into(),
        }
    }

    pub(crate) fn source(origin: Option<Origin>, message: impl Into<String>) -> Self {
        Self { kind: ProblemKind::Source, key: String::new(), origin, message: message.into() }
    }

    /// The same problem, its key within a larger one: `[2]` under `hosts` is `hosts[2]`.
    #[must_use]
    pub fn under(mut self, outer: &str) -> Self {
        self.key.insert_str(0, outer);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// Everything that is wrong; at least one problem. Displays one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// All of them: those of files in the order of the text, then variables, then what is missing.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// Sorts the problems; nothing when there are none.
    pub(crate) fn check(mut problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort_by(|a, b| {
            let place = |p: &Problem| (p.origin.is_none(), p.origin.clone());
            place(a).cmp(&place(b)).then_with(|| a.key.cmp(&b.key))
        });
        problems.dedup();
        Err(Self(problems))
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
