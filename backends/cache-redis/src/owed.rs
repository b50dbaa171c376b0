//! Invalidations that Redis has not been told of yet.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use regatta_cache::{Invalidate, Pattern};

/// Beyond so many keys, tags and patterns everything is owed instead: a few hundred kilobytes.
const MOST: usize = 10_000;

/// What is owed; bounded.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    list: Mutex<VecDeque<Invalidate>>,
    /// Read on every call, so without the lock.
    is_any: AtomicBool,
}

impl Owed {
    pub(crate) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::SeqCst)
    }

    pub(crate) fn push(&self, what: Invalidate) {
        let mut list = self.lock();
        list.push_back(what);
        if list.iter().map(weight).sum::<usize>() > MOST {
            list.clear();
            let all = Pattern::try_new("*").expect("a star is a pattern");
            list.push_back(Invalidate::Pattern(all));
        }
        self.is_any.store(true, Ordering::SeqCst);
    }

    /// The oldest, to be tried; it stays owed until [`Owed::paid`].
    pub(crate) fn first(&self) -> Option<Invalidate> {
        self.lock().front().cloned()
    }

    /// The oldest was made up for, if it is still this one.
    pub(crate) fn paid(&self, what: &Invalidate) {
        let mut list = self.lock();
        if list.front() == Some(what) {
            list.pop_front();
        }
        self.is_any.store(!list.is_empty(), Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Invalidate>> {
        // Each change leaves a list; at worst it is longer than it need be.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight(what: &Invalidate) -> usize {
    match what {
        Invalidate::Keys(keys) => keys.len(),
        Invalidate::Tag(_) | Invalidate::Pattern(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use regatta_cache::Key;

    use super::*;

    #[test]
    fn what_is_owed_is_paid_in_order_and_once() {
        let owed = Owed::default();
        assert!(!owed.is_any());
        owed.push(keys(0..1));
        owed.push(keys(1..2));
        assert_eq!(owed.first(), Some(keys(0..1)));
        owed.paid(&keys(0..1));
        assert!(owed.is_any());
        owed.paid(&keys(0..1));
        assert_eq!(owed.first(), Some(keys(1..2)), "not what somebody else has paid");
        owed.paid(&keys(1..2));
        assert!(!owed.is_any());
    }

    #[test]
    fn too_much_becomes_everything() {
        let owed = Owed::default();
        owed.push(keys(0..6000));
        owed.push(keys(6000..12_000));
        let first = owed.first().unwrap();
        assert!(matches!(&first, Invalidate::Pattern(all) if all.as_str() == "*"), "{first:?}");
        owed.paid(&first);
        assert!(!owed.is_any());
    }

    fn keys(numbers: std::ops::Range<u32>) -> Invalidate {
        let key = |number: u32| Key::try_new(number.to_string()).unwrap();
        Invalidate::Keys(numbers.map(key).collect())
    }
}
