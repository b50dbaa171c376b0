//! How loaded an instance is: calls in flight, and a peak-sensitive average of their latency.
//!
//! # Source
//!
//! Peak EWMA is Finagle's (`com.twitter.finagle.loadbalancer.p2c.PeakEwma`): the average jumps to
//! a latency above it and decays towards one below it, so that an instance that turns slow is left
//! at once and taken back slowly. Ours keeps estimate and time in one word and takes at most one
//! sample below the estimate each millisecond, so that calls seldom write.

use std::time::Duration;

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Time in which the weight of an old latency falls to 1/e. Finagle's and tower's default.
const DECAY_MILLIS: f32 = 10_000.0;

/// Under this an estimate has decayed into nothing, in microseconds.
const NOTHING: f32 = 1.0;

/// A failure counts as this many times the estimate: an instance that fails fast must not look
/// fast.
const FAILURE_FACTOR: f32 = 2.0;

/// No latency counts for more, in microseconds: what failures double ends somewhere.
const MOST: f32 = 10_000_000.0;

#[derive(Debug)]
pub(crate) struct Load {
    in_flight: AtomicU32,
    /// The estimate in microseconds as `f32` bits, and when it was made in milliseconds; 0: none.
    latency: AtomicU64,
}

impl Load {
    pub(crate) fn new() -> Self {
        Self { in_flight: AtomicU32::new(0), latency: AtomicU64::new(0) }
    }

    pub(crate) fn begin(&self) {
        // Only the number counts, nothing is published with it; so below.
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The latency to expect in microseconds; none when nothing is known any more.
    pub(crate) fn micros(&self, now_millis: u32) -> Option<f32> {
        decayed(self.latency.load(Ordering::Relaxed), now_millis)
    }

    /// Takes that a call was given up after so long: its answer would have taken longer.
    pub(crate) fn at_least(&self, now_millis: u32, waited: Duration) {
        let sample = waited.as_secs_f32() * 1e6;
        if self.micros(now_millis).is_none_or(|expected| expected < sample) {
            self.observe(now_millis, waited, false);
        }
    }

    /// Takes the latency of a call.
    pub(crate) fn observe(&self, now_millis: u32, latency: Duration, failed: bool) {
        let mut held = self.latency.load(Ordering::Relaxed);
        loop {
            let next = match next(held, now_millis, latency, failed) {
                Some(next) => next,
                None => return,
            };
            let order = Ordering::Relaxed;
            match self.latency.compare_exchange_weak(held, next, order, order) {
                Ok(_) => return,
                Err(newer) => held = newer,
            }
        }
    }
}

/// The word that follows `held`; none when it stays.
fn next(held: u64, now_millis: u32, latency: Duration, failed: bool) -> Option<u64> {
    let sample = (latency.as_secs_f32() * 1e6).clamp(NOTHING, MOST);
    // Where nothing is known this is zero, under every sample.
    let weight = weight(held, now_millis);
    let estimate = micros(held) * weight;
    let sample = if failed { sample.max(estimate * FAILURE_FACTOR).min(MOST) } else { sample };
    if sample > estimate {
        return Some(pack(sample, now_millis));
    }
    if now_millis == millis(held) {
        return None;
    }
    Some(pack(estimate + sample * (1.0 - weight), now_millis))
}

fn decayed(word: u64, now_millis: u32) -> Option<f32> {
    if word == 0 {
        return None;
    }
    let estimate = micros(word) * weight(word, now_millis);
    (estimate >= NOTHING).then_some(estimate)
}

/// What the word's estimate has decayed to, as a part of it.
fn weight(word: u64, now_millis: u32) -> f32 {
    // A thread may hold an instant a little older than the word's.
    let elapsed = now_millis.wrapping_sub(millis(word));
    if elapsed == 0 || elapsed > u32::MAX / 2 {
        1.0
    } else {
        (-(elapsed as f32) / DECAY_MILLIS).exp()
    }
}

fn pack(micros: f32, millis: u32) -> u64 {
    u64::from(micros.to_bits()) << 32 | u64::from(millis)
}

fn micros(word: u64) -> f32 {
    f32::from_bits((word >> 32) as u32)
}

fn millis(word: u64) -> u32 {
    word as u32
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn near(load: &Load, now_millis: u32, micros: f32) -> bool {
        load.micros(now_millis).is_some_and(|held| (held - micros).abs() < micros / 100.0)
    }

    #[test]
    fn jumps_to_a_peak_and_comes_down_slowly() {
        let load = Load::new();
        assert_eq!(load.micros(5), None);
        load.observe(5, MILLI, false);
        assert!(near(&load, 5, 1_000.0));
        load.observe(5, 50 * MILLI, false);
        assert!(near(&load, 5, 50_000.0));
        load.observe(1_005, MILLI, false);
        // A tenth of the decay time: e^-0.1 of the peak and the rest of the sample.
        assert!(near(&load, 1_005, 50_000.0 * 0.9048 + 1_000.0 * 0.0952));
    }

    #[test]
    fn decays_without_samples_until_nothing_is_known() {
        let load = Load::new();
        load.observe(0, 10 * MILLI, false);
        assert!(near(&load, 10_000, 3_679.0));
        assert_eq!(load.micros(200_000), None);
        load.observe(200_000, MILLI, false);
        assert!(near(&load, 200_000, 1_000.0));
    }

    #[test]
    fn a_failure_is_at_least_twice_as_slow_as_what_was_expected() {
        let load = Load::new();
        load.observe(0, 10 * MILLI, false);
        load.observe(0, MILLI, true);
        assert!(near(&load, 0, 20_000.0));
        load.observe(0, 90 * MILLI, true);
        assert!(near(&load, 0, 90_000.0));
        (0..99).for_each(|_| load.observe(0, MILLI, true));
        assert!(near(&load, 0, MOST));
    }

    #[test]
    fn samples_below_the_estimate_count_once_a_millisecond() {
        let load = Load::new();
        load.observe(0, 10 * MILLI, false);
        let before = load.micros(0);
        (0..1_000).for_each(|_| load.observe(0, MILLI, false));
        assert_eq!(load.micros(0), before);
    }

    #[test]
    fn a_clock_that_reads_a_little_less_and_one_that_wraps_do_no_harm() {
        let load = Load::new();
        load.observe(u32::MAX, 10 * MILLI, false);
        assert!(near(&load, u32::MAX - 5, 10_000.0));
        load.observe(u32::MAX - 5, MILLI, false);
        assert!(near(&load, u32::MAX, 10_000.0));
        assert!(near(&load, 9_999, 3_679.0));
    }

    proptest! {
        #[test]
        fn the_estimate_is_never_above_the_worst_sample_nor_kept_from_a_peak(
            samples in prop::collection::vec((0_u32..100_000, 1_u32..1_000_000), 1..50),
        ) {
            let (load, mut now, mut worst) = (Load::new(), 0, 0.0_f32);
            for (wait, micros) in samples {
                now += wait;
                worst = worst.max(micros as f32);
                load.observe(now, Duration::from_micros(micros.into()), false);
                let held = load.micros(now).unwrap();
                prop_assert!(held <= worst * 1.001);
                prop_assert!(held >= micros as f32 * 0.999 || wait == 0);
            }
        }
    }
}

// `RUSTFLAGS="--cfg loom" cargo test -p regatta-traffic --lib loom`
#[cfg(all(test, loom))]
mod loom_tests {
    //! Every interleaving of two threads.

    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    #[test]
    fn a_peak_is_never_lost_to_another_threads_sample() {
        loom::model(|| {
            let load = Arc::new(Load::new());
            load.observe(0, Duration::from_millis(5), false);
            let other = Arc::clone(&load);
            let thread = thread::spawn(move || other.observe(1, Duration::from_millis(1), false));
            load.observe(1, Duration::from_millis(50), false);
            thread.join().unwrap();
            assert!(load.micros(1).unwrap() > 49_000.0);
        });
    }

    #[test]
    fn calls_in_flight_come_back_to_none() {
        loom::model(|| {
            let load = Arc::new(Load::new());
            let other = Arc::clone(&load);
            let thread = thread::spawn(move || {
                other.begin();
                other.end();
            });
            load.begin();
            assert!(load.in_flight() >= 1);
            load.end();
            thread.join().unwrap();
            assert_eq!(load.in_flight(), 0);
        });
    }
}
