//! Which keys one revision changed.

use bytes::Bytes;

/// The keys in the order of the changes. Most revisions change one, and then nothing is allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    One(Bytes),
    /// Or none.
    Several(Box<[Bytes]>),
}

impl Changed {
    pub(crate) fn keys(&self) -> &[Bytes] {
        match self {
            Self::One(key) => std::slice::from_ref(key),
            Self::Several(keys) => keys,
        }
    }
}

impl Default for Changed {
    fn default() -> Self {
        Self::Several(Box::default())
    }
}

impl FromIterator<Bytes> for Changed {
    fn from_iter<Keys: IntoIterator<Item = Bytes>>(keys: Keys) -> Self {
        let mut keys = keys.into_iter();
        match (keys.next(), keys.next()) {
            (Some(key), None) => Self::One(key),
            (first, second) => Self::Several(first.into_iter().chain(second).chain(keys).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_keys_in_their_order_and_takes_no_more_than_one_does() {
        for count in 0..4 {
            let keys: Vec<Bytes> =
                ["b", "a", "b"].map(Bytes::from).into_iter().take(count).collect();
            let changed: Changed = keys.iter().cloned().collect();
            assert_eq!(changed.keys(), keys);
        }
        assert_eq!(size_of::<Changed>(), size_of::<Bytes>());
    }
}
