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
    let Some(estimate) = decayed(held, now_millis) else {
        return Some(pack(sample, now_millis));
    };
    let sample = if failed { sample.max(estimate * FAILURE_FACTOR).min(MOST) } else { sample };
    if sample > estimate {
        return Some(pack(sample, now_millis));
    }
    let elapsed = now_millis.wrapping_sub(millis(held));
    if elapsed == 0 {
        return None;
    }
    let weight = weight(elapsed);
    Some(pack(micros(held) * weight + sample * (1.0 - weight), now_millis))
}

fn decayed(word: u64, now_millis: u32) -> Option<f32> {
    if word == 0 {
        return None;
    }
    // A thread may hold an instant a little older than the word's.
    let elapsed = now_millis.wrapping_sub(millis(word));
    let estimate = if elapsed == 0 || elapsed > u32::MAX / 2 {
        micros(word)
    } else {
        micros(word) * weight(elapsed)
    };
    (estimate >= NOTHING).then_some(estimate)
}

fn weight(elapsed_millis: u32) -> f32 {
    if elapsed_millis > u32::MAX / 2 {
        1.0
    } else {
        (-(elapsed_millis as f32) / DECAY_MILLIS).exp()
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
