//! One limit as its script takes it: name, numbers, and the key of a client.

use std::time::Duration;

use aws_lc_rs::digest;
use regatta_resilience::rate_limit::{Algorithm, InvalidSettings, Settings};

/// A limit that Redis cannot count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidQuota {
    /// The limit, the window or the burst is out of range.
    #[error("the limit `{name}` is out of range")]
    Settings {
        /// The limit's name.
        name: String,
        /// Which setting.
        #[source]
        source: InvalidSettings,
    },
    /// The list of a client's calls would get so long that a script could hold Redis up.
    #[error("limit `{name}` admits `{limit}` calls; use up to 10000, or the algorithm gcra")]
    TooLarge {
        /// The limit's name.
        name: String,
        /// Calls per window.
        limit: u32,
    },
}

/// One limit as its script takes it.
#[derive(Debug)]
pub(crate) struct Quota {
    pub(crate) limit: u32,
    pub(crate) window: Duration,
    /// `prefix:name:` and a letter for what is kept, since keys of two kinds cannot be one.
    start: String,
    pub(crate) script: Script,
}

/// A script with its arguments, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    SlidingWindow { window: u64 },
    Gcra { interval: u64, tolerance: u64 },
}

/// The most calls a window that the exact script counts one by one.
const MOST_EXACT: u32 = 10_000;

/// Names of clients up to this many bytes are kept as they are; longer ones as their digest.
const LONGEST_NAME: usize = 128;

impl Quota {
    pub(crate) fn try_new(
        prefix: &str,
        name: &str,
        settings: &Settings,
        algorithm: Algorithm,
    ) -> Result<Self, InvalidQuota> {
        let valid = match algorithm {
            Algorithm::SlidingWindow => settings.validate(),
            Algorithm::Gcra { burst } => settings.validate_burst(burst),
        };
        valid.map_err(|source| InvalidQuota::Settings { name: name.to_owned(), source })?;
        let Settings { limit, window, .. } = *settings;
        // Rounded up to the server's microseconds: never more than the limit.
        let (letter, script) = match algorithm {
            Algorithm::SlidingWindow if limit > MOST_EXACT => {
                return Err(InvalidQuota::TooLarge { name: name.to_owned(), limit });
            }
            Algorithm::SlidingWindow => {
                let window = window.as_nanos().div_ceil(1_000) as u64;
                ('w', Script::SlidingWindow { window })
            }
            Algorithm::Gcra { burst } => {
                let calls = u128::from(limit - burst + 1) * 1_000;
                let interval = window.as_nanos().div_ceil(calls) as u64;
                let tolerance = interval * u64::from(burst - 1);
                ('g', Script::Gcra { interval, tolerance })
            }
        };
        Ok(Self { limit, window, start: format!("{prefix}:{name}:{letter}:"), script })
    }

    /// Where this client's count is.
    pub(crate) fn key(&self, client: &str) -> String {
        if client.len() <= LONGEST_NAME {
            return format!("{}={client}", self.start);
        }
        let digest = digest::digest(&digest::SHA256, client.as_bytes());
        let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        format!("{}#{}", self.start, hex.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn quota(limit: u32, algorithm: Algorithm) -> Result<Quota, InvalidQuota> {
        Quota::try_new("p", "n", &Settings::new(limit, MINUTE), algorithm)
    }

    #[test]
    fn clients_have_keys_of_their_own_that_are_never_long() {
        let quota = quota(60, Algorithm::SlidingWindow).unwrap();
        assert_eq!(quota.key("alice"), "p:n:w:=alice");
        let long = "a".repeat(10_000);
        let (one, other) = (quota.key(&long), quota.key(&format!("{long}b")));
        assert_ne!(one, other);
        assert_eq!(one.len(), "p:n:w:#".len() + 64);
        // Nobody can name himself as another's digest.
        assert_ne!(quota.key(&one["p:n:w:".len()..]), one);
    }

    #[test]
    fn limits_of_both_algorithms_are_kept_apart() {
        let window = quota(60, Algorithm::SlidingWindow).unwrap();
        let paced = quota(60, Algorithm::Gcra { burst: 11 }).unwrap();
        assert_ne!(window.key("alice"), paced.key("alice"));
        assert_eq!(window.script, Script::SlidingWindow { window: 60_000_000 });
        assert_eq!(paced.script, Script::Gcra { interval: 1_200_000, tolerance: 12_000_000 });
    }

    #[test]
    fn what_redis_cannot_count_is_refused_by_name() {
        let message = |limit, algorithm| quota(limit, algorithm).unwrap_err().to_string();
        assert!(message(10_001, Algorithm::SlidingWindow).contains("`n` admits `10001` calls"));
        assert!(quota(1_000_000, Algorithm::Gcra { burst: 1 }).is_ok());
        assert!(message(0, Algorithm::SlidingWindow).contains("the limit `n` is out of range"));
        assert!(message(5, Algorithm::Gcra { burst: 6 }).contains("out of range"));
    }
}
