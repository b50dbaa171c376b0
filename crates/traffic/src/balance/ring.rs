//! Who owns a key: a ring on which a change of members moves few keys.
//!
//! # Source
//!
//! Karger et al., "Consistent Hashing and Random Trees", 1997: each member has points on a ring,
//! and a key belongs to the first point after it. A member that comes takes only keys that it then
//! owns, one that leaves gives up only its own. A table over the top bits of the ring finds the
//! point without a search, as in Maglev (Eisenbud et al., 2016), whose own table moves more keys.

use super::mix;

/// Points for each unit of weight. 128 keep the shares of equal members within about a tenth of
/// each other; the load bound evens out the rest.
const POINTS: u64 = 128;

/// No ring has more points, but for one for each member: 16 MiB. Members of more weight than these
/// suffice for share them in proportion; a change of members then moves a few keys more.
const MOST_POINTS: u64 = 1 << 20;

/// The points of all members, in the order of the ring.
#[derive(Debug)]
pub(crate) struct Ring {
    points: Box<[(u64, u32)]>,
    /// The first point at or after the beginning of each of as many equal parts of the ring.
    starts: Box<[u32]>,
    shift: u32,
}

impl Ring {
    /// A ring of members by name (hashed) and weight. Their places in the list are what it hands
    /// out; the order of the list does not count.
    pub(crate) fn new(members: &[(u64, u32)]) -> Self {
        let (divisor, total) = units(members.iter().map(|(_, weight)| *weight));
        let mut points = Vec::new();
        for (place, (name, weight)) in members.iter().enumerate() {
            let units = u64::from(*weight) / divisor;
            let share = u128::from(units) * u128::from(MOST_POINTS) / u128::from(total.max(1));
            let count = (units * POINTS).min(share as u64).max(units.min(1));
            points.extend((0..count).map(|copy| (point(*name, copy), place as u32)));
        }
        points.sort_unstable();
        let bits = points.len().next_power_of_two().ilog2().max(1);
        let shift = u64::BITS - bits;
        let first = |part: u64| points.partition_point(|(at, _)| *at < part << shift) as u32;
        let starts = (0..1 << bits).map(first).collect();
        Self { points: points.into(), starts, shift }
    }

    /// About how many points a ring of these weights has.
    pub(crate) fn size(weights: impl Iterator<Item = u32> + Clone) -> u64 {
        let (_, total) = units(weights);
        total.saturating_mul(POINTS).min(MOST_POINTS)
    }

    /// The members in the order in which they own this key, from its owner on, with repetitions;
    /// each point once.
    pub(crate) fn walk(&self, key: u64) -> impl Iterator<Item = usize> {
        let part = (key >> self.shift) as usize;
        let from = self.starts.get(part).map_or(0, |start| *start as usize);
        let ahead = self.points[from..].iter().take_while(|(at, _)| *at < key).count();
        let (before, after) = self.points.split_at(from + ahead);
        after.iter().chain(before).map(|(_, place)| *place as usize)
    }
}

fn point(name: u64, copy: u64) -> u64 {
    mix(name ^ mix(copy.wrapping_add(0x9e37_79b9_7f4a_7c15)))
}

/// The largest weight of which all are multiples, and how often it is in all of them together.
fn units(weights: impl Iterator<Item = u32> + Clone) -> (u64, u64) {
    let divisor = weights.clone().fold(0, |a, weight| gcd(a, u64::from(weight))).max(1);
    (divisor, weights.map(|weight| u64::from(weight) / divisor).sum())
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::balance::hash_key;

    fn names(count: usize) -> Vec<(u64, u32)> {
        (0..count).map(|number| (hash_key(format!("instance-{number}")), 1)).collect()
    }

    fn owner(ring: &Ring, key: u64) -> Option<usize> {
        ring.walk(key).next()
    }

    #[test]
    fn an_empty_ring_owns_nothing() {
        assert_eq!(owner(&Ring::new(&[]), 1), None);
        assert_eq!(owner(&Ring::new(&[(7, 0)]), 1), None);
    }

    #[test]
    fn the_key_after_the_last_point_belongs_to_the_first() {
        let ring = Ring::new(&names(3));
        assert_eq!(owner(&ring, u64::MAX), Some(ring.points[0].1 as usize));
        assert_eq!(owner(&ring, 0), Some(ring.points[0].1 as usize));
        let (at, place) = ring.points[5];
        assert_eq!(owner(&ring, at), Some(place as usize));
        assert_eq!(owner(&ring, at + 1), Some(ring.points[6].1 as usize));
    }

    #[test]
    fn weights_are_shares_of_the_keys() {
        let ring = Ring::new(&[(hash_key("a"), 300), (hash_key("b"), 100)]);
        let keys = 0..100_000_u64;
        let first = keys.clone().filter(|key| owner(&ring, mix(*key)) == Some(0)).count();
        assert!((70_000..80_000).contains(&first), "{first}");
    }

    #[test]
    fn shares_of_equal_members_are_near_each_other() {
        let ring = Ring::new(&names(10));
        let mut counts = [0_u32; 10];
        (0..100_000).for_each(|key| counts[owner(&ring, mix(key)).unwrap()] += 1);
        assert!(counts.iter().all(|count| (7_500..12_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_largest_weights_there_are_make_no_larger_ring() {
        let ring = Ring::new(&[(1, u32::MAX), (2, u32::MAX - 1), (3, 1), (4, 0)]);
        assert!(ring.points.len() as u64 <= MOST_POINTS + 1);
        let counts =
            [0, 1, 2, 3].map(|place| ring.points.iter().filter(|(_, of)| *of == place).count());
        assert!(counts[0].abs_diff(counts[1]) <= 1 && counts[2..] == [1, 0], "{counts:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_member_that_leaves_moves_only_its_own_keys(
            count in 2_usize..40, leaves in any::<prop::sample::Index>(), keys: [u64; 32],
        ) {
            let (all, leaves) = (names(count), leaves.index(count));
            let mut rest = all.clone();
            rest.remove(leaves);
            let (before, after) = (Ring::new(&all), Ring::new(&rest));
            for key in keys {
                let (was, is) = (owner(&before, key).unwrap(), owner(&after, key).unwrap());
                prop_assert!(was == leaves || all[was] == rest[is]);
            }
        }

        #[test]
        fn the_order_of_the_list_does_not_count(count in 1_usize..40, turn: usize, key: u64) {
            let all = names(count);
            let mut turned = all.clone();
            turned.rotate_left(turn % count);
            let (one, two) = (Ring::new(&all), Ring::new(&turned));
            prop_assert_eq!(all[owner(&one, key).unwrap()], turned[owner(&two, key).unwrap()]);
        }

        #[test]
        fn a_walk_meets_every_member(count in 1_usize..40, key: u64) {
            let ring = Ring::new(&names(count));
            let met: std::collections::HashSet<_> = ring.walk(key).collect();
            prop_assert_eq!(met.len(), count);
            prop_assert_eq!(ring.walk(key).count(), ring.points.len());
        }
    }

    #[test]
    fn about_one_key_in_n_moves_when_a_member_comes() {
        let (before, after) = (Ring::new(&names(20)), Ring::new(&names(21)));
        let moved = (0..100_000).filter(|key| {
            let key = mix(*key);
            owner(&before, key) != owner(&after, key)
        });
        let moved = moved.count();
        assert!((3_000..6_500).contains(&moved), "{moved} of 100000, 4762 expected");
    }
}
