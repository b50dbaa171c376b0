//! How often a command is tried, and when.

use std::time::Duration;

use crate::backoff;

/// What to do when another writer was faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often a command is tried in all. Default 10: with 8 writers on one aggregate each gets
    /// its turn well before. 0 counts as 1.
    pub most_attempts: u32,
    /// The longest pause before the second try; each further one may take twice as long. Default
    /// 5 ms: about what one append takes on a disk.
    pub first_pause: Duration,
    /// The longest pause. Default 100 ms.
    pub longest_pause: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            most_attempts: 10,
            first_pause: Duration::from_millis(5),
            longest_pause: Duration::from_millis(100),
        }
    }
}

impl Retries {
    /// The pause after a try that came too late; none when it was the last. `random` is in `[0, 1)`.
    #[must_use]
    pub(super) fn after(&self, attempt: u32, random: f64) -> Option<Duration> {
        let pause = backoff::pause(attempt, self.first_pause, self.longest_pause, random);
        (attempt < self.most_attempts).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_try_is_followed_by_none() {
        let retries = Retries { most_attempts: 2, ..Retries::default() };
        assert_eq!(retries.after(1, 1.0), Some(Duration::from_millis(5)));
        assert_eq!(retries.after(2, 1.0), None);
        assert_eq!(Retries { most_attempts: 0, ..retries }.after(1, 1.0), None);
    }
}
