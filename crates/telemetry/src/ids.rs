//! Ids of traces, spans and requests, and the sampling decision.

use std::cell::RefCell;
use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use regatta_core::TraceContext;

thread_local! {
    // Ids must be unlikely to collide, not hard to guess: a small generator per thread, seeded by
    // the operating system, costs no lock.
    static RANDOM: RefCell<SmallRng> = RefCell::new(SmallRng::from_os_rng());
}

/// 64 random bits.
pub(crate) fn random_u64() -> u64 {
    RANDOM.with_borrow_mut(Rng::random)
}

/// 128 random bits.
pub(crate) fn random_u128() -> u128 {
    RANDOM.with_borrow_mut(Rng::random)
}

/// The trace context of a new span: a child of `parent`, or the root of a new trace.
///
/// Parent-based: a parent's decision is kept, a root is sampled by `ratio` of its trace id, so
/// that every process with the same ratio decides alike.
pub(crate) fn next(parent: Option<&TraceContext>, ratio: f64) -> TraceContext {
    let span_id = random_u64();
    parent.map_or_else(|| root(random_u128(), span_id, ratio), |parent| parent.child(span_id))
}

fn root(trace_id: u128, span_id: u64, ratio: f64) -> TraceContext {
    let (trace_id, span_id) = (trace_id.max(1), span_id.max(1));
    TraceContext::try_new(trace_id, span_id, is_sampled(trace_id, ratio))
        .expect("neither id is zero")
}

/// Whether a root of this trace id is sampled.
///
/// # Source
///
/// OpenTelemetry, `TraceIdRatioBased`: the lower 64 bits, without the highest, below the share.
fn is_sampled(trace_id: u128, ratio: f64) -> bool {
    // Both casts are exact enough: 53 bits of the bound decide.
    let bound = (ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64;
    ((trace_id as u64) >> 1) < bound
}

/// The two hex digits of each byte: half the steps of one digit at a time.
const PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// A request id of 32 hex digits.
pub(crate) fn request_id(random: u128) -> Arc<str> {
    let mut text = [0_u8; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(random.to_be_bytes()) {
        pair.copy_from_slice(&PAIRS[usize::from(byte)]);
    }
    Arc::from(std::str::from_utf8(&text).expect("hex digits are ASCII"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_child_keeps_its_parents_decision_whatever_the_ratio() {
        for sampled in [true, false] {
            let parent = TraceContext::try_new(9, 9, sampled).unwrap();
            for ratio in [0.0, 1.0] {
                let child = next(Some(&parent), ratio);
                assert_eq!((child.trace_id(), child.sampled), (9, sampled));
                assert_ne!(child.span_id(), 9);
            }
        }
    }

    #[test]
    fn a_ratio_samples_about_its_share() {
        let sampled = (0..10_000).filter(|_| next(None, 0.25).sampled).count();
        assert!((2_000..3_000).contains(&sampled), "{sampled}");
    }

    #[test]
    fn a_request_id_is_32_hex_digits() {
        for id in [0xab, u128::MAX, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210] {
            assert_eq!(&*request_id(id), format!("{id:032x}"));
        }
    }

    proptest! {
        #[test]
        fn one_samples_all_and_zero_none(trace_id: u128) {
            prop_assert!(is_sampled(trace_id, 1.0));
            prop_assert!(!is_sampled(trace_id, 0.0));
        }

        #[test]
        fn a_higher_ratio_samples_what_a_lower_one_does(trace_id: u128, a in 0.0..1.0, b in 0.0..1.0) {
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            prop_assert!(!is_sampled(trace_id, low) || is_sampled(trace_id, high));
        }

        #[test]
        fn ids_are_never_zero(trace_id in 0_u128..3, span_id in 0_u64..3) {
            let trace = root(trace_id, span_id, 0.5);
            prop_assert!(trace.trace_id() != 0 && trace.span_id() != 0);
        }
    }
}
