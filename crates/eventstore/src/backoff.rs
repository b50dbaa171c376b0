//! Pauses between tries: doubled each time, with full jitter.

use std::time::Duration;

/// The pause after the try of this number, from 1; `random` is in `[0, 1)`.
///
/// # Source
///
/// AWS Architecture Blog, "Exponential backoff and jitter", 2015: full jitter.
pub(crate) fn pause(attempt: u32, first: Duration, longest: Duration, random: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
    first.saturating_mul(doubled).min(longest).mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_longest_and_is_spread() {
        let ms = Duration::from_millis;
        let whole = |attempt| pause(attempt, ms(10), ms(50), 1.0);
        assert_eq!([1, 2, 3, 4, u32::MAX].map(whole), [ms(10), ms(20), ms(40), ms(50), ms(50)]);
        assert_eq!(pause(2, ms(10), ms(50), 0.5), ms(10));
        assert_eq!(pause(2, ms(10), ms(50), 0.0), Duration::ZERO);
    }
}
