//! Ranges of keys; those that hold a key are found without a look at the others.
//!
//! A treap (Seidel and Aragon, 1996) of the ranges by where they begin, whose nodes know how far
//! the ranges below them reach (an interval tree; Cormen et al., *Introduction to Algorithms*).

use std::fmt::{self, Debug, Formatter};
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;

use super::range::KeyRange;

/// Ranges with a number and a value each. A range that is a single key has no place here.
pub(super) struct Ranges<T> {
    root: Link<T>,
    /// Makes priorities that no client can foresee, so that none can make the tree deep.
    priorities: RandomState,
}

type Link<T> = Option<Box<Node<T>>>;

struct Node<T> {
    range: KeyRange,
    id: u64,
    value: T,
    /// At least as high as those below.
    priority: u64,
    /// Where the ranges here and below have ended; none when one has no end.
    reach: Option<Bytes>,
    left: Link<T>,
    right: Link<T>,
}

impl<T> Ranges<T> {
    /// Takes one in. Its number is nobody else's.
    pub(super) fn insert(&mut self, id: u64, range: KeyRange, value: T) {
        let (left, right) = split(self.root.take(), (range.start(), id));
        let (priority, reach) = (self.priorities.hash_one(id), range.end().cloned());
        let node = Node { range, id, value, priority, reach, left: None, right: None };
        self.root = merge(merge(left, Some(Box::new(node))), right);
    }

    /// Takes one out, if it is there.
    pub(super) fn remove(&mut self, id: u64, range: &KeyRange) {
        let (left, rest) = split(self.root.take(), (range.start(), id));
        let (_removed, right) = split(rest, (range.start(), id + 1));
        self.root = merge(left, right);
    }

    /// Hands out the values of those that hold a key.
    pub(super) fn holding<'a>(&'a self, key: &[u8], mut each: impl FnMut(&'a T)) {
        holding(&self.root, key, &mut each);
    }

    /// Hands out all values.
    pub(super) fn for_each<'a>(&'a self, mut each: impl FnMut(&'a T)) {
        for_each(&self.root, &mut each);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_none()
    }
}

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self { root: None, priorities: RandomState::new() }
    }
}

impl<T: Debug> Debug for Ranges<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        self.for_each(|value| _ = list.entry(value));
        list.finish()
    }
}

impl<T> Node<T> {
    /// After a change below.
    fn measure(&mut self) {
        let below = [&self.left, &self.right].into_iter().flatten();
        let ends = below.map(|node| node.reach.as_ref()).chain([self.range.end()]);
        // None is no end at all, which is beyond all others.
        self.reach =
            ends.collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().max()).cloned();
    }
}

/// Those before a start and number, and the others.
fn split<T>(link: Link<T>, at: (&Bytes, u64)) -> (Link<T>, Link<T>) {
    let Some(mut node) = link else { return (None, None) };
    if (node.range.start(), node.id) < at {
        let (middle, right) = split(node.right.take(), at);
        node.right = middle;
        node.measure();
        (Some(node), right)
    } else {
        let (left, middle) = split(node.left.take(), at);
        node.left = middle;
        node.measure();
        (left, Some(node))
    }
}

/// All of two, of which the first ends before the second begins.
fn merge<T>(left: Link<T>, right: Link<T>) -> Link<T> {
    match (left, right) {
        (None, one) | (one, None) => one,
        (Some(mut left), Some(right)) if left.priority >= right.priority => {
            left.right = merge(left.right.take(), Some(right));
            left.measure();
            Some(left)
        }
        (left, Some(mut right)) => {
            right.left = merge(left, right.left.take());
            right.measure();
            Some(right)
        }
    }
}

/// Answers how many were looked at.
fn holding<'a, T>(link: &'a Link<T>, key: &[u8], each: &mut impl FnMut(&'a T)) -> usize {
    let Some(node) = link else { return 0 };
    if node.reach.as_ref().is_some_and(|reach| **reach <= *key) {
        return 1;
    }
    let mut looked_at = 1 + holding(&node.left, key, each);
    if **node.range.start() <= *key {
        if node.range.contains(key) {
            each(&node.value);
        }
        looked_at += holding(&node.right, key, each);
    }
    looked_at
}

fn for_each<'a, T>(link: &'a Link<T>, each: &mut impl FnMut(&'a T)) {
    if let Some(node) = link {
        for_each(&node.left, each);
        each(&node.value);
        for_each(&node.right, each);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(ranges: &Ranges<u64>, key: &[u8]) -> Vec<u64> {
        let mut found = Vec::new();
        ranges.holding(key, |id| found.push(*id));
        found.sort_unstable();
        found
    }

    fn any_key() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(0..4_u8, 1..3).prop_map(Bytes::from)
    }

    proptest! {
        #[test]
        fn those_that_hold_a_key_are_found_and_no_others(
            steps in prop::collection::vec((any_key(), any_key(), 0..3_u8), 0..40),
            keys in prop::collection::vec(any_key(), 1..8),
        ) {
            let (mut ranges, mut model) = (Ranges::default(), Vec::new());
            for (id, (start, end, kind)) in (0_u64..).zip(steps) {
                match kind {
                    0 if !model.is_empty() => {
                        let (id, range) = model.swap_remove(usize::from(start[0]) % model.len());
                        ranges.remove(id, &range);
                    }
                    _ => {
                        // Also those without an end, and those with none in them.
                        let end = if kind == 1 { vec![0].into() } else { end };
                        let range = KeyRange::new(start, end);
                        ranges.insert(id, range.clone(), id);
                        model.push((id, range));
                    }
                }
            }
            for key in keys {
                let holding = model.iter().filter(|(_, range)| range.contains(&key));
                let mut wanted: Vec<_> = holding.map(|(id, _)| *id).collect();
                wanted.sort_unstable();
                prop_assert_eq!(found(&ranges, &key), wanted);
            }
            let mut all = 0;
            ranges.for_each(|_| all += 1);
            prop_assert_eq!(all, model.len());
        }
    }

    #[test]
    fn of_many_ranges_few_are_looked_at() {
        let mut ranges = Ranges::default();
        for id in 0..10_000 {
            ranges.insert(id, KeyRange::prefix(format!("app/{id:05}/").into()), id);
        }
        let looked_at = holding(&ranges.root, b"app/04321/name", &mut |id| assert_eq!(*id, 4321));
        // A tree of so many in random order is 31 deep on average.
        assert!(looked_at < 150, "{looked_at} looked at");
        let none = holding(&ranges.root, b"zzz", &mut |_| unreachable!("nobody holds it"));
        assert_eq!(none, 1);
    }
}
