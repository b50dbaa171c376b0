//! How long a consumer pauses while what its handler needs is away.

use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Since when, and for how long. Nothing while all is there.
#[derive(Debug, Default)]
pub(crate) struct Away {
    pause: Option<(Instant, Duration)>,
}

impl Away {
    /// Until when nothing more is taken.
    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        self.pause.map(|(until, _)| until).filter(|until| *until > now)
    }

    /// It is away; answers for how long to pause from now on. Of many who see it at once, the first
    /// begins the pause; after it, the next one is twice as long.
    pub(crate) fn pause(&mut self, now: Instant) -> Duration {
        if let Some(until) = self.until(now) {
            return until - now;
        }
        let length = self.pause.map_or(FIRST, |(_, length)| (length * 2).min(LONGEST));
        self.pause = Some((now + length, length));
        length
    }

    /// It is there again.
    pub(crate) fn is_back(&mut self) {
        self.pause = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_longest_and_many_at_once_are_one() {
        let mut away = Away::default();
        let mut now = Instant::now();
        assert_eq!(away.until(now), None);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(away.pause(now), Duration::from_secs(seconds));
            let later = now + Duration::from_millis(500);
            assert_eq!(
                away.pause(later),
                Duration::from_secs(seconds) - Duration::from_millis(500)
            );
            now += Duration::from_secs(seconds);
            assert_eq!(away.until(now), None);
        }
        away.is_back();
        assert_eq!((away.until(now), away.pause(now)), (None, FIRST));
    }
}
