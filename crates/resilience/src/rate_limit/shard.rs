//! What is remembered about one shard's clients, in memory that is bounded.
//!
//! Each client has a slot of its own while there is room. When there is none, a client whose calls
//! have all left its window makes room: forgetting it changes nothing. When there is no such
//! client either, the newcomer shares one of a few windows with other newcomers. What that window
//! admits is at most the limit for all of them together, hence for each: never more than the limit
//! passes, though a newcomer may be refused for what others did. A client that gets a slot of its
//! own later takes the shared window's calls along, as if all had been its own.

use crate::rate_limit::Decision;
use crate::rate_limit::index::Index;

/// What is remembered about one client. Time is in ticks, from 1, and never runs back.
pub(crate) trait Cell: Clone + Default {
    /// What is the same for all clients of a limiter.
    type Rule: Copy;

    /// Admits and counts a call, or not.
    fn check(&mut self, rule: Self::Rule, now: u64) -> Decision;

    /// Forgets the calls that count no more.
    fn forget(&mut self, rule: Self::Rule, now: u64);

    /// Whether no call counts any more, so that forgetting the client changes nothing.
    fn is_over(&self, rule: Self::Rule, now: u64) -> bool;

    /// Takes over another's calls in place of its own.
    fn copy_from(&mut self, other: &Self);

    /// Bytes on the heap.
    fn heap_bytes(&self) -> usize;

    /// The most bytes on the heap under this rule.
    fn most_heap_bytes(rule: Self::Rule) -> usize;
}

#[derive(Debug)]
pub(crate) struct Shard<C> {
    capacity: usize,
    index: Index,
    slots: Vec<Slot<C>>,
    /// Ends of the list of slots in the order of their last admitted call.
    oldest: u32,
    newest: u32,
    shared: Box<[C]>,
    now: u64,
}

#[derive(Debug)]
struct Slot<C> {
    hash: u64,
    cell: C,
    older: u32,
    newer: u32,
}

const NONE: u32 = u32::MAX;

impl<C: Cell> Shard<C> {
    /// Windows for so many clients, and so many shared ones.
    pub(crate) fn new(capacity: usize, shared: usize) -> Self {
        Self {
            capacity,
            index: Index::new(capacity),
            slots: Vec::with_capacity(capacity),
            oldest: NONE,
            newest: NONE,
            shared: vec![C::default(); shared].into_boxed_slice(),
            now: 0,
        }
    }

    /// The most bytes that a shard takes under this rule.
    pub(crate) fn most_bytes(capacity: usize, shared: usize, rule: C::Rule) -> usize {
        let slot = size_of::<Slot<C>>() + C::most_heap_bytes(rule);
        let cell = size_of::<C>() + C::most_heap_bytes(rule);
        size_of::<Self>() + Index::bytes(capacity) + capacity * slot + shared * cell
    }

    /// The bytes that it takes now.
    pub(crate) fn bytes(&self) -> usize {
        let heap =
            |cells: &mut dyn Iterator<Item = &C>| -> usize { cells.map(Cell::heap_bytes).sum() };
        size_of::<Self>()
            + Index::bytes(self.capacity)
            + self.slots.capacity() * size_of::<Slot<C>>()
            + self.shared.len() * size_of::<C>()
            + heap(&mut self.slots.iter().map(|slot| &slot.cell))
            + heap(&mut self.shared.iter())
    }

    pub(crate) fn check(&mut self, rule: C::Rule, hash: u64, now: u64) -> Decision {
        // Callers read the clock before they took the lock, so the order may be another.
        self.now = self.now.max(now);
        let now = self.now;
        let slots = &self.slots;
        let known = self.index.find(hash, |slot| slots[slot as usize].hash);
        let Some(slot) = known.or_else(|| self.admit_client(rule, hash, now)) else {
            let shared = shared_window(&self.shared, hash);
            return self.shared[shared].check(rule, now);
        };
        let decision = self.slots[slot as usize].cell.check(rule, now);
        if decision.allowed && self.newest != slot {
            self.unlink(slot);
            self.link_newest(slot);
        }
        decision
    }

    /// A slot for a new client; none when all are in use.
    fn admit_client(&mut self, rule: C::Rule, hash: u64, now: u64) -> Option<u32> {
        let slot = if self.slots.len() < self.capacity {
            let slot = self.slots.len() as u32;
            let cell = C::default();
            self.slots.push(Slot { hash, cell, older: NONE, newer: NONE });
            slot
        } else {
            let slot = self.oldest;
            let held = &self.slots[slot as usize];
            if !held.cell.is_over(rule, now) {
                return None;
            }
            let (slots, old) = (&self.slots, held.hash);
            self.index.remove(old, |slot| slots[slot as usize].hash);
            self.unlink(slot);
            slot
        };
        let shared = &mut self.shared[shared_window(&self.shared, hash)];
        shared.forget(rule, now);
        let held = &mut self.slots[slot as usize];
        held.hash = hash;
        held.cell.copy_from(shared);
        self.index.insert(hash, slot);
        self.link_newest(slot);
        Some(slot)
    }

    fn unlink(&mut self, slot: u32) {
        let (older, newer) = (self.slots[slot as usize].older, self.slots[slot as usize].newer);
        match older {
            NONE => self.oldest = newer,
            older => self.slots[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.slots[newer as usize].older = older,
        }
    }

    fn link_newest(&mut self, slot: u32) {
        let newest = std::mem::replace(&mut self.newest, slot);
        self.slots[slot as usize].older = newest;
        self.slots[slot as usize].newer = NONE;
        match newest {
            NONE => self.oldest = slot,
            newest => self.slots[newest as usize].newer = slot,
        }
    }
}

fn shared_window<C>(shared: &[C], hash: u64) -> usize {
    // Bits that chose neither the shard nor, mostly, the place in the index; spread over all of them
    // without a division (Lemire, "Fast Random Integer Generation in an Interval", 2019).
    ((u64::from(hash as u32) * shared.len() as u64) >> 32) as usize
}

#[cfg(test)]
mod tests;
