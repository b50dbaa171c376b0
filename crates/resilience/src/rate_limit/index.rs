//! Finds a client's slot in memory that never grows.
//!
//! The standard map may double when many entries come and go; this one is as large as it was made.

/// Slot numbers in open addressing with linear probing; at most half full. Beside each, in the eight
/// bits that a number has no use for, a part of its hash: so a slot is looked at only where it is most
/// likely the one.
///
/// # Source
///
/// Knuth, *The Art of Computer Programming*, vol. 3, 6.4, algorithms L and R: removing moves later
/// entries back, so there are no tombstones to clean up.
#[derive(Debug)]
pub(crate) struct Index {
    places: Box<[u32]>,
}

const EMPTY: u32 = u32::MAX;

/// The most entries of an index: one slot number less than 24 bits have, which makes [`EMPTY`].
pub(crate) const MOST: usize = (1 << 24) - 1;

/// The slot of an entry.
fn slot(entry: u32) -> u32 {
    entry & 0xff_ffff
}

/// An entry without its slot: bits that choose neither the shard nor the place.
fn tag(hash: u64) -> u32 {
    (hash as u32 >> 16) << 24
}

/// Whether it is the entry of this hash.
fn is_of(entry: u32, hash: u64, hash_of: impl Fn(u32) -> u64) -> bool {
    entry & !0xff_ffff == tag(hash) && hash_of(slot(entry)) == hash
}

impl Index {
    /// An empty index for so many entries.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { places: vec![EMPTY; Self::places(capacity)].into_boxed_slice() }
    }

    fn places(capacity: usize) -> usize {
        (capacity * 2).next_power_of_two()
    }

    /// The most bytes that an index for so many entries takes.
    pub(crate) fn bytes(capacity: usize) -> usize {
        Self::places(capacity) * size_of::<u32>()
    }

    /// The slot of this hash; `hash_of` tells the hash of a slot.
    pub(crate) fn find(&self, hash: u64, hash_of: impl Fn(u32) -> u64) -> Option<u32> {
        let mut place = self.home(hash);
        loop {
            match self.places[place] {
                EMPTY => return None,
                entry if is_of(entry, hash, &hash_of) => return Some(slot(entry)),
                _ => place = self.after(place),
            }
        }
    }

    /// Adds a slot whose hash is not in yet.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        let mut place = self.home(hash);
        while self.places[place] != EMPTY {
            place = self.after(place);
        }
        self.places[place] = tag(hash) | slot;
    }

    /// Takes out the slot of this hash.
    pub(crate) fn remove(&mut self, hash: u64, hash_of: impl Fn(u32) -> u64) {
        let mut hole = self.home(hash);
        loop {
            match self.places[hole] {
                EMPTY => return,
                entry if is_of(entry, hash, &hash_of) => break,
                _ => hole = self.after(hole),
            }
        }
        let mut place = hole;
        loop {
            place = self.after(place);
            if self.places[place] == EMPTY {
                break;
            }
            let home = self.home(hash_of(slot(self.places[place])));
            // It may move back unless its home lies behind the hole.
            if self.distance(home, place) >= self.distance(hole, place) {
                self.places[hole] = self.places[place];
                hole = place;
            }
        }
        self.places[hole] = EMPTY;
    }

    fn home(&self, hash: u64) -> usize {
        // The upper half: the lower one chose the shard.
        (hash >> 32) as usize & (self.places.len() - 1)
    }

    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.places.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_map_finds(steps in prop::collection::vec((0_u64..12, any::<bool>()), 0..200)) {
            // Few homes, so that entries collide and wrap around the end.
            let hash_of = |slot: u32| {
                u64::from(slot / 3 + 14) << 32 | u64::from(slot % 2) << 23 | u64::from(slot)
            };
            let mut index = Index::new(12);
            let mut map = BTreeMap::new();
            for (key, present) in steps {
                let (slot, hash) = (key as u32, hash_of(key as u32));
                match (present, map.contains_key(&hash)) {
                    (true, false) => {
                        index.insert(hash, slot);
                        map.insert(hash, slot);
                    }
                    (false, _) => {
                        index.remove(hash, hash_of);
                        map.remove(&hash);
                    }
                    (true, true) => (),
                }
                for slot in 0..12 {
                    let hash = hash_of(slot);
                    prop_assert_eq!(index.find(hash, hash_of), map.get(&hash).copied());
                }
            }
        }
    }
}
