//! How many calls a client may make, and how much memory may remember them.

use std::time::Duration;

/// How many calls a client may make, and how much memory may remember them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Calls per client in every window. Default 60 (R19); 1 to 1,000,000.
    pub limit: u32,
    /// The length of a window. Default 60 s (R19); 1 ms to 24 h.
    pub window: Duration,
    /// The most memory for all clients together, in bytes. Default 32 MiB: under the default
    /// limit 80,000 clients of [`super::SlidingWindow`], a million of [`super::Gcra`].
    pub max_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limit: 60, window: Duration::from_secs(60), max_bytes: 32 << 20 }
    }
}

impl Settings {
    /// The defaults with this limit per window.
    pub fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window, ..Self::default() }
    }

    /// The same settings with this much memory.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Checks limit and window; how much memory it takes depends on the algorithm.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        if !(1..=1_000_000).contains(&self.limit) {
            return Err(InvalidSettings::Limit { limit: self.limit });
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(&self.window) {
            return Err(InvalidSettings::Window { window: self.window });
        }
        Ok(())
    }

    /// [`Settings::validate`], and that so many of the calls may be made at once.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn validate_burst(&self, burst: u32) -> Result<(), InvalidSettings> {
        self.validate()?;
        let limit = self.limit;
        if (1..=limit).contains(&burst) {
            Ok(())
        } else {
            Err(InvalidSettings::Burst { burst, limit })
        }
    }

    /// [`Settings::validate_burst`], and that who never rests gets more than one call a window:
    /// for what an operator sets, who means a pace.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn validate_pace(&self, burst: u32) -> Result<(), InvalidSettings> {
        self.validate_burst(burst)?;
        if burst == self.limit && burst > 1 {
            return Err(InvalidSettings::NoPace { burst });
        }
        Ok(())
    }
}

/// A limiter setting is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSettings {
    /// No call would pass, or the counts would not fit.
    #[error("limit is `{limit}`; use 1 to 1000000")]
    Limit {
        /// What was given.
        limit: u32,
    },
    /// The window is too short or too long.
    #[error("window is `{window:?}`; use 1 ms to 24 h")]
    Window {
        /// What was given.
        window: Duration,
    },
    /// No call would pass at once, or more than in a whole window.
    #[error("burst is `{burst}`; use 1 to the limit, {limit}")]
    Burst {
        /// What was given.
        burst: u32,
        /// The most.
        limit: u32,
    },
    /// All calls of a window at once leave nothing to be paced.
    #[error(
        "burst is `{burst}`, the whole limit: who never rests would get one call a window; use a \
         tenth of it, or the sliding window"
    )]
    NoPace {
        /// What was given.
        burst: u32,
    },
    /// The memory holds no client.
    #[error("max_bytes is `{bytes}`, too little for the limit; use {least} or more")]
    Memory {
        /// What was given.
        bytes: usize,
        /// What is needed at least.
        least: usize,
    },
}
