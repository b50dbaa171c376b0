//! When to try again what failed.

use std::time::{Duration, Instant};

/// Pauses between attempts; each is twice as long as the one before it.
#[derive(Debug)]
pub(super) struct Pauses {
    first: Duration,
    most: Duration,
    next: Duration,
    until: Option<Instant>,
}

impl Pauses {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first, until: None }
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.until = Some(now + self.next);
        self.next = (self.next * 2).min(self.most);
    }

    /// An attempt succeeded: the next failure is a first one.
    pub(super) fn succeeded(&mut self) {
        (self.next, self.until) = (self.first, None);
    }

    /// When the pause ends, if there is one.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether it is time for an attempt.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_up_to_the_longest_and_a_success_ends_that() {
        let start = tokio::time::Instant::now().into_std();
        let seconds = Duration::from_secs;
        let mut pauses = Pauses::new(seconds(2), seconds(5));
        assert!(pauses.is_over(start));
        for pause in [2, 4, 5, 5] {
            pauses.failed(start);
            assert_eq!(pauses.until(), Some(start + seconds(pause)));
            assert!(!pauses.is_over(start) && pauses.is_over(start + seconds(pause)));
        }
        pauses.succeeded();
        assert_eq!(pauses.until(), None);
        pauses.failed(start);
        assert_eq!(pauses.until(), Some(start + seconds(2)));
    }
}
