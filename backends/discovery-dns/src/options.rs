//! How patient to be with name servers.

use std::time::Duration;

/// How to ask name servers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Records are looked up no more often than this, whatever their time to live. Default 1 s: a
    /// time to live of 0 must not become a flood; more than 0.
    pub least_refresh: Duration,
    /// Records are looked up at least as often. Default 30 s: who publishes hours would not see an
    /// instance leave; at least `least_refresh`.
    pub most_refresh: Duration,
    /// How long one question to one server may take; it is asked twice. Default 2 s; more than 0.
    pub timeout: Duration,
    /// The longest wait before the first retry of a failed look-up; doubles with each further one.
    /// Default 500 ms; more than 0.
    pub first_backoff: Duration,
    /// The longest wait between two retries. Default 10 s; more than 0.
    pub max_backoff: Duration,
    /// How long an empty answer is not believed after an outage. Default
    /// [`LastKnown::GRACE`](regatta_discovery::LastKnown::GRACE), 30 s.
    pub grace: Duration,
}

/// An option is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is `{value:?}`; set it to more than 0, and most_refresh to least_refresh or more")]
pub struct InvalidOptions {
    /// The option.
    pub name: &'static str,
    /// Its value.
    pub value: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            least_refresh: Duration::from_secs(1),
            most_refresh: Duration::from_secs(30),
            timeout: Duration::from_secs(2),
            first_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(10),
            grace: regatta_discovery::LastKnown::GRACE,
        }
    }
}

impl Options {
    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// [`InvalidOptions`] names the first option out of range.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        for (name, value) in [
            ("least_refresh", self.least_refresh),
            ("timeout", self.timeout),
            ("first_backoff", self.first_backoff),
            ("max_backoff", self.max_backoff),
        ] {
            if value.is_zero() {
                return Err(InvalidOptions { name, value });
            }
        }
        if self.most_refresh < self.least_refresh {
            return Err(InvalidOptions { name: "most_refresh", value: self.most_refresh });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_option_out_of_range() {
        assert_eq!(Options::default().validate(), Ok(()));
        let options = Options { timeout: Duration::ZERO, ..Options::default() };
        assert_eq!(options.validate().unwrap_err().name, "timeout");
        let options = Options { most_refresh: Duration::from_millis(1), ..Options::default() };
        let error = options.validate().unwrap_err().to_string();
        assert!(error.starts_with("most_refresh is `1ms`"), "{error}");
    }
}
