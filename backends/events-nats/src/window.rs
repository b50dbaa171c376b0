//! What was sent and is not acknowledged: of one key one event at most.
//!
//! A connection that dies takes some of what was sent with it, and what is sent on the next one may
//! arrive. Were two events of a key among that, the second could be taken without the first, and the
//! first, published again, would lie behind it.

use std::collections::{HashSet, VecDeque};

/// Sent events that wait for their acknowledgement, in the order in which they were sent.
#[derive(Debug)]
pub(crate) struct Window<'a, Ack> {
    waiting: VecDeque<(Option<&'a str>, Ack)>,
    keys: HashSet<&'a str>,
    most: usize,
}

impl<'a, Ack> Window<'a, Ack> {
    /// Holds at most so many.
    pub(crate) fn new(most: usize) -> Self {
        Self { waiting: VecDeque::new(), keys: HashSet::new(), most }
    }

    /// Whether an event of this key may be sent; otherwise the oldest is to be taken first. An event
    /// without a key waits for room only.
    pub(crate) fn admits(&self, key: Option<&str>) -> bool {
        self.waiting.len() < self.most && key.is_none_or(|key| !self.keys.contains(key))
    }

    /// Notes what was sent.
    pub(crate) fn push(&mut self, key: Option<&'a str>, ack: Ack) {
        self.keys.extend(key);
        self.waiting.push_back((key, ack));
    }

    /// Takes the oldest, to wait for its acknowledgement.
    pub(crate) fn pop(&mut self) -> Option<Ack> {
        let (key, ack) = self.waiting.pop_front()?;
        key.inspect(|key| assert!(self.keys.remove(key), "a key is out once"));
        Some(ack)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_next_event_of_a_key_waits_and_those_of_others_go_on() {
        let mut window = Window::new(10);
        window.push(Some("a"), 1);
        window.push(None, 2);
        assert!(window.admits(Some("b")) && window.admits(None));
        assert!(!window.admits(Some("a")));
        assert_eq!(window.pop(), Some(1));
        assert!(window.admits(Some("a")));
        assert_eq!((window.pop(), window.pop()), (Some(2), None));
    }

    proptest! {
        #[test]
        fn of_a_key_one_is_out_and_of_all_no_more_than_there_is_room_for(
            keys in vec(prop::option::of(0..4_u8), 0..60),
            most in 1..8_usize,
        ) {
            let names = ["a", "b", "c", "d"];
            let mut window = Window::new(most);
            let mut out: VecDeque<Option<&str>> = VecDeque::new();
            for key in keys {
                let key = key.map(|key| names[usize::from(key)]);
                while !window.admits(key) {
                    prop_assert_eq!(window.pop(), out.pop_front());
                }
                prop_assert!(key.is_none() || !out.contains(&key));
                window.push(key, key);
                out.push_back(key);
                prop_assert!(out.len() <= most);
            }
        }
    }
}
