//! Where NATS is, and how it keeps events.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use async_nats::ServerAddr;

/// Where NATS is, and how it keeps events.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// `nats://[user:password@]host[:port]`, or `tls://…`; several with commas between.
    pub url: String,
    /// What names the streams and subjects of this bus: all who share it use the same. Default
    /// `regatta`; 1 to 32 of `a-z`, `A-Z`, `0-9`, `-` and `_`.
    pub prefix: String,
    /// On how many servers of a cluster each event is, when the streams are made. Default 1; 1, 3
    /// or 5. A single server answers before its disk has flushed: for what must outlive the power,
    /// use 3.
    pub replicas: usize,
    /// The longest wait for an answer. Default 5 s; 10 ms to 60 s.
    pub timeout: Duration,
    /// For how long an event that is published again is known to be the same, when the streams are
    /// made. Default 1 h: longer than a relay is usually away; 1 s to one day. The server keeps an
    /// entry in memory for each event of that time.
    pub duplicate_window: Duration,
    /// Whether the streams are made when they are not there; else each call fails then with
    /// `BusError::Absent`, for who only looks. Default true.
    pub makes_streams: bool,
    /// File with the credentials of a user, as `nsc generate creds` writes it: the token and the seed
    /// that signs for it. Read when the bus is opened. Default none.
    pub credentials: Option<PathBuf>,
    /// PEM file with the certificates of who vouches for the servers; with one, TLS is required.
    /// Default none: those of the system, where a server asks for TLS or the URL is `tls://`.
    pub ca: Option<PathBuf>,
}

impl Options {
    /// The defaults, for these servers.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "regatta".to_owned(),
            replicas: 1,
            timeout: Duration::from_secs(5),
            duplicate_window: Duration::from_secs(3600),
            makes_streams: true,
            credentials: None,
            ca: None,
        }
    }

    /// The same options for who only looks: no stream is made.
    #[must_use]
    pub fn existing(mut self) -> Self {
        self.makes_streams = false;
        self
    }

    /// The same options with this prefix.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The same options with each event on so many servers.
    #[must_use]
    pub fn with_replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// The same options with the credentials of this file.
    #[must_use]
    pub fn with_credentials(mut self, file: impl Into<PathBuf>) -> Self {
        self.credentials = Some(file.into());
        self
    }

    /// The same options with TLS, and servers for whom this file's certificates vouch.
    #[must_use]
    pub fn with_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca = Some(file.into());
        self
    }

    /// The same options with this longest wait for an answer.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Checks every option; answers the servers.
    pub(crate) fn validate(&self) -> Result<Vec<ServerAddr>, InvalidOptions> {
        let wrong =
            |option, value: String, range| Err(InvalidOptions::Range { option, value, range });
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !(1..=32).contains(&self.prefix.len()) || !self.prefix.bytes().all(is_plain) {
            let range = "1 to 32 of a-z, A-Z, 0-9, `-` and `_`";
            return wrong("prefix", self.prefix.chars().take(64).collect(), range);
        }
        if ![1, 3, 5].contains(&self.replicas) {
            return wrong("replicas", self.replicas.to_string(), "1, 3 or 5");
        }
        let minute = Duration::from_secs(60);
        if !(Duration::from_millis(10)..=minute).contains(&self.timeout) {
            return wrong("timeout", format!("{:?}", self.timeout), "10 ms to 60 s");
        }
        let day = Duration::from_secs(86_400);
        if !(Duration::from_secs(1)..=day).contains(&self.duplicate_window) {
            let value = format!("{:?}", self.duplicate_window);
            return wrong("duplicate_window", value, "1 s to one day");
        }
        let servers = self.url.split(',').map(|url| match url.trim() {
            "" => Err(std::io::Error::other("there is no address")),
            url => ServerAddr::from_str(url),
        });
        servers.collect::<Result<_, _>>().map_err(InvalidOptions::Url)
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &"***")
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .field("timeout", &self.timeout)
            .field("credentials", &self.credentials)
            .field("ca", &self.ca)
            .finish_non_exhaustive()
    }
}

/// An option is out of range.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOptions {
    /// The URL names no server. It is not repeated here: it may hold a password.
    #[error("the URL of the event bus is none; use nats://host:4222 or tls://host:4222")]
    Url(#[source] std::io::Error),
    /// A file is not there, or not what it is to be.
    #[error("the file `{}` of {option} cannot be used; see that it is there, readable and {what}", path.display())]
    File {
        /// The option that names it.
        option: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What it is to be.
        what: &'static str,
        /// Why it cannot be used.
        #[source]
        source: std::io::Error,
    },
    /// The client cannot be made of these options.
    #[error("the client of NATS cannot be made")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another option.
    #[error("{option} `{value}` is out of range; use {range}")]
    Range {
        /// Its name.
        option: &'static str,
        /// What was given.
        value: String,
        /// What it may be.
        range: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_first_option_out_of_range() {
        let two = Options::new("nats://a:4222, nats://b").validate().unwrap();
        assert_eq!(two.len(), 2);
        type Change = fn(&mut Options);
        let changes: [(&str, Change); 7] = [
            ("prefix", |it| it.prefix = String::new()),
            ("prefix", |it| it.prefix = "a.b".to_owned()),
            ("replicas", |it| it.replicas = 2),
            ("timeout", |it| it.timeout = Duration::from_millis(9)),
            ("timeout", |it| it.timeout = Duration::from_secs(61)),
            ("duplicate_window", |it| it.duplicate_window = Duration::ZERO),
            ("the URL", |it| it.url = String::new()),
        ];
        for (option, change) in changes {
            let mut wrong = Options::new("nats://localhost");
            change(&mut wrong);
            let error = wrong.validate().unwrap_err().to_string();
            assert!(error.starts_with(option), "{error}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let options = Options::new("nats://app:hunter2@localhost");
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
