//! Learns how long calls of one target take, and when one is slow.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::hedge::histogram::Histogram;
use crate::hedge::{InvalidSettings, Settings};

/// Learns how long the calls of one target take, and says when one is slow. Cheap to clone; all
/// clones learn together. About 3 KiB.
#[derive(Clone)]
pub struct Hedge {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    settings: Settings,
    /// Calls of the present half minute, and of the one before.
    present: Histogram,
    before: Histogram,
    /// When the present half minute ends; none before the first call.
    turns: Option<Instant>,
    /// The delay, and until when it holds.
    known: Option<(Option<Duration>, Instant)>,
}

/// Half of what is remembered.
const HALF: Duration = Duration::from_secs(30);

/// How long a delay holds before it is looked up again.
const FRESH: Duration = Duration::from_secs(1);

impl Hedge {
    /// Has seen no call.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn try_new(settings: Settings) -> Result<Self, InvalidSettings> {
        settings.validate()?;
        let shared = Shared {
            settings,
            present: Histogram::new(),
            before: Histogram::new(),
            turns: None,
            known: None,
        };
        Ok(Self { shared: Arc::new(Mutex::new(shared)) })
    }

    /// Learns that a call that ended at `now` took so long. Hedged calls too, by their first try.
    pub fn observe(&self, now: Instant, took: Duration) {
        let mut shared = self.lock();
        shared.turn_to(now);
        shared.present.add(took);
    }

    /// How long a call takes before it is slow; none while too few were seen in the last minute.
    pub fn delay(&self, now: Instant) -> Option<Duration> {
        let mut shared = self.lock();
        shared.turn_to(now);
        if let Some((delay, until)) = shared.known
            && now < until
        {
            return delay;
        }
        let Shared { settings, present, before, .. } = &*shared;
        let enough = present.total() + before.total() >= settings.minimum_calls;
        let delay = enough.then(|| present.percentile(before, settings.percentile)).flatten();
        let delay = delay.map(|delay| delay.clamp(settings.least, settings.most));
        // What is not known yet may be known a moment later.
        shared.known = delay.map(|delay| (Some(delay), now + FRESH));
        delay
    }

    /// Goes on with other settings; what was learned stays.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range; then nothing has changed.
    pub fn reconfigure(&self, settings: Settings) -> Result<(), InvalidSettings> {
        settings.validate()?;
        let mut shared = self.lock();
        shared.settings = settings;
        shared.known = None;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A count too many or too few after a panic does no harm.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Forgets the half minute before the last.
    fn turn_to(&mut self, now: Instant) {
        let Some(turns) = self.turns else {
            self.turns = Some(now + HALF);
            return;
        };
        let Some(late) = now.checked_duration_since(turns) else { return };
        std::mem::swap(&mut self.present, &mut self.before);
        self.present.clear();
        if late >= HALF {
            self.before.clear();
        }
        self.turns = Some(now + HALF);
        self.known = None;
    }
}

impl fmt::Debug for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.lock();
        let calls = shared.present.total() + shared.before.total();
        f.debug_struct("Hedge")
            .field("settings", &shared.settings)
            .field("calls", &calls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::now;

    fn taught(now: Instant, slow: u32) -> Hedge {
        let hedge = Hedge::try_new(Settings::default()).unwrap();
        for call in 0..100 {
            let millis = if call < slow { 300 } else { 10 };
            hedge.observe(now, Duration::from_millis(millis));
        }
        hedge
    }

    #[test]
    fn the_delay_is_what_nearly_all_calls_are_quicker_than() {
        let now = now();
        let usual = taught(now, 5).delay(now).unwrap();
        assert!(usual >= Duration::from_millis(10) && usual < Duration::from_millis(11));
        let slow = taught(now, 6).delay(now).unwrap();
        assert!(slow >= Duration::from_millis(300) && slow < Duration::from_millis(320));
    }

    #[test]
    fn too_few_calls_hedge_nothing() {
        let (hedge, now) = (Hedge::try_new(Settings::default()).unwrap(), now());
        for _ in 0..99 {
            hedge.observe(now, Duration::from_millis(10));
            assert_eq!(hedge.delay(now), None);
        }
        hedge.observe(now, Duration::from_millis(10));
        assert!(hedge.delay(now).is_some());
    }

    #[test]
    fn calls_of_more_than_a_minute_ago_are_forgotten() {
        let now = now();
        let hedge = taught(now, 0);
        assert!(hedge.delay(now + HALF).is_some());
        assert_eq!(hedge.delay(now + 2 * HALF), None);
        let hedge = taught(now, 0);
        assert_eq!(hedge.delay(now + 10 * HALF), None);
    }

    #[test]
    fn the_delay_stays_within_its_bounds() {
        let now = now();
        let hedge = taught(now, 100);
        let (least, most) = (Duration::from_millis(20), Duration::from_millis(50));
        hedge.reconfigure(Settings::default().with_delay(least, most)).unwrap();
        assert_eq!(hedge.delay(now), Some(most));
        let hedge = taught(now, 0);
        hedge.reconfigure(Settings::default().with_delay(least, most)).unwrap();
        assert_eq!(hedge.delay(now), Some(least));
        assert!(hedge.reconfigure(Settings::default().with_percentile(1)).is_err());
    }

    #[test]
    fn the_delay_follows_within_a_second() {
        let now = now();
        let hedge = taught(now, 0);
        let before = hedge.delay(now).unwrap();
        (0..100).for_each(|_| hedge.observe(now, Duration::from_millis(300)));
        assert_eq!(hedge.delay(now), Some(before));
        assert!(hedge.delay(now + FRESH).unwrap() >= Duration::from_millis(300));
    }
}
