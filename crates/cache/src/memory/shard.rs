//! A bounded part of the cache: what to keep, what to let go of.
//!
//! Entries stand in the order in which they came. To make room a hand moves from the oldest to the
//! newest: what was asked for since it last passed stays, the first that was not goes (SIEVE: Zhang
//! et al., NSDI 2024). A hit costs a flag, and no reordering.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use bytes::Bytes;

use crate::{Key, NewEntry, Tag};

/// What an entry costs beside its texts: the maps, the links, the allocations. An estimate.
const OVERHEAD: usize = 160;

/// Leases beyond this are looked through for old ones.
const MANY_LEASES: usize = 1024;

#[derive(Debug)]
pub(super) struct Shard {
    most_bytes: usize,
    bytes: usize,
    places: HashMap<Key, usize>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    tags: HashMap<Tag, HashSet<usize>>,
    newest: Option<usize>,
    oldest: Option<usize>,
    hand: Option<usize>,
    leases: HashMap<Key, Lease>,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    json: Bytes,
    ends_at: Instant,
    tags: Box<[Tag]>,
    was_asked_for: bool,
    newer: Option<usize>,
    older: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    number: u64,
    until: Instant,
}

impl Shard {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            bytes: 0,
            places: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            tags: HashMap::new(),
            newest: None,
            oldest: None,
            hand: None,
            leases: HashMap::new(),
        }
    }

    pub(super) fn usage(&self) -> (usize, usize) {
        (self.places.len(), self.bytes)
    }

    pub(super) fn get(&mut self, key: &str, now: Instant) -> Option<Bytes> {
        let place = *self.places.get(key)?;
        let slot = &mut self.slots[place];
        if slot.ends_at <= now {
            self.remove_at(place);
            return None;
        }
        slot.was_asked_for = true;
        Some(slot.json.clone())
    }

    /// Keeps the entry, in place of what has its key, and lets go of others to make room.
    pub(super) fn insert(&mut self, key: &Key, entry: &NewEntry, now: Instant) {
        self.remove(key.as_str());
        let bytes = cost(key, entry);
        if bytes > self.most_bytes {
            return;
        }
        while self.bytes + bytes > self.most_bytes && self.let_one_go(now) {}
        let slot = Slot {
            key: key.clone(),
            json: entry.json.clone(),
            ends_at: now.checked_add(entry.ttl).unwrap_or(now),
            tags: entry.tags.clone().into(),
            was_asked_for: false,
            newer: None,
            older: self.newest,
        };
        let place = match self.free.pop() {
            Some(place) => {
                self.slots[place] = slot;
                place
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        for tag in &entry.tags {
            self.tags.entry(tag.clone()).or_default().insert(place);
        }
        if let Some(newest) = self.newest {
            self.slots[newest].newer = Some(place);
        }
        self.newest = Some(place);
        self.oldest = self.oldest.or(Some(place));
        self.places.insert(key.clone(), place);
        self.bytes += bytes;
    }

    pub(super) fn remove(&mut self, key: &str) -> bool {
        match self.places.get(key).copied() {
            Some(place) => {
                self.remove_at(place);
                true
            }
            None => false,
        }
    }

    pub(super) fn remove_tagged(&mut self, tag: &Tag) -> u64 {
        let places = self.tags.remove(tag).unwrap_or_default();
        let count = places.len() as u64;
        places.into_iter().for_each(|place| self.remove_at(place));
        count
    }

    pub(super) fn remove_where(&mut self, goes: impl Fn(&str) -> bool) -> u64 {
        let places = self.places.iter().filter(|(key, _)| goes(key.as_str()));
        let places: Vec<_> = places.map(|(_, place)| *place).collect();
        let count = places.len() as u64;
        places.into_iter().for_each(|place| self.remove_at(place));
        count
    }

    /// Takes the lease of the key, or says until when another one has it.
    pub(super) fn lease(
        &mut self,
        key: &Key,
        number: u64,
        until: Instant,
        now: Instant,
    ) -> Option<Instant> {
        if let Some(held) = self.leases.get(key.as_str())
            && held.until > now
        {
            return Some(held.until);
        }
        if self.leases.len() >= MANY_LEASES {
            self.leases.retain(|_, lease| lease.until > now);
        }
        self.leases.insert(key.clone(), Lease { number, until });
        None
    }

    /// Gives a lease back, if it is still held.
    pub(super) fn release(&mut self, key: &str, number: u64) {
        if self.leases.get(key).is_some_and(|lease| lease.number == number) {
            self.leases.remove(key);
        }
    }

    /// Ends whoever's lease it is: what it loads will be dropped, so nobody should wait for it.
    pub(super) fn revoke(&mut self, key: &str) {
        self.leases.remove(key);
    }

    /// Lets go of one entry; false when there is none.
    fn let_one_go(&mut self, now: Instant) -> bool {
        let Some(mut place) = self.hand.or(self.oldest) else { return false };
        // The second time round every flag is down, so it ends.
        loop {
            let slot = &mut self.slots[place];
            if !slot.was_asked_for || slot.ends_at <= now {
                self.hand = slot.newer;
                self.remove_at(place);
                return true;
            }
            slot.was_asked_for = false;
            place = match slot.newer.or(self.oldest) {
                Some(next) => next,
                None => return false,
            };
        }
    }

    fn remove_at(&mut self, place: usize) {
        let slot = &mut self.slots[place];
        let (newer, older) = (slot.newer, slot.older);
        let key = std::mem::replace(&mut slot.key, gone());
        let (json, tags) = (std::mem::take(&mut slot.json), std::mem::take(&mut slot.tags));
        let tags_bytes: usize = tags.iter().map(|tag| tag.as_str().len()).sum();
        self.bytes -= OVERHEAD + key.as_str().len() + json.len() + tags_bytes;
        match newer {
            Some(newer) => self.slots[newer].older = older,
            None => self.newest = older,
        }
        match older {
            Some(older) => self.slots[older].newer = newer,
            None => self.oldest = newer,
        }
        if self.hand == Some(place) {
            self.hand = newer;
        }
        self.places.remove(key.as_str());
        for tag in &tags {
            if let Some(places) = self.tags.get_mut(tag) {
                places.remove(&place);
                if places.is_empty() {
                    self.tags.remove(tag);
                }
            }
        }
        self.free.push(place);
    }
}

fn cost(key: &Key, entry: &NewEntry) -> usize {
    let tags: usize = entry.tags.iter().map(|tag| tag.as_str().len()).sum();
    OVERHEAD + key.as_str().len() + entry.json.len() + tags
}

/// What stands in a slot that is free.
fn gone() -> Key {
    Key::try_new("-").expect("a dash is a key")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn what_was_asked_for_outlives_what_was_not() {
        let now = start();
        let mut shard = Shard::new(3 * cost(&key(0), &entry("v", &[])));
        for number in 0..3 {
            shard.insert(&key(number), &entry("v", &[]), now);
        }
        assert!(shard.get("key-0", now).is_some());
        shard.insert(&key(3), &entry("v", &[]), now);
        let kept: Vec<_> =
            (0..4).filter(|n| shard.get(&format!("key-{n}"), now).is_some()).collect();
        assert_eq!(kept, [0, 2, 3]);
    }

    #[test]
    fn a_scan_does_not_push_out_what_is_asked_for() {
        let now = start();
        let mut shard = Shard::new(10 * cost(&key(0), &entry("v", &[])));
        for number in 0..5 {
            shard.insert(&key(number), &entry("v", &[]), now);
        }
        for number in 100..200 {
            for hot in 0..5 {
                assert!(shard.get(&format!("key-{hot}"), now).is_some(), "{hot} at {number}");
            }
            shard.insert(&key(number), &entry("v", &[]), now);
        }
    }

    #[test]
    fn an_entry_ends_with_its_time() {
        let now = start();
        let mut shard = Shard::new(10_000);
        shard.insert(&key(1), &entry("v", &[]), now);
        assert!(shard.get("key-1", now + HOUR - Duration::from_nanos(1)).is_some());
        assert!(shard.get("key-1", now + HOUR).is_none());
        assert_eq!(shard.usage(), (0, 0), "it is gone, not only hidden");
    }

    #[test]
    fn what_is_larger_than_all_is_not_kept_and_ends_what_it_replaces() {
        let now = start();
        let mut shard = Shard::new(500);
        shard.insert(&key(1), &entry("v", &[]), now);
        shard.insert(&key(1), &entry(&"v".repeat(500), &[]), now);
        assert_eq!(shard.usage(), (0, 0));
    }

    #[test]
    fn a_lease_is_one_holders_until_it_ends_or_is_given_back() {
        let now = start();
        let mut shard = Shard::new(500);
        assert_eq!(shard.lease(&key(1), 1, now + HOUR, now), None);
        assert_eq!(shard.lease(&key(1), 2, now + HOUR, now), Some(now + HOUR));
        assert_eq!(shard.lease(&key(2), 3, now + HOUR, now), None);
        shard.release("key-1", 2);
        assert!(shard.lease(&key(1), 2, now + HOUR, now).is_some(), "not its own to give back");
        shard.release("key-1", 1);
        assert_eq!(shard.lease(&key(1), 2, now + HOUR, now), None);
        assert_eq!(shard.lease(&key(1), 4, now + 2 * HOUR, now + HOUR), None, "it has ended");
        shard.revoke("key-1");
        assert_eq!(shard.lease(&key(1), 5, now + HOUR, now), None);
    }

    #[test]
    fn leases_that_nobody_gave_back_do_not_pile_up() {
        let now = start();
        let mut shard = Shard::new(500);
        for number in 0..5000 {
            let at = now + Duration::from_secs(number);
            shard.lease(&key(number), number, at + Duration::from_secs(2), at);
        }
        assert!(shard.leases.len() <= MANY_LEASES, "{}", shard.leases.len());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64, usize, Vec<u8>),
        Get(u64),
        Remove(u64),
        RemoveTag(u8),
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..12_u64, 0..300_usize, vec(0..3_u8, 0..3)).prop_map(|(k, n, t)| Step::Insert(k, n, t)),
            4 => (0..12_u64).prop_map(Step::Get),
            1 => (0..12_u64).prop_map(Step::Remove),
            1 => (0..3_u8).prop_map(Step::RemoveTag),
            1 => (1..4000_u64).prop_map(Step::Wait),
        ];
        vec(step, 1..200)
    }

    proptest! {
        #[test]
        fn never_over_its_bound_and_never_another_value_than_the_last(steps in steps()) {
            const MOST: usize = 1500;
            let mut shard = Shard::new(MOST);
            let mut now = start();
            let mut last: HashMap<u64, (String, Instant, Vec<u8>)> = HashMap::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(k, length, tags) => {
                        let json = format!("{number}{}", "x".repeat(length));
                        let names: Vec<_> = tags.iter().map(u8::to_string).collect();
                        let names: Vec<_> = names.iter().map(String::as_str).collect();
                        shard.insert(&key(k), &entry(&json, &names), now);
                        last.insert(k, (json, now + HOUR, tags));
                    }
                    Step::Get(k) => {
                        if let Some(json) = shard.get(&format!("key-{k}"), now) {
                            let (expected, until, _) = &last[&k];
                            prop_assert_eq!(&json[..], expected.as_bytes());
                            prop_assert!(now < *until);
                        }
                    }
                    Step::Remove(k) => {
                        shard.remove(&format!("key-{k}"));
                        last.remove(&k);
                    }
                    Step::RemoveTag(tag) => {
                        shard.remove_tagged(&Tag::try_new(tag.to_string()).unwrap());
                        last.retain(|_, (_, _, tags)| !tags.contains(&tag));
                    }
                    Step::Wait(seconds) => now += Duration::from_secs(seconds),
                }
                let (entries, bytes) = shard.usage();
                prop_assert!(bytes <= MOST);
                prop_assert!(entries <= last.len());
                for k in 0..12 {
                    let is_kept = shard.places.contains_key(key(k).as_str());
                    prop_assert!(!is_kept || last.contains_key(&k), "{k} was removed");
                }
                prop_assert_eq!(entries + shard.free.len(), shard.slots.len());
                let tagged: HashSet<_> = shard.tags.values().flatten().collect();
                prop_assert!(tagged.iter().all(|place| !shard.free.contains(place)));
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn start() -> Instant {
        Instant::now()
    }

    fn key(number: u64) -> Key {
        Key::try_new(format!("key-{number}")).unwrap()
    }

    fn entry(json: &str, tags: &[&str]) -> NewEntry {
        let tags = tags.iter().map(|tag| Tag::try_new(tag).unwrap()).collect();
        NewEntry { json: Bytes::copy_from_slice(json.as_bytes()), ttl: HOUR, tags }
    }
}
