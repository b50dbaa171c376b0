//! The instant after which nobody waits for an answer any more.

use std::time::{Duration, Instant};

/// An instant by which a call must be over. Each hop takes from the same deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline `timeout` after `now`; a timeout too long for the clock is cut to 30 years.
    pub fn after(now: Instant, timeout: Duration) -> Self {
        const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
        Self(now.checked_add(timeout.min(FAR)).unwrap_or(now))
    }

    /// The instant itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The time left at `now`; none when it is over.
    pub fn remaining(self, now: Instant) -> Option<Duration> {
        self.0.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Whether it is over at `now`.
    pub fn is_over(self, now: Instant) -> bool {
        self.remaining(now).is_none()
    }

    /// The earlier of the two: a hop may shorten its caller's deadline, never extend it.
    #[must_use]
    pub fn earlier(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| self.min(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant does; none can be made otherwise")]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn is_over_at_its_instant_and_not_before() {
        let now = now();
        let deadline = Deadline::after(now, Duration::from_secs(1));
        assert_eq!(deadline.remaining(now), Some(Duration::from_secs(1)));
        assert!(!deadline.is_over(now + Duration::from_millis(999)));
        assert!(deadline.is_over(now + Duration::from_secs(1)));
        assert!(deadline.is_over(now + Duration::from_secs(2)));
    }

    #[test]
    fn a_hop_never_extends_it() {
        let now = now();
        let short = Deadline::after(now, Duration::from_secs(1));
        let long = Deadline::after(now, Duration::from_secs(2));
        assert_eq!(long.earlier(Some(short)), short);
        assert_eq!(short.earlier(Some(long)), short);
        assert_eq!(short.earlier(None), short);
    }

    #[test]
    fn the_longest_timeout_does_not_overflow() {
        let now = now();
        assert!(!Deadline::after(now, Duration::MAX).is_over(now));
    }
}
