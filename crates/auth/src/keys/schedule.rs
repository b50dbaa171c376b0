//! When a key set is read again.

use std::time::Duration;

/// Between two reads after one that succeeded: how long a key that was withdrawn still counts.
const URL_EVERY: Duration = Duration::from_secs(300);
const FILE_EVERY: Duration = Duration::from_secs(10);

/// Between two reads after one that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Between two reads that unknown keys ask for: whoever sends made-up key ids costs the issuer one
/// request in this time.
const COOLDOWN: Duration = Duration::from_secs(10);

/// How often a source is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    every: Duration,
    cooldown: Duration,
}

impl Schedule {
    pub(super) const URL: Self = Self { every: URL_EVERY, cooldown: COOLDOWN };
    /// A file costs little to read.
    pub(super) const FILE: Self = Self { every: FILE_EVERY, cooldown: Duration::from_secs(1) };

    /// From the beginning of a read to that of the next one that nobody asks for.
    pub(super) fn pause(self, succeeded: bool) -> Duration {
        if succeeded { self.every } else { AFTER_FAILURE.min(self.every) }
    }

    /// How long no unknown key may cause a read, the last one that did having done so long ago.
    pub(super) fn cooldown_left(self, since_asked: Duration) -> Duration {
        self.cooldown.saturating_sub(since_asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_read_is_repeated_sooner() {
        assert_eq!(Schedule::URL.pause(true), Duration::from_secs(300));
        assert_eq!(Schedule::URL.pause(false), Duration::from_secs(10));
        assert_eq!(Schedule::FILE.pause(false), Duration::from_secs(10));
    }

    #[test]
    fn unknown_keys_cause_one_read_in_a_cooldown() {
        let left = |seconds| Schedule::URL.cooldown_left(Duration::from_secs(seconds));
        assert_eq!(left(3), Duration::from_secs(7));
        assert_eq!(left(10), Duration::ZERO);
        assert_eq!(left(11), Duration::ZERO);
    }
}
