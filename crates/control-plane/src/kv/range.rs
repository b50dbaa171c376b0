//! Which keys are meant: one, those up to an end, or all from one on.

use std::ops::Bound;

use bytes::Bytes;

/// The first and the last key, as `BTreeMap::range` takes them.
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A set of neighbouring keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRange {
    start: Bytes,
    end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The start itself and nothing else.
    Only,
    /// No end.
    None,
    /// Up to this key, without it.
    Before(Bytes),
}

impl KeyRange {
    /// As etcd's requests say it: no `range_end` is the one key, one zero byte is every key from
    /// `key` on. An end at or before the start means no key.
    pub(crate) fn new(key: Bytes, range_end: Bytes) -> Self {
        let end = match &*range_end {
            [] => End::Only,
            [0] => End::None,
            _ => End::Before(range_end),
        };
        Self { start: key, end }
    }

    /// One key.
    pub(crate) fn only(key: Bytes) -> Self {
        Self { start: key, end: End::Only }
    }

    /// Every key that begins with these bytes.
    pub(crate) fn prefix(prefix: Bytes) -> Self {
        let mut end = prefix.to_vec();
        // The next one after all of them: the last byte that can grow does, what follows goes.
        while end.pop_if(|byte| *byte == u8::MAX).is_some() {}
        let end = match end.last_mut() {
            Some(byte) => {
                *byte += 1;
                End::Before(end.into())
            }
            None => End::None,
        };
        Self { start: prefix, end }
    }

    /// The first key that can be in it.
    pub(crate) fn start(&self) -> &Bytes {
        &self.start
    }

    /// The first key after all of them; none when it is one key, or has no end.
    pub(crate) fn end(&self) -> Option<&Bytes> {
        match &self.end {
            End::Before(end) => Some(end),
            End::Only | End::None => None,
        }
    }

    /// The one key that is meant, if it is one.
    pub(crate) fn single(&self) -> Option<&Bytes> {
        matches!(self.end, End::Only).then_some(&self.start)
    }

    /// Whether no key can be in it.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.end, End::Before(end) if *end <= self.start)
    }

    /// Whether the key is one of them.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        match &self.end {
            End::Only => *key == *self.start,
            End::None => *key >= *self.start,
            End::Before(end) => *key >= *self.start && *key < **end,
        }
    }

    /// For `BTreeMap::range`; none when the range is empty, since that would panic.
    pub(crate) fn bounds(&self) -> Option<Bounds<'_>> {
        let start = Bound::Included(&*self.start);
        (!self.is_empty()).then_some(match &self.end {
            End::Only => (start, Bound::Included(&*self.start)),
            End::None => (start, Bound::Unbounded),
            End::Before(end) => (start, Bound::Excluded(&**end)),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(key: &'static str, end: &'static str) -> KeyRange {
        KeyRange::new(key.into(), end.into())
    }

    #[test]
    fn an_end_says_how_far_it_goes() {
        let inside = |range: KeyRange| ["a", "b", "c"].map(|key| range.contains(key.as_bytes()));
        assert_eq!(inside(range("b", "")), [false, true, false]);
        assert_eq!(inside(range("b", "\0")), [false, true, true]);
        assert_eq!(inside(range("\0", "\0")), [true, true, true]);
        assert_eq!(inside(range("a", "c")), [true, true, false]);
        assert_eq!(inside(range("c", "a")), [false; 3]);
        assert!(range("c", "a").is_empty() && range("c", "c").is_empty());
    }

    proptest! {
        #[test]
        fn a_prefix_holds_exactly_the_keys_that_begin_with_it(
            prefix in prop::collection::vec(prop_oneof![Just(0_u8), Just(254), Just(255)], 0..4),
            key in prop::collection::vec(prop_oneof![Just(0_u8), Just(254), Just(255)], 0..6),
        ) {
            let range = KeyRange::prefix(prefix.clone().into());
            prop_assert_eq!(range.contains(&key), key.starts_with(&prefix));
        }
    }
}
