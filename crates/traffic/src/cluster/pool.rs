//! Some of the instances, among which one strategy chooses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::Member;
use super::bits::Bits;
use super::dice::Dice;
use crate::balance::{Ring, Schedule, Strategy, hash_key};

/// Some of a snapshot's instances, those that may be chosen at all: each has a weight.
#[derive(Debug)]
pub(super) struct Pool {
    strategy: Strategy,
    /// Their places in the snapshot, ascending.
    pub(super) members: Box<[u32]>,
    weights: Box<[u32]>,
    pub(super) turns: Schedule,
    ring: Option<Ring>,
    usable: AtomicU32,
    usable_weight: AtomicU64,
}

impl Pool {
    pub(super) fn new<T>(
        strategy: Strategy,
        all: &[Arc<Member<T>>],
        belongs: impl Fn(&Member<T>) -> bool,
        first_turn: u64,
    ) -> Self {
        let weight = |place: u32| {
            if strategy.is_weighted() { all[place as usize].instance.weight } else { 1 }
        };
        let members: Box<[u32]> = (0..all.len() as u32)
            .filter(|place| belongs(&all[*place as usize]) && weight(*place) > 0)
            .collect();
        let weights: Box<[u32]> = members.iter().map(|place| weight(*place)).collect();
        let turns = Schedule::new(weights.iter().copied(), first_turn);
        let ring = (strategy == Strategy::ConsistentHash).then(|| {
            let name = |place: &u32| hash_key(all[*place as usize].instance.id.as_str());
            let names = members.iter().map(name).zip(weights.iter().copied());
            Ring::new(&names.collect::<Vec<_>>())
        });
        let usable = AtomicU32::new(members.len() as u32);
        let usable_weight = weights.iter().map(|weight| u64::from(*weight)).sum::<u64>().into();
        Self { strategy, members, weights, turns, ring, usable, usable_weight }
    }

    pub(super) fn strategy(&self) -> Strategy {
        self.strategy
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn len(&self) -> u32 {
        self.members.len() as u32
    }

    /// How many take calls, whether tried or not.
    pub(super) fn usable(&self) -> u32 {
        self.usable.load(Ordering::Relaxed)
    }

    pub(super) fn usable_weight(&self) -> u64 {
        self.usable_weight.load(Ordering::Relaxed)
    }

    pub(super) fn contains(&self, place: u32) -> bool {
        self.members.binary_search(&place).is_ok()
    }

    /// Takes note that an instance takes calls from now on, or none. Under the cluster's lock.
    pub(super) fn note(&self, place: u32, is_usable: bool) {
        let Ok(position) = self.members.binary_search(&place) else { return };
        let weight = u64::from(self.weights[position]);
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
        match self.strategy {
            Strategy::RoundRobin | Strategy::Weighted => self.turns.next(),
            Strategy::Random | Strategy::P2c | Strategy::ConsistentHash => {
                self.turns.random(dice.roll())
            }
        }
    }

    /// The positions of the instances in the order in which they own a key, with repetitions.
    pub(super) fn owners(&self, key: u64) -> impl Iterator<Item = usize> {
        self.ring.iter().flat_map(move |ring| ring.walk(key))
    }

    pub(super) fn place(&self, position: usize) -> usize {
        self.members[position] as usize
    }

    pub(super) fn weight(&self, position: usize) -> u32 {
        self.weights[position]
    }

    /// The first position from `start` on, around, that is not blocked and passes.
    pub(super) fn search(
        &self,
        start: usize,
        blocked: &Bits,
        passes: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let all = (start..self.members.len()).chain(0..start.min(self.members.len()));
        all.into_iter().find(|position| {
            let place = self.place(*position);
            !blocked.contains(place) && passes(place)
        })
    }
}
