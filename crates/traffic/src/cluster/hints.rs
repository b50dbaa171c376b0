//! What a call says about the instance it wants.

/// What a call says about the instance it wants. Default: any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hints<'a> {
    /// Only instances of this version, whatever the weights; none: as the weights say.
    pub subset: Option<&'a str>,
    /// Calls with the same key go to the same instance, if the strategy is
    /// [`ConsistentHash`](crate::balance::Strategy::ConsistentHash); other strategies ignore it.
    /// None: any instance. Make it with [`hash_key`](crate::balance::hash_key).
    pub key: Option<u64>,
}

impl<'a> Hints<'a> {
    /// The same call, for instances of this version only.
    #[must_use]
    pub fn with_subset(mut self, version: &'a str) -> Self {
        self.subset = Some(version);
        self
    }

    /// The same call, sent where others with this key go.
    #[must_use]
    pub fn with_key(mut self, key: u64) -> Self {
        self.key = Some(key);
        self
    }
}

/// The instances tried for a call, which are not picked again.
///
/// The first four cost no allocation.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    first: [u64; 4],
    more: Vec<u64>,
}

impl Tried {
    /// Notes that this instance was tried.
    pub fn insert<T>(&mut self, member: &super::Member<T>) {
        self.insert_number(member.number());
    }

    /// Whether none was tried yet.
    pub fn is_empty(&self) -> bool {
        self.first[0] == 0
    }

    /// How many were tried.
    pub fn len(&self) -> usize {
        self.first.iter().filter(|number| **number != 0).count() + self.more.len()
    }

    pub(crate) fn insert_number(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        match self.first.iter_mut().find(|free| **free == 0) {
            Some(free) => *free = number,
            None => self.more.push(number),
        }
    }

    /// Members are numbered from 1.
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.first.contains(&number) || self.more.contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_each_instance_once_however_many_there_are() {
        let mut tried = Tried::default();
        assert!(tried.is_empty());
        for number in (1..=9).chain(1..=9) {
            assert_eq!(tried.contains(number), tried.len() >= number as usize);
            tried.insert_number(number);
        }
        assert_eq!(tried.len(), 9);
        assert!(!tried.contains(10));
    }
}
