//! Where Redis is, and how long to wait for it.

use std::fmt;
use std::time::Duration;

/// Where Redis is, and how long to wait for it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS. The database is a
    /// number; the port is 6379 when none is named.
    pub url: String,
    /// What every key begins with. Default `regatta:limits`; systems that share a server and not
    /// their limits use different ones.
    pub prefix: String,
    /// The longest wait of a call. Default 50 ms: a hundred round trips inside a data centre, and
    /// no user notices; more than 0, at most 10 s.
    pub timeout: Duration,
    /// The longest time a connection may take to be made. Default 1 s: a round trip and one lost
    /// packet; more than 0, at most 60 s. Calls do not wait longer for it than for an answer.
    pub connect_timeout: Duration,
    /// Calls that wait for an answer at a time. Default 1024: at 1 ms an answer that is a million
    /// calls a second; 1 to 1,000,000.
    pub in_flight: usize,
}

impl Options {
    /// The defaults, for this server.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "regatta:limits".to_owned(),
            timeout: Duration::from_millis(50),
            connect_timeout: Duration::from_secs(1),
            in_flight: 1024,
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

    /// The same options with this longest time for a connection.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The same options with so many calls that wait at a time.
    #[must_use]
    pub fn with_in_flight(mut self, calls: usize) -> Self {
        self.in_flight = calls;
        self
    }

    /// Checks every option but the URL, which is read when it is used.
    pub(crate) fn validate(&self) -> Result<(), InvalidOptions> {
        let time = |option, time: Duration, most: Duration| match time.is_zero() || time > most {
            true => Err(InvalidOptions::Time { option, time, most }),
            false => Ok(()),
        };
        time("timeout", self.timeout, Duration::from_secs(10))?;
        time("connect_timeout", self.connect_timeout, Duration::from_secs(60))?;
        if !(1..=1_000_000).contains(&self.in_flight) {
            return Err(InvalidOptions::InFlight { calls: self.in_flight });
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
            .field("connect_timeout", &self.connect_timeout)
            .field("in_flight", &self.in_flight)
            .finish()
    }
}

/// An option is out of range.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOptions {
    /// The URL names no server. It is not repeated here: it may hold a password.
    #[error("the URL of the shared limits is none; use redis://host:6379 or rediss://host:6379")]
    Url(#[source] ::redis::RedisError),
    /// A wait of no time, or too long.
    #[error("{option} is `{time:?}`; use more than 0, at most {most:?}")]
    Time {
        /// Its name.
        option: &'static str,
        /// What was given.
        time: Duration,
        /// The most.
        most: Duration,
    },
    /// No call could wait, or more than is of use.
    #[error("in_flight is `{calls}`; use 1 to 1000000")]
    InFlight {
        /// What was given.
        calls: usize,
    },
}
