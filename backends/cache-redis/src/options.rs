//! Where Redis is, how long to wait for it, what to keep before it.

use std::fmt;
use std::time::Duration;

/// Where Redis is, how long to wait for it, what to keep before it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS.
    pub url: String,
    /// What stands before every key, with a `:`; services that share a server use different ones,
    /// replicas of one service the same. Default empty.
    pub prefix: String,
    /// The longest wait of a call. Default 100 ms: much longer than Redis needs, shorter than a
    /// database; more than 0, at most 10 s.
    pub timeout: Duration,
    /// The longest time a connection may take to be made. Default 1 s; more than 0, at most 60 s.
    pub connect_timeout: Duration,
    /// Calls that wait for an answer at a time. Default 1024; 1 to 1,000,000.
    pub in_flight: usize,
    /// How long a copy in this process is believed. Default 10 s: so old an answer may be when a
    /// message is lost, or Redis is away; 0 for no copies, at most 60 s.
    pub near_ttl: Duration,
    /// Memory for copies in this process, in bytes. Default 16 MiB.
    pub near_bytes: usize,
}

impl Options {
    /// The defaults, for this server.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: String::new(),
            timeout: Duration::from_millis(100),
            connect_timeout: Duration::from_secs(1),
            in_flight: 1024,
            near_ttl: Duration::from_secs(10),
            near_bytes: 16 << 20,
        }
    }

    /// The same options with this in front of every key.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The same options with this longest wait of a call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same options with copies in this process that are believed so long; 0 for none.
    #[must_use]
    pub fn with_near_ttl(mut self, ttl: Duration) -> Self {
        self.near_ttl = ttl;
        self
    }

    /// The same options with so many bytes for copies in this process.
    #[must_use]
    pub fn with_near_bytes(mut self, bytes: usize) -> Self {
        self.near_bytes = bytes;
        self
    }

    /// Checks every option but the URL, which is read when it is used.
    pub(crate) fn validate(&self) -> Result<(), InvalidOptions> {
        let wrong =
            |option, value: String, range| Err(InvalidOptions::Range { option, value, range });
        let is_in = |time: Duration, most| !time.is_zero() && time <= Duration::from_secs(most);
        if !is_in(self.timeout, 10) {
            return wrong("timeout", format!("{:?}", self.timeout), "more than 0, at most 10 s");
        }
        if !is_in(self.connect_timeout, 60) {
            let value = format!("{:?}", self.connect_timeout);
            return wrong("connect_timeout", value, "more than 0, at most 60 s");
        }
        if !(1..=1_000_000).contains(&self.in_flight) {
            return wrong("in_flight", self.in_flight.to_string(), "1 to 1000000");
        }
        if self.near_ttl > Duration::from_secs(60) {
            return wrong("near_ttl", format!("{:?}", self.near_ttl), "at most 60 s");
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if self.prefix.len() > 128 || !self.prefix.chars().all(is_plain) {
            let range = "up to 128 of a-z, A-Z, 0-9, `-`, `_`, `.` and `:`";
            return wrong("prefix", self.prefix.chars().take(64).collect(), range);
        }
        Ok(())
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &"***")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("near_ttl", &self.near_ttl)
            .finish_non_exhaustive()
    }
}

/// An option is out of range.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOptions {
    /// The URL names no server. It is not repeated here: it may hold a password.
    #[error("the URL of the cache is none; use redis://host:6379 or rediss://host:6379")]
    Url(#[source] redis::RedisError),
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
        assert!(Options::new("redis://localhost").validate().is_ok());
        type Change = fn(&mut Options);
        let changes: [(&str, Change); 8] = [
            ("timeout", |it| it.timeout = Duration::ZERO),
            ("timeout", |it| it.timeout = Duration::from_secs(11)),
            ("connect_timeout", |it| it.connect_timeout = Duration::ZERO),
            ("in_flight", |it| it.in_flight = 0),
            ("in_flight", |it| it.in_flight = 1_000_001),
            ("near_ttl", |it| it.near_ttl = Duration::from_secs(61)),
            ("prefix", |it| it.prefix = "a b".to_owned()),
            ("prefix", |it| it.prefix = "a".repeat(129)),
        ];
        for (option, change) in changes {
            let mut wrong = Options::new("redis://localhost");
            change(&mut wrong);
            let error = wrong.validate().unwrap_err().to_string();
            assert!(error.starts_with(option), "{error}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let options = Options::new("redis://app:hunter2@localhost");
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
