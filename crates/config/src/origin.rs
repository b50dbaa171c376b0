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
    /// The config center.
    Center {
        /// The whole key there.
        key: Arc<str>,
        /// The revision of its value.
        revision: u64,
    },
}

impl Origin {
    /// Whether values come from there as one text each, lists and maps too.
    pub(crate) fn is_flat(&self) -> bool {
        matches!(self, Self::Environment { .. } | Self::Center { .. })
    }
}

impl fmt::Display for Origin {
    /// `default`, `config.yaml:3:9`, `environment variable DATABASE__HOST` or
    /// `config center /config/a/b, revision 7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Center { key, revision } => write!(f, "config center {key}, revision {revision}"),
        }
    }
}
