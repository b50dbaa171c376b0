//! Either algorithm, chosen by a setting.

use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::rate_limit::{Decision, Gcra, InvalidSettings, Settings, SlidingWindow};

/// How calls are counted against a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// Exactly: the whole limit may come at any time, at once too. The default (R19).
    #[default]
    SlidingWindow,
    /// A burst at once and the rest at an even pace; costs a number per client.
    Gcra {
        /// Calls that may come at once; 1 to the limit.
        burst: u32,
    },
}

/// A limiter of either algorithm. Cheap to clone; all clones are one limiter.
#[derive(Clone, Debug)]
pub enum Limiter {
    /// The exact one.
    SlidingWindow(SlidingWindow),
    /// The one that paces.
    Gcra(Gcra),
}

impl Limiter {
    /// A limiter that has seen nobody.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn try_new(settings: Settings, algorithm: Algorithm) -> Result<Self, InvalidSettings> {
        Ok(match algorithm {
            Algorithm::SlidingWindow => Self::SlidingWindow(SlidingWindow::try_new(settings)?),
            Algorithm::Gcra { burst } => Self::Gcra(Gcra::try_new(settings, burst)?),
        })
    }

    /// Decides about a call of this client at `now`, and counts it if it is admitted.
    pub fn check<C: Hash + ?Sized>(&self, client: &C, now: Instant) -> Decision {
        match self {
            Self::SlidingWindow(limiter) => limiter.check(client, now),
            Self::Gcra(limiter) => limiter.check(client, now),
        }
    }

    /// The most calls per client and window.
    pub fn limit(&self) -> u32 {
        match self {
            Self::SlidingWindow(limiter) => limiter.limit(),
            Self::Gcra(limiter) => limiter.limit(),
        }
    }

    /// The length of a window.
    pub fn window(&self) -> Duration {
        match self {
            Self::SlidingWindow(limiter) => limiter.window(),
            Self::Gcra(limiter) => limiter.window(),
        }
    }

    /// The memory in use, in bytes; at most the setting `max_bytes`.
    pub fn bytes(&self) -> usize {
        match self {
            Self::SlidingWindow(limiter) => limiter.bytes(),
            Self::Gcra(limiter) => limiter.bytes(),
        }
    }
}

impl From<SlidingWindow> for Limiter {
    fn from(limiter: SlidingWindow) -> Self {
        Self::SlidingWindow(limiter)
    }
}

impl From<Gcra> for Limiter {
    fn from(limiter: Gcra) -> Self {
        Self::Gcra(limiter)
    }
}
