//! What decides when a breaker opens and for how long.

use std::time::Duration;

/// When a breaker opens, for how long, and how carefully it tries again.
///
/// It opens at the first of: `failure_threshold` failures in a row; a share of `failure_percent`
/// failures in the window; a share of slow calls, if asked for. The shares are looked at when a
/// call fails or is slow, and only over at least `minimum_calls`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Failures in a row that open the breaker. Default 5 (Nygard's and R5's value: past chance,
    /// before harm); at least 1, and `u32::MAX` switches the rule off.
    pub failure_threshold: u32,
    /// Time from opening to the first probe. Default 60 s (R5: time for a restart); more than 0.
    pub open_for: Duration,
    /// Calls let through at a time while half-open. Default 1: a crowd of probes could finish off
    /// a recovering service; 1 to 1000.
    pub probes: u32,
    /// Share of failures in the window that opens the breaker. Default 50 (Hystrix's and
    /// Resilience4j's value: most callers would do better without); 1 to 100, none is off.
    pub failure_percent: Option<u32>,
    /// When slow calls open the breaker. Default never: only the caller knows what slow is.
    pub slow: Option<SlowCalls>,
    /// How long a call counts in the shares. Default 10 s (Hystrix's value: long enough for a
    /// share to mean something, short enough to act on); 100 ms to 1 h. It slides in tenths.
    pub window: Duration,
    /// Calls in the window below which no share counts. Default 20 (Hystrix's value: one failure
    /// of two calls is no trend); 1 to 1,000,000.
    pub minimum_calls: u32,
}

/// When slow calls open a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowCalls {
    /// A call that takes this long is slow, whatever its answer; more than 0.
    pub at_least: Duration,
    /// Share of slow calls in the window that opens the breaker; 1 to 100.
    pub percent: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            open_for: Duration::from_secs(60),
            probes: 1,
            failure_percent: Some(50),
            slow: None,
            window: Duration::from_secs(10),
            minimum_calls: 20,
        }
    }
}

impl Settings {
    /// How long a probe that has not ended keeps another from being tried: 10 s, longer than a try
    /// of a call usually may take, so that only a quiet stream is overtaken.
    pub const PROBE_PATIENCE: Duration = Duration::from_secs(10);

    /// Most probes at a time; more is no probing any more.
    pub const MOST_PROBES: u32 = 1000;

    /// The same settings with this many failures in a row to open.
    #[must_use]
    pub fn with_failure_threshold(mut self, failures: u32) -> Self {
        self.failure_threshold = failures;
        self
    }

    /// The same settings with this time from opening to the first probe.
    #[must_use]
    pub fn with_open_for(mut self, duration: Duration) -> Self {
        self.open_for = duration;
        self
    }

    /// The same settings with this many probes at a time.
    #[must_use]
    pub fn with_probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }

    /// The same settings with this share of failures to open; none switches the rule off.
    #[must_use]
    pub fn with_failure_percent(mut self, percent: Option<u32>) -> Self {
        self.failure_percent = percent;
        self
    }

    /// The same settings with this rule for slow calls; none switches it off.
    #[must_use]
    pub fn with_slow(mut self, slow: Option<SlowCalls>) -> Self {
        self.slow = slow;
        self
    }

    /// The same settings with shares over this window of at least so many calls.
    #[must_use]
    pub fn with_window(mut self, window: Duration, minimum_calls: u32) -> Self {
        self.window = window;
        self.minimum_calls = minimum_calls;
        self
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        if self.failure_threshold == 0 {
            return Err(InvalidSettings::ZeroThreshold);
        }
        if self.open_for.is_zero() {
            return Err(InvalidSettings::ZeroOpenFor);
        }
        if !(1..=Self::MOST_PROBES).contains(&self.probes) {
            return Err(InvalidSettings::Probes { probes: self.probes });
        }
        if let Some(percent) = self.failure_percent.filter(|percent| !is_percent(*percent)) {
            return Err(InvalidSettings::FailurePercent { percent });
        }
        if let Some(slow) = self.slow {
            if slow.at_least.is_zero() {
                return Err(InvalidSettings::ZeroSlow);
            }
            if !is_percent(slow.percent) {
                return Err(InvalidSettings::SlowPercent { percent: slow.percent });
            }
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&self.window) {
            return Err(InvalidSettings::Window { window: self.window });
        }
        if !(1..=1_000_000).contains(&self.minimum_calls) {
            return Err(InvalidSettings::MinimumCalls { calls: self.minimum_calls });
        }
        Ok(())
    }

    /// Whether any share is asked for, so that successes must be counted.
    pub(crate) fn counts_calls(&self) -> bool {
        self.failure_percent.is_some() || self.slow.is_some()
    }
}

fn is_percent(percent: u32) -> bool {
    (1..=100).contains(&percent)
}

/// A breaker setting is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSettings {
    /// No number of failures below one can open the breaker.
    #[error("failure_threshold is `0`; set it to 1 or more")]
    ZeroThreshold,
    /// A breaker that is open for no time never rejects a call.
    #[error("open_for is `0`; set it to 1 ms or more")]
    ZeroOpenFor,
    /// Without probes it never closes again; with too many it does not protect.
    #[error("probes is `{probes}`; use 1 to 1000")]
    Probes {
        /// What was given.
        probes: u32,
    },
    /// A share is a part of the whole.
    #[error("failure_percent is `{percent}`; use 1 to 100, or none to switch it off")]
    FailurePercent {
        /// What was given.
        percent: u32,
    },
    /// Every call takes longer than no time.
    #[error("slow calls are those of `0` and more; name the time from which a call is slow")]
    ZeroSlow,
    /// A share is a part of the whole.
    #[error("the percent of slow calls is `{percent}`; use 1 to 100")]
    SlowPercent {
        /// What was given.
        percent: u32,
    },
    /// Too short to count anything, or too long to act on.
    #[error("window is `{window:?}`; use 100 ms to 1 h")]
    Window {
        /// What was given.
        window: Duration,
    },
    /// A share of no calls means nothing.
    #[error("minimum_calls is `{calls}`; use 1 to 1000000")]
    MinimumCalls {
        /// What was given.
        calls: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Settings::default().validate(), Ok(()));
    }

    #[test]
    fn names_the_setting_out_of_range_with_its_value() {
        let valid = Settings::default;
        let slow = |at_least, percent| Some(SlowCalls { at_least, percent });
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        let wrong = [
            (valid().with_failure_threshold(0), "failure_threshold is `0`"),
            (valid().with_open_for(Duration::ZERO), "open_for is `0`"),
            (valid().with_probes(0), "probes is `0`"),
            (valid().with_probes(1001), "probes is `1001`"),
            (valid().with_failure_percent(Some(0)), "failure_percent is `0`"),
            (valid().with_failure_percent(Some(101)), "failure_percent is `101`"),
            (valid().with_slow(slow(Duration::ZERO, 50)), "slow calls are those of `0`"),
            (valid().with_slow(slow(second, 0)), "percent of slow calls is `0`"),
            (valid().with_slow(slow(second, 101)), "percent of slow calls is `101`"),
            (valid().with_window(Duration::ZERO, 20), "window is `0ns`"),
            (valid().with_window(day, 20), "window is `86400s`"),
            (valid().with_window(second, 0), "minimum_calls is `0`"),
            (valid().with_window(second, 1_000_001), "minimum_calls is `1000001`"),
        ];
        for (settings, message) in wrong {
            let error = settings.validate().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
