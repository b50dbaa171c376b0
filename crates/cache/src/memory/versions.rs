//! Which invalidation was the last, of each key and of all.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Fill;

/// Keys share this many counters: 8 KiB. Two keys that share one drop each other's fills, which
/// costs a loading now and then and never a wrong value.
const COUNTERS: usize = 1024;

/// Counters of invalidations. They only grow, so that no fill is taken for a later one.
#[derive(Debug)]
pub(super) struct Versions {
    hasher: RandomState,
    keys: Box<[AtomicU64]>,
    epoch: AtomicU64,
}

impl Versions {
    pub(super) fn new() -> Self {
        let keys = (0..COUNTERS).map(|_| AtomicU64::new(0)).collect();
        Self { hasher: RandomState::new(), keys, epoch: AtomicU64::new(0) }
    }

    /// What a fill of this key that begins now has to remember.
    pub(super) fn now(&self, key: &str) -> Fill {
        // Sequentially consistent: a fill that begins after an invalidation has returned sees it.
        let version = self.counter(key).load(Ordering::SeqCst);
        Fill { version, epoch: self.epoch.load(Ordering::SeqCst), lease: 0, begun_at: 0 }
    }

    /// Whether nothing was invalidated since the fill began.
    pub(super) fn holds(&self, key: &str, fill: &Fill) -> bool {
        let now = self.now(key);
        (now.version, now.epoch) == (fill.version, fill.epoch)
    }

    /// The key is invalidated.
    pub(super) fn bump(&self, key: &str) {
        self.counter(key).fetch_add(1, Ordering::SeqCst);
    }

    /// Any key may be invalidated.
    pub(super) fn bump_all(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    fn counter(&self, key: &str) -> &AtomicU64 {
        // The low bits choose the shard; these are others.
        &self.keys[(self.hash(key) >> 32) as usize % COUNTERS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_holds_until_its_key_or_all_are_invalidated() {
        let versions = Versions::new();
        let fill = versions.now("user:1");
        assert!(versions.holds("user:1", &fill));
        versions.bump("user:1");
        assert!(!versions.holds("user:1", &fill));
        let again = versions.now("user:1");
        assert!(versions.holds("user:1", &again));
        versions.bump_all();
        assert!(!versions.holds("user:1", &again));
    }

    #[test]
    fn most_other_keys_are_not_touched() {
        let versions = Versions::new();
        let fills: Vec<_> =
            (0..1000).map(|n| (format!("k{n}"), versions.now(&format!("k{n}")))).collect();
        versions.bump("another");
        let held = fills.iter().filter(|(key, fill)| versions.holds(key, fill)).count();
        assert!(held > 950, "{held}");
    }
}
