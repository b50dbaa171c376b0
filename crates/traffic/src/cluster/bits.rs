//! A set of instances: read at every pick, written at changes of health.

use std::sync::atomic::{AtomicU64, Ordering};

/// One bit for each instance; readers take no lock.
///
/// Written under the cluster's lock only. Relaxed: a bit is a hint, and the breaker decides.
#[derive(Debug)]
pub(super) struct Bits(Box<[AtomicU64]>);

impl Bits {
    pub(super) fn new(count: usize) -> Self {
        Self((0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn contains(&self, index: usize) -> bool {
        self.0[index / 64].load(Ordering::Relaxed) >> (index % 64) & 1 == 1
    }

    /// Says whether it was the other way before.
    pub(super) fn set(&self, index: usize, on: bool) -> bool {
        let bit = 1_u64 << (index % 64);
        let before = if on {
            self.0[index / 64].fetch_or(bit, Ordering::Relaxed)
        } else {
            self.0[index / 64].fetch_and(!bit, Ordering::Relaxed)
        };
        (before & bit != 0) != on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_each_bit_by_itself() {
        let bits = Bits::new(130);
        assert!(bits.set(0, true) && bits.set(63, true) && bits.set(129, true));
        assert!(!bits.set(63, true));
        let held: Vec<_> = (0..130).filter(|index| bits.contains(*index)).collect();
        assert_eq!(held, [0, 63, 129]);
        assert!(bits.set(63, false) && !bits.set(62, false));
        assert!(!bits.contains(63) && bits.contains(0));
    }
}
