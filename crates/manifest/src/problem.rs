//! What is wrong with a manifest, all of it at once.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// One thing that is wrong, where, and after `;` what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
#[non_exhaustive]
pub struct Problem {
    /// The file as it was named.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong. The text is not promised.
    pub message: String,
}

/// Everything that is wrong, in the order of the text; at least one. Displays one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// All of them.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    pub(crate) fn new(file: &str, mut found: Vec<regatta_yaml::Problem>) -> Self {
        let file: Arc<str> = file.into();
        found.sort_by_key(|problem| problem.mark);
        let place = |found: regatta_yaml::Problem| Problem {
            file: file.clone(),
            line: found.mark.line,
            column: found.mark.column,
            message: found.message,
        };
        Self(found.into_iter().map(place).collect())
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

/// A manifest could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no such file.
    #[error(
        "there is no manifest at `{}`; run `regatta new NAME` to write a first one, or go to the \
         folder that has it", path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("manifest `{}` cannot be read; check its permissions, and that it is UTF-8 text", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What it says is wrong.
    #[error(transparent)]
    Invalid(#[from] Problems),
}
