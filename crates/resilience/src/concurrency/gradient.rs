//! A limit that follows the latency.
//!
//! # Source
//!
//! Netflix, `concurrency-limits`, `Gradient2Limit` (Apache-2.0): the limit is multiplied by how
//! much longer calls take now than they usually do, and a few calls are added. Its constants. Ours:
//! an answer that says "overloaded" counts as the worst gradient, and the usual latency is an
//! average over windows, not over single calls.

use std::time::{Duration, Instant};

use crate::concurrency::Adaptive;

/// Takes samples and says the limit.
#[derive(Debug)]
pub(crate) struct Gradient {
    settings: Adaptive,
    limit: f64,
    /// The average window of late, in seconds; none before the first.
    usual: Option<f64>,
    window: Window,
}

/// The calls since the last change of the limit.
#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    calls: u32,
    seconds: f64,
    most_in_flight: u32,
    overloaded: bool,
}

/// The limit is looked at after so many calls and so long: enough of both to mean something.
const LEAST_CALLS: u32 = 10;
const LEAST_TIME: Duration = Duration::from_millis(100);

/// How many windows the usual latency is an average of.
const LONG: f64 = 60.0;
/// How much of a new limit is taken at a time.
const SMOOTHING: f64 = 0.2;
/// Calls that may queue at the target: room to find out that it bears more.
const QUEUE: f64 = 4.0;

impl Gradient {
    pub(crate) fn new(settings: Adaptive, initial: u32) -> Self {
        let limit = initial.clamp(settings.least, settings.most).into();
        Self { settings, limit, usual: None, window: Window::default() }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// Takes a call that ended at `now`; says whether the limit may have changed.
    pub(crate) fn sample(
        &mut self,
        now: Instant,
        took: Duration,
        in_flight: u32,
        overloaded: bool,
    ) -> bool {
        let window = &mut self.window;
        let began = *window.began.get_or_insert(now);
        window.calls += 1;
        window.seconds += took.as_secs_f64();
        window.most_in_flight = window.most_in_flight.max(in_flight);
        window.overloaded |= overloaded;
        if window.calls < LEAST_CALLS || now.saturating_duration_since(began) < LEAST_TIME {
            return false;
        }
        let window = std::mem::take(window);
        self.update(&window);
        true
    }

    fn update(&mut self, window: &Window) {
        let short = (window.seconds / f64::from(window.calls)).max(1e-9);
        let usual = self.usual.map_or(short, |usual| usual + (short - usual) / LONG);
        // After a time of overload the usual is too long; come down from it soon.
        let usual = if usual / short > 2.0 { usual * 0.95 } else { usual };
        self.usual = Some(usual);
        // A limit that is not used says nothing about whether it is too high.
        if !window.overloaded && f64::from(window.most_in_flight) < self.limit / 2.0 {
            return;
        }
        let tolerance = f64::from(self.settings.tolerance_percent) / 100.0;
        let gradient =
            if window.overloaded { 0.5 } else { (tolerance * usual / short).clamp(0.5, 1.0) };
        let room = if window.overloaded { 0.0 } else { QUEUE };
        let wanted = self.limit * gradient + room;
        let limit = self.limit * (1.0 - SMOOTHING) + wanted * SMOOTHING;
        self.limit = limit.clamp(self.settings.least.into(), self.settings.most.into());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::now;

    const QUICK: Duration = Duration::from_millis(10);

    /// So many windows of calls that take so long, with the limit used up.
    fn run(gradient: &mut Gradient, now: &mut Instant, windows: u32, took: Duration) -> u32 {
        for _ in 0..windows * LEAST_CALLS {
            *now += LEAST_TIME / 9;
            gradient.sample(*now, took, gradient.limit(), false);
        }
        gradient.limit()
    }

    #[test]
    fn grows_while_calls_are_as_quick_as_ever() {
        let (mut gradient, mut now) = (Gradient::new(Adaptive::default(), 20), now());
        assert!(run(&mut gradient, &mut now, 100, QUICK) > 80);
        assert_eq!(run(&mut gradient, &mut now, 5_000, QUICK), 1024);
    }

    #[test]
    fn shrinks_when_calls_take_longer_than_usual() {
        let (mut gradient, mut now) = (Gradient::new(Adaptive::default(), 100), now());
        let before = run(&mut gradient, &mut now, 20, QUICK);
        let after = run(&mut gradient, &mut now, 20, 4 * QUICK);
        assert!(after < before / 2, "{before} -> {after}");
    }

    #[test]
    fn half_as_much_again_is_not_yet_slow() {
        let (mut gradient, mut now) = (Gradient::new(Adaptive::default(), 100), now());
        let before = run(&mut gradient, &mut now, 5, QUICK);
        let after = run(&mut gradient, &mut now, 5, QUICK * 149 / 100);
        assert!(after >= before, "{before} -> {after}");
    }

    #[test]
    fn comes_back_when_calls_are_quick_again() {
        let (mut gradient, mut now) = (Gradient::new(Adaptive::default(), 100), now());
        run(&mut gradient, &mut now, 20, QUICK);
        let low = run(&mut gradient, &mut now, 100, 10 * QUICK);
        let high = run(&mut gradient, &mut now, 100, QUICK);
        assert!(high > low + 20, "{low} -> {high}");
    }

    #[test]
    fn does_not_grow_while_half_of_it_is_idle() {
        let (mut gradient, mut now) = (Gradient::new(Adaptive::default(), 100), now());
        for _ in 0..1_000 {
            now += LEAST_TIME / 9;
            gradient.sample(now, QUICK, 49, false);
        }
        assert_eq!(gradient.limit(), 100);
    }

    #[test]
    fn an_overloaded_target_halves_it_step_by_step_however_quick_it_says_so() {
        let (mut gradient, mut now) = (Gradient::new(Adaptive::default(), 100), now());
        for _ in 0..100 {
            now += LEAST_TIME / 9;
            gradient.sample(now, QUICK, 1, true);
        }
        assert!(gradient.limit() < 40, "{}", gradient.limit());
    }

    #[test]
    fn too_few_calls_or_too_short_a_time_change_nothing() {
        let (mut gradient, now) = (Gradient::new(Adaptive::default(), 100), now());
        assert!((0..100).all(|_| !gradient.sample(now, QUICK, 100, true)));
        let mut gradient = Gradient::new(Adaptive::default(), 100);
        let later = now + Duration::from_secs(60);
        assert!((0..9).all(|call| !gradient.sample(
            if call == 0 { now } else { later },
            QUICK,
            100,
            true
        )));
        assert!(gradient.sample(later, QUICK, 100, true));
    }

    proptest! {
        #[test]
        fn stays_between_the_least_and_the_most_whatever_the_samples(
            samples in prop::collection::vec((0_u64..10_000_000, 0_u32..3_000, any::<bool>()), 1..400),
            least in 1_u32..100, more in 0_u32..1_000, initial in 0_u32..2_000,
        ) {
            let settings = Adaptive { least, most: least + more, ..Adaptive::default() };
            let (mut gradient, mut now) = (Gradient::new(settings, initial), now());
            for (micros, in_flight, overloaded) in samples {
                now += LEAST_TIME / 9;
                gradient.sample(now, Duration::from_micros(micros), in_flight, overloaded);
                prop_assert!((least..=least + more).contains(&gradient.limit()));
            }
        }
    }
}
