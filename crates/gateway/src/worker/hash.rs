//! Hashes keys that no client chooses, in a few instructions.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map whose keys are the gateway's own: addresses of instances, places of names in memory.
///
/// The standard hasher keeps whoever chooses keys from making them collide, which costs more than the
/// rest of a lookup; here nobody outside chooses them.
pub(crate) type OwnKeys<K, V> = HashMap<K, V, BuildHasherDefault<Multiply>>;

/// Rotates, adds and multiplies each word, as Fowler's and rustc's hashes do.
#[derive(Debug, Default)]
pub(crate) struct Multiply(u64);

/// 2^64 divided by the golden ratio, odd: its products spread over all bits (Knuth, TAOCP 3, 6.4).
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Multiply {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(FACTOR);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        // A product is good in its high bits, and the map looks at the low ones too.
        self.0 ^ self.0 >> 32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::hash::{BuildHasher, BuildHasherDefault};
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn instances_of_one_network_and_of_one_host_do_not_collide() {
        let hasher = BuildHasherDefault::<Multiply>::default();
        let addresses = |make: &dyn Fn(u16) -> SocketAddr| {
            (0..10_000).map(make).map(|address| hasher.hash_one(address)).collect::<Vec<_>>()
        };
        for hashes in [
            addresses(&|n| ([127, 0, 0, 1], 20_000 + n).into()),
            addresses(&|n| ([10, 1, (n >> 8) as u8, n as u8], 8080).into()),
        ] {
            let distinct: BTreeSet<_> = hashes.iter().collect();
            assert_eq!(distinct.len(), hashes.len());
            // A map of this size takes its place from the low bits, and seven more from the high ones:
            // by chance the fullest of each have some 6 and 110.
            assert!(fullest(&hashes, |hash| hash & 0x3fff) <= 12);
            assert!(fullest(&hashes, |hash| hash >> 57) <= 160);
        }
    }

    fn fullest(hashes: &[u64], part: impl Fn(u64) -> u64) -> usize {
        let mut filled = BTreeMap::new();
        for hash in hashes {
            *filled.entry(part(*hash)).or_insert(0) += 1;
        }
        filled.into_values().max().unwrap_or(0)
    }
}
