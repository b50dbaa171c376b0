//! What decides when a breaker opens and for how long.

use std::time::Duration;

/// When a breaker opens, for how long, and how carefully it tries again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Failures in a row that open the breaker. Default 5 (Nygard's and R5's value: past chance,
    /// before harm); at least 1.
    pub failure_threshold: u32,
    /// Time from opening to the first probe. Default 60 s (R5: time for a restart); more than 0.
    pub open_for: Duration,
    /// Calls let through at a time while half-open. Default 1: a crowd of probes could finish off
    /// a recovering service; 1 to 1000.
    pub probes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { failure_threshold: 5, open_for: Duration::from_secs(60), probes: 1 }
    }
}

impl Settings {
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
        Ok(())
    }
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
        let message = |settings: Settings| settings.validate().unwrap_err().to_string();
        let valid = Settings::default();
        assert!(message(valid.clone().with_failure_threshold(0)).contains("failure_threshold"));
        assert!(message(valid.clone().with_open_for(Duration::ZERO)).contains("open_for"));
        assert!(message(valid.clone().with_probes(0)).contains("probes is `0`"));
        assert!(message(valid.with_probes(1001)).contains("probes is `1001`"));
    }
}
