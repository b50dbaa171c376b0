//! Where a value came from.

use std::fmt;
use std::sync::Arc;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Origin {
    /// The default in the code.
    Default,
    /// A file.
    File {
        /// The file as it was named.
        path: Arc<str>,
        /// The line, from 1.
        line: u32,
        /// The column in characters, from 1.
        column: u32,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: Arc<str>,
    },
}

impl fmt::Display for Origin {
    /// `default`, `config.yaml:3:9` or `environment variable DATABASE__HOST`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
        }
    }
}
