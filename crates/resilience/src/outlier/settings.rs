//! When an instance is taken out, for how long, and how many at most.

use std::time::Duration;

/// When an instance is ejected, for how long, and how many at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Failures in a row that eject an instance at once. Default 5 (Envoy's `consecutive_5xx`); at
    /// least 1, and `u32::MAX` switches the rule off.
    pub consecutive_failures: u32,
    /// Time between two looks at the success rates. Default 10 s (Envoy's value: enough calls for
    /// a rate, soon enough to help); 100 ms to 1 h.
    pub interval: Duration,
    /// Time of the first ejection; the n-th takes n times as long. Default 30 s (Envoy's value:
    /// time for a restart); more than 0.
    pub base_ejection: Duration,
    /// The longest ejection. Default 300 s (Envoy's value); at least `base_ejection`.
    pub max_ejection: Duration,
    /// The largest share of instances out at a time, in percent; one may always be. Default 10
    /// (Envoy's value: what the others can take over); 0 to 100.
    pub max_ejected_percent: u32,
    /// Ejection by success rate against the peers. Default on.
    pub success_rate: Option<SuccessRate>,
    /// When fewer than this share of instances is usable, all are used again, in percent. Default
    /// 50 (Envoy's value: half of them would break down under the load of all); 0 to 100, 0 never.
    pub panic_percent: u32,
}

/// When an instance's success rate is too far below its peers'.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuccessRate {
    /// Instances with enough calls that it takes to compare. Default 5 (Envoy's value); at least 2.
    pub minimum_instances: u32,
    /// Calls in the interval that it takes to have a rate. Default 100 (Envoy's value); at least 1.
    pub minimum_calls: u64,
    /// How many standard deviations under the mean, in thousandths. Default 1900 (Envoy's value:
    /// about 3 of 100 instances that only have bad luck); more than 0.
    pub deviation_thousandths: u32,
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self { minimum_instances: 5, minimum_calls: 100, deviation_thousandths: 1900 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_ejected_percent: 10,
            success_rate: Some(SuccessRate::default()),
            panic_percent: 50,
        }
    }
}

impl Settings {
    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let Self { interval, base_ejection, max_ejection, .. } = *self;
        if self.consecutive_failures == 0 {
            return Err(InvalidSettings::ZeroFailures);
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&interval) {
            return Err(InvalidSettings::Interval { interval });
        }
        if base_ejection.is_zero() || base_ejection > max_ejection {
            return Err(InvalidSettings::Ejection { base: base_ejection, max: max_ejection });
        }
        let percents = [
            ("max_ejected_percent", self.max_ejected_percent),
            ("panic_percent", self.panic_percent),
        ];
        if let Some((setting, percent)) = percents.into_iter().find(|(_, percent)| *percent > 100) {
            return Err(InvalidSettings::Percent { setting, percent });
        }
        let Some(rate) = &self.success_rate else { return Ok(()) };
        let least = [
            ("minimum_instances", u64::from(rate.minimum_instances), 2),
            ("minimum_calls", rate.minimum_calls, 1),
            ("deviation_thousandths", rate.deviation_thousandths.into(), 1),
        ];
        match least.into_iter().find(|(_, value, least)| value < least) {
            Some((setting, value, least)) => {
                Err(InvalidSettings::SuccessRate { setting, value, least })
            }
            None => Ok(()),
        }
    }
}

/// An outlier setting is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSettings {
    /// No number of failures below one can eject.
    #[error("consecutive_failures is `0`; set it to 1 or more")]
    ZeroFailures,
    /// Too short for a rate, or too long to act on.
    #[error("interval is `{interval:?}`; use 100 ms to 1 h")]
    Interval {
        /// What was given.
        interval: Duration,
    },
    /// The first ejection takes no time, or longer than the longest.
    #[error("base_ejection is `{base:?}`; use more than 0 and at most max_ejection, `{max:?}`")]
    Ejection {
        /// The first ejection.
        base: Duration,
        /// The longest.
        max: Duration,
    },
    /// A share is a part of the whole.
    #[error("{setting} is `{percent}`; use 0 to 100")]
    Percent {
        /// Its name.
        setting: &'static str,
        /// What was given.
        percent: u32,
    },
    /// A value of the rule on success rates is too small.
    #[error("{setting} is `{value}`; use {least} or more")]
    SuccessRate {
        /// Its name.
        setting: &'static str,
        /// What was given.
        value: u64,
        /// The least.
        least: u64,
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
        let rate = |change: fn(&mut SuccessRate)| {
            let mut rate = SuccessRate::default();
            change(&mut rate);
            Settings { success_rate: Some(rate), ..valid() }
        };
        let wrong = [
            (Settings { consecutive_failures: 0, ..valid() }, "consecutive_failures is `0`"),
            (Settings { interval: Duration::ZERO, ..valid() }, "interval is `0ns`"),
            (Settings { base_ejection: Duration::ZERO, ..valid() }, "base_ejection is `0ns`"),
            (
                Settings { max_ejection: Duration::from_secs(29), ..valid() },
                "base_ejection is `30s`; use more than 0 and at most max_ejection, `29s`",
            ),
            (Settings { max_ejected_percent: 101, ..valid() }, "max_ejected_percent is `101`"),
            (Settings { panic_percent: 101, ..valid() }, "panic_percent is `101`"),
            (rate(|rate| rate.minimum_instances = 1), "minimum_instances is `1`; use 2"),
            (rate(|rate| rate.minimum_calls = 0), "minimum_calls is `0`; use 1"),
            (rate(|rate| rate.deviation_thousandths = 0), "deviation_thousandths is `0`"),
        ];
        for (settings, message) in wrong {
            let error = settings.validate().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
