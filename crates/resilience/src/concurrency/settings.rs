//! How many calls at a time, and how many may wait how long.

use std::time::Duration;

/// How many calls at a time, and how many may wait how long.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Calls at a time; where the limit starts when it is adaptive. Default 1024 (Envoy's
    /// `max_requests`: far over what a healthy target needs, far under what breaks its caller); 1
    /// to 1,000,000.
    pub limit: u32,
    /// Calls that may wait. Default 256: a quarter of the limit, so that whoever waits has good
    /// hope; 0 turns away at once; at most 1,000,000.
    pub queue: u32,
    /// The longest wait. Default 250 ms: a call that waited longer would be answered too late
    /// often, and then its work is for nothing; at most 60 s.
    pub queue_timeout: Duration,
    /// The share of the limit, in percent, that is kept free of calls less urgent than the
    /// default. Default 20: background work gets four fifths at most; 0 to 100.
    pub reserved_percent: u32,
    /// How the limit follows the latency. Default not at all.
    pub adaptive: Option<Adaptive>,
}

/// How an adaptive limit moves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Adaptive {
    /// The least limit. Default 8: enough to measure by; at least 1.
    pub least: u32,
    /// The largest. Default 1024, as the fixed limit; at least `least`.
    pub most: u32,
    /// How much slower than usual is not yet slow, in percent of the usual. Default 150
    /// (Gradient2's `rttTolerance`); 100 to 1000.
    pub tolerance_percent: u32,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self { least: 8, most: 1024, tolerance_percent: 150 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limit: 1024,
            queue: 256,
            queue_timeout: Duration::from_millis(250),
            reserved_percent: 20,
            adaptive: None,
        }
    }
}

impl Settings {
    /// The defaults with this limit, and a queue of a quarter of it.
    pub fn new(limit: u32) -> Self {
        Self { limit, queue: limit / 4, ..Self::default() }
    }

    /// The same settings with so many waiting, so long.
    #[must_use]
    pub fn with_queue(mut self, queue: u32, timeout: Duration) -> Self {
        self.queue = queue;
        self.queue_timeout = timeout;
        self
    }

    /// The same settings with this share kept free of calls less urgent than the default.
    #[must_use]
    pub fn with_reserved_percent(mut self, percent: u32) -> Self {
        self.reserved_percent = percent;
        self
    }

    /// The same settings with a limit that follows the latency; none fixes it.
    #[must_use]
    pub fn with_adaptive(mut self, adaptive: Option<Adaptive>) -> Self {
        self.adaptive = adaptive;
        self
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let number = |setting, value, least, most| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(InvalidSettings::Number { setting, value, least, most }),
        };
        number("limit", self.limit, 1, MOST)?;
        number("queue", self.queue, 0, MOST)?;
        number("reserved_percent", self.reserved_percent, 0, 100)?;
        if self.queue_timeout > Duration::from_secs(60) {
            return Err(InvalidSettings::QueueTimeout { timeout: self.queue_timeout });
        }
        let Some(adaptive) = &self.adaptive else { return Ok(()) };
        number("least", adaptive.least, 1, MOST)?;
        number("most", adaptive.most, adaptive.least, MOST)?;
        number("tolerance_percent", adaptive.tolerance_percent, 100, 1000)
    }
}

const MOST: u32 = 1_000_000;

/// A setting of a concurrency limit is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSettings {
    /// A number is out of range.
    #[error("{setting} is `{value}`; use {least} to {most}")]
    Number {
        /// Its name.
        setting: &'static str,
        /// What was given.
        value: u32,
        /// The least.
        least: u32,
        /// The most.
        most: u32,
    },
    /// Nobody waits so long.
    #[error("queue_timeout is `{timeout:?}`; use 60 s at most")]
    QueueTimeout {
        /// What was given.
        timeout: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Settings::default().validate(), Ok(()));
        assert_eq!(Settings::default().with_adaptive(Some(Adaptive::default())).validate(), Ok(()));
    }

    #[test]
    fn names_the_setting_out_of_range_with_its_value() {
        let adaptive = |change: fn(&mut Adaptive)| {
            let mut adaptive = Adaptive::default();
            change(&mut adaptive);
            Settings::default().with_adaptive(Some(adaptive))
        };
        let wrong = [
            (Settings::new(0), "limit is `0`; use 1 to 1000000"),
            (Settings::new(1).with_queue(1_000_001, Duration::ZERO), "queue is `1000001`"),
            (Settings::new(1).with_queue(1, Duration::from_secs(61)), "queue_timeout is `61s`"),
            (Settings::new(1).with_reserved_percent(101), "reserved_percent is `101`"),
            (adaptive(|adaptive| adaptive.least = 0), "least is `0`"),
            (adaptive(|adaptive| adaptive.most = 7), "most is `7`; use 8 to"),
            (adaptive(|adaptive| adaptive.tolerance_percent = 99), "tolerance_percent is `99`"),
        ];
        for (settings, message) in wrong {
            let error = settings.validate().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
