//! From a database URL to an engine; a wrong one is told without its secrets.

use std::path::PathBuf;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::InvalidOption;

/// The database could not be set up. No variant shows the URL: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No engine of this build has the scheme.
    #[error(
        "database scheme `{scheme}` is not known; use `sqlite:///path/to/file.db` or \
         `postgres://user:password@host:5432/name`"
    )]
    UnknownScheme {
        /// What stands before the `:`, or `(none)`.
        scheme: String,
    },
    /// The scheme is known and the rest is not right.
    #[error(
        "the `{scheme}` database URL is not valid (not shown: it may hold a password); write it \
         like `{example}`, with characters such as `@ / # %` in a password percent-encoded"
    )]
    Malformed {
        /// The scheme.
        scheme: &'static str,
        /// A URL that would do.
        example: &'static str,
    },
    /// The folder of the SQLite file could not be made.
    #[error("cannot create the database folder `{}`; check its permissions", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// An option is out of range.
    #[error("a database option is out of range")]
    Option(#[from] InvalidOption),
}

/// What a URL points at.
#[derive(Debug)]
pub(crate) enum Target {
    /// A file, or memory of this process.
    Sqlite { connect: SqliteConnectOptions, in_memory: bool },
    /// A server.
    Postgres(PgConnectOptions),
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "sqlite" => Self::sqlite(url),
            "postgres" | "postgresql" => Self::postgres(url),
            other => Err(OpenError::UnknownScheme { scheme: printable_scheme(other) }),
        }
    }

    fn sqlite(url: &str) -> Result<Self, OpenError> {
        let malformed =
            || OpenError::Malformed { scheme: "sqlite", example: "sqlite:///var/lib/app/app.db" };
        let connect = SqliteConnectOptions::from_str(url).map_err(|_| malformed())?;
        let rest = url.trim_start_matches("sqlite:").trim_start_matches("//");
        let in_memory = rest.starts_with(":memory:") || rest.contains("mode=memory");
        if !in_memory && connect.get_filename().as_os_str().is_empty() {
            return Err(malformed());
        }
        Ok(Self::Sqlite { connect, in_memory })
    }

    fn postgres(url: &str) -> Result<Self, OpenError> {
        let malformed = OpenError::Malformed {
            scheme: "postgres",
            example: "postgres://user:password@host:5432/name",
        };
        // `postgres:name` and the like parse as URLs without a host.
        if !url.contains("://") {
            return Err(malformed);
        }
        PgConnectOptions::from_str(url).map(Self::Postgres).map_err(|_| malformed)
    }
}

/// The scheme, when it looks like one; a text that is no URL may start with a password.
fn printable_scheme(text: &str) -> String {
    let is_scheme = !text.is_empty()
        && text.len() <= 12
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if is_scheme { text.to_owned() } else { "(none)".to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_scheme_chooses_the_engine() {
        let file = Target::parse("sqlite:///tmp/a.db").unwrap();
        assert!(matches!(file, Target::Sqlite { in_memory: false, .. }));
        let memory = Target::parse("sqlite::memory:").unwrap();
        assert!(matches!(memory, Target::Sqlite { in_memory: true, .. }));
        for url in ["postgres://u:p@h:5432/d", "postgresql://h/d"] {
            assert!(matches!(Target::parse(url), Ok(Target::Postgres(_))), "{url}");
        }
    }

    #[test]
    fn an_unknown_scheme_is_named_with_the_remedy() {
        let error = Target::parse("mysql://root:hunter2@h/d").unwrap_err().to_string();
        assert!(error.contains("`mysql`") && error.contains("postgres://"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_wrong_url_is_told_without_its_password() {
        for url in [
            "postgres://app:hun/ter2@h:5432/d",
            "postgres://app:hunter2@h:99999/d",
            "postgres:hunter2",
            "hunter2",
            "",
            "sqlite://",
        ] {
            let error = Target::parse(url).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hun"), "{url} -> {shown}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_is_shown(password in "[!-~]{12,24}", tail in "[ -~]{0,40}") {
            if let Err(error) = Target::parse(&format!("postgres://u:{password}@{tail}")) {
                let shown = format!("{error} {error:?}");
                prop_assert!(!shown.contains(&password), "{}", shown);
            }
        }
    }
}
