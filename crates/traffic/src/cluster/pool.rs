//! Some of the instances, among which one strategy chooses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::Member;
use super::bits::Bits;
use super::dice::Dice;
use super::member::Life;
use crate::balance::{Lots, Ring, Schedule, Strategy, hash_key};

/// Some of a snapshot's instances, those that may be chosen at all: each has a weight.
pub(super) struct Pool<T> {
    strategy: Strategy,
    /// In the order of their places.
    seats: Box<[Seat<T>]>,
    pub(super) turns: Schedule,
    lots: Lots,
    ring: Option<Ring>,
    usable: AtomicU32,
    usable_weight: AtomicU64,
}

/// An instance of a pool: all that a choice needs but what its life holds, side by side.
pub(super) struct Seat<T> {
    pub(super) life: Arc<Life<T>>,
    /// Its place in the snapshot.
    place: u32,
    pub(super) weight: u32,
}

impl<T> Pool<T> {
    pub(super) fn new(
        strategy: Strategy,
        all: &[Arc<Member<T>>],
        belongs: impl Fn(&Member<T>) -> bool,
        first_turn: u64,
    ) -> Self {
        let seat = |(place, member): (u32, &Arc<Member<T>>)| {
            let weight = if strategy.is_weighted() { member.instance.weight } else { 1 };
            let is_in = weight > 0 && belongs(member);
            is_in.then(|| Seat { life: Arc::clone(&member.life), place, weight })
        };
        let seats: Box<[Seat<T>]> = (0..).zip(all).filter_map(seat).collect();
        let weights = || seats.iter().map(|seat| seat.weight);
        let turns = Schedule::new(weights(), first_turn);
        let lots = if strategy.takes_turns() { Lots::default() } else { Lots::new(weights()) };
        let ring = (strategy == Strategy::ConsistentHash).then(|| {
            let name = |seat: &Seat<T>| hash_key(all[seat.place as usize].instance.id.as_str());
            let names = seats.iter().map(name).zip(weights());
            Ring::new(&names.collect::<Vec<_>>())
        });
        let usable = AtomicU32::new(seats.len() as u32);
        let usable_weight = weights().map(u64::from).sum::<u64>().into();
        Self { strategy, seats, turns, lots, ring, usable, usable_weight }
    }

    pub(super) fn strategy(&self) -> Strategy {
        self.strategy
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    pub(super) fn len(&self) -> u32 {
        self.seats.len() as u32
    }

    /// How many take calls, whether tried or not.
    pub(super) fn usable(&self) -> u32 {
        self.usable.load(Ordering::Relaxed)
    }

    pub(super) fn usable_weight(&self) -> u64 {
        self.usable_weight.load(Ordering::Relaxed)
    }

    pub(super) fn contains(&self, place: u32) -> bool {
        self.position(place).is_some()
    }

    fn position(&self, place: u32) -> Option<usize> {
        self.seats.binary_search_by_key(&place, |seat| seat.place).ok()
    }

    /// Takes note that an instance takes calls from now on, or none. Under the cluster's lock.
    pub(super) fn note(&self, place: u32, is_usable: bool) {
        let Some(position) = self.position(place) else { return };
        let weight = u64::from(self.seats[position].weight);
        if is_usable {
            self.usable.fetch_add(1, Ordering::Relaxed);
            self.usable_weight.fetch_add(weight, Ordering::Relaxed);
        } else {
            self.usable.fetch_sub(1, Ordering::Relaxed);
            self.usable_weight.fetch_sub(weight, Ordering::Relaxed);
        }
    }

    /// The instance whose turn it is, usable or not, as its position in the pool; none in an empty
    /// pool.
    pub(super) fn turn(&self, dice: &mut Dice) -> Option<usize> {
        if self.strategy.takes_turns() { self.turns.next() } else { self.lots.draw(dice.roll()) }
    }

    /// The positions of the instances in the order in which they own a key, with repetitions.
    pub(super) fn owners(&self, key: u64) -> impl Iterator<Item = usize> {
        self.ring.iter().flat_map(move |ring| ring.walk(key))
    }

    pub(super) fn seat(&self, position: usize) -> &Seat<T> {
        &self.seats[position]
    }

    pub(super) fn place(&self, position: usize) -> usize {
        self.seats[position].place as usize
    }

    /// The first position from `start` on, around, that is not blocked and passes.
    pub(super) fn search(
        &self,
        start: usize,
        blocked: &Bits,
        passes: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let all = (start..self.seats.len()).chain(0..start.min(self.seats.len()));
        all.into_iter().find(|position| {
            let place = self.place(*position);
            !blocked.contains(place) && passes(place)
        })
    }
}
