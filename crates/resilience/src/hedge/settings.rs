//! When a call is slow enough for a second try.

use std::time::Duration;

/// When a call is slow enough for a second try.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The share of calls, in percent, that is quicker than the delay. Default 95 (Dean and
    /// Barroso's: a twentieth more load at most, the tail gone); 50 to 99.
    pub percentile: u32,
    /// Calls that it takes to know the delay; none is hedged before. Default 100: five of them
    /// are slower than the 95th percentile; at least 20.
    pub minimum_calls: u64,
    /// The shortest delay. Default 1 ms: less is noise; at most `most`.
    pub least: Duration,
    /// The longest delay. Default 1 s: who waits longer gets help whatever is usual; up to 1 h.
    pub most: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            percentile: 95,
            minimum_calls: 100,
            least: Duration::from_millis(1),
            most: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// The same settings with a delay that this share of calls, in percent, is quicker than.
    #[must_use]
    pub fn with_percentile(mut self, percentile: u32) -> Self {
        self.percentile = percentile;
        self
    }

    /// The same settings with delays between these two.
    #[must_use]
    pub fn with_delay(mut self, least: Duration, most: Duration) -> Self {
        self.least = least;
        self.most = most;
        self
    }

    /// The same settings with so many calls to learn from first.
    #[must_use]
    pub fn with_minimum_calls(mut self, calls: u64) -> Self {
        self.minimum_calls = calls;
        self
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let Self { percentile, minimum_calls: calls, least, most } = *self;
        if !(50..=99).contains(&percentile) {
            return Err(InvalidSettings::Percentile { percentile });
        }
        if calls < 20 {
            return Err(InvalidSettings::MinimumCalls { calls });
        }
        if least > most || most > Duration::from_secs(3600) {
            return Err(InvalidSettings::Delay { least, most });
        }
        Ok(())
    }
}

/// A setting of hedging is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSettings {
    /// Half of all calls twice, or none at all.
    #[error("percentile is `{percentile}`; use 50 to 99")]
    Percentile {
        /// What was given.
        percentile: u32,
    },
    /// Too few calls to know what is usual.
    #[error("minimum_calls is `{calls}`; use 20 or more")]
    MinimumCalls {
        /// What was given.
        calls: u64,
    },
    /// The shortest delay is longer than the longest, or that is over an hour.
    #[error("delays are from `{least:?}` to `{most:?}`; use a shorter and a longer one up to 1 h")]
    Delay {
        /// The shortest.
        least: Duration,
        /// The longest.
        most: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_setting_out_of_range_with_its_value() {
        let valid = Settings::default;
        assert_eq!(valid().validate(), Ok(()));
        let (short, long) = (Duration::from_millis(1), Duration::from_secs(3601));
        let wrong = [
            (valid().with_percentile(49), "percentile is `49`"),
            (valid().with_percentile(100), "percentile is `100`"),
            (valid().with_minimum_calls(19), "minimum_calls is `19`"),
            (valid().with_delay(2 * short, short), "from `2ms` to `1ms`"),
            (valid().with_delay(short, long), "to `3601s`"),
        ];
        for (settings, message) in wrong {
            let error = settings.validate().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
