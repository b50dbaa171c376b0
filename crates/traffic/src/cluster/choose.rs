//! Chooses an instance from a snapshot, without a lock.

use super::dice::Dice;
use super::pool::Pool;
use super::snapshot::{Snapshot, Subset};
use super::zone::local_percent;
use super::{Hints, Tried};
use crate::balance::{Strategy, mix};

/// Turns that are tried before the rest is searched one by one.
const TURNS: usize = 8;

/// Second draws of [`Strategy::P2c`] before the first choice stands alone.
const SECOND_DRAWS: usize = 4;

/// Points of the ring that are looked at for an instance under its bound: with the default bound a
/// fifth of the instances are under it, so one in 10^24 walks is longer.
const OWNERS: usize = 256;

/// One look for an instance.
pub(super) struct Search<'a, T> {
    pub(super) snapshot: &'a Snapshot<T>,
    /// In the cluster's nanoseconds.
    pub(super) now: u64,
    pub(super) tried: &'a Tried,
    pub(super) hints: &'a Hints<'a>,
    /// Calls in flight, for the bound of [`Strategy::ConsistentHash`].
    pub(super) in_flight: u64,
}

/// Nothing can be chosen; why, is asked when it matters.
#[derive(Debug)]
pub(super) struct Nobody;

impl<T> Search<'_, T> {
    /// The place of an instance that takes calls and was not tried.
    pub(super) fn choose(&self, dice: &mut Dice) -> Result<usize, Nobody> {
        let snapshot = self.snapshot;
        if let Some(version) = self.hints.subset {
            return self.in_subset(snapshot.version(version).ok_or(Nobody)?, dice);
        }
        if let Some(any) = &snapshot.any {
            return self.in_subset(any, dice);
        }
        // A caller with a key stays with its version, too.
        let turn = match self.key() {
            Some(key) => snapshot.turns.random(mix(key)),
            None => snapshot.turns.next(),
        };
        let turn = turn.ok_or(Nobody)?;
        self.in_subset(&snapshot.versions[turn].1, dice).or_else(|_| self.in_others(turn, dice))
    }

    /// A version none of whose instances can be used leaves the call to the others, by weight as
    /// far as the dice fall: a broken canary costs no request.
    #[cold]
    fn in_others(&self, not: usize, dice: &mut Dice) -> Result<usize, Nobody> {
        let (versions, turns) = (&self.snapshot.versions, &self.snapshot.turns);
        for _ in 0..TURNS {
            let turn = turns.random(dice.roll()).ok_or(Nobody)?;
            if turn != not
                && let Ok(place) = self.in_subset(&versions[turn].1, dice)
            {
                return Ok(place);
            }
        }
        let weight = |version: &str| self.snapshot.policies.subsets.get(version).copied();
        let weighted = versions.iter().filter(|(version, _)| weight(version).unwrap_or(0) > 0);
        let mut found = weighted.map(|(_, subset)| self.in_subset(subset, dice));
        found.find(Result::is_ok).unwrap_or(Err(Nobody))
    }

    fn in_subset(&self, subset: &Subset<T>, dice: &mut Dice) -> Result<usize, Nobody> {
        let Some((local, other)) = &subset.zones else { return self.in_pool(&subset.all, dice) };
        let stays = local_percent(local.usable(), local.len());
        let (first, second) =
            if dice.below(100) < stays as usize { (local, other) } else { (other, local) };
        self.in_pool(first, dice).or_else(|_| self.in_pool(second, dice))
    }

    fn in_pool(&self, pool: &Pool<T>, dice: &mut Dice) -> Result<usize, Nobody> {
        if pool.usable() == 0 {
            return Err(Nobody);
        }
        let position = match (pool.strategy(), self.key()) {
            (Strategy::ConsistentHash, Some(key)) => self.owner(pool, key, dice),
            (Strategy::ConsistentHash, None) | (Strategy::P2c, _) => self.better_of_two(pool, dice),
            (Strategy::RoundRobin | Strategy::Random | Strategy::Weighted, _) => {
                self.draw(pool, dice)
            }
        };
        Ok(pool.place(position.ok_or(Nobody)?))
    }

    fn better_of_two(&self, pool: &Pool<T>, dice: &mut Dice) -> Option<usize> {
        let first = self.draw(pool, dice)?;
        if pool.usable() == 1 {
            return Some(first);
        }
        for _ in 0..SECOND_DRAWS {
            let second = pool.turn(dice)?;
            if second != first && self.is_usable(pool, second) && self.is_warm(pool, second, dice) {
                let worse = self.is_less_loaded(pool, second, first);
                return Some(if worse { second } else { first });
            }
        }
        Some(first)
    }

    /// Whether `one` is to be preferred to `other`: by expected latency times calls in flight, for
    /// the weight. Where one has no latency yet, or none any more, the calls in flight decide.
    fn is_less_loaded(&self, pool: &Pool<T>, one: usize, other: usize) -> bool {
        let millis = (self.now / 1_000_000) as u32;
        let of = |position: usize| {
            let seat = pool.seat(position);
            let load = &seat.life.load;
            let calls = (f64::from(load.in_flight()) + 1.0) / f64::from(seat.weight);
            (calls, load.micros(millis).map(f64::from))
        };
        let ((one_calls, one_time), (other_calls, other_time)) = (of(one), of(other));
        match (one_time, other_time) {
            (Some(one_time), Some(other_time)) => one_calls * one_time < other_calls * other_time,
            _ => one_calls < other_calls,
        }
    }

    /// The instance whose turn it is among those that can be used.
    ///
    /// The turns of those that cannot go to the others in proportion to their weights.
    fn draw(&self, pool: &Pool<T>, dice: &mut Dice) -> Option<usize> {
        let mut cold = None;
        for _ in 0..TURNS {
            let position = pool.turn(dice)?;
            if !self.is_usable(pool, position) {
                continue;
            }
            if self.is_warm(pool, position, dice) {
                return Some(position);
            }
            cold = Some(position);
        }
        cold.or_else(|| self.search(pool, dice))
    }

    /// The owner of the key that is not over the bound of its load.
    ///
    /// # Source
    ///
    /// Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2018: an instance
    /// takes no more than its fair share of the calls in flight, this one included, times a factor;
    /// a key whose owner is full goes on to the next on the ring.
    fn owner(&self, pool: &Pool<T>, key: u64, dice: &mut Dice) -> Option<usize> {
        let mut owners = pool.owners(key).filter(|position| self.is_usable(pool, *position));
        let Some(percent) = self.snapshot.policies.hash_load_percent else {
            return owners.next().or_else(|| self.search(pool, dice));
        };
        let fair = (self.in_flight + 1) as f64 / pool.usable_weight().max(1) as f64;
        let under_bound = |position: &usize| {
            let seat = pool.seat(*position);
            let bound = fair * f64::from(seat.weight) * f64::from(percent) / 100.0;
            let held = seat.life.load.in_flight();
            f64::from(held) < bound.ceil()
        };
        let first = owners.next();
        let found = first.into_iter().chain(owners.take(OWNERS)).find(under_bound);
        found.or(first).or_else(|| self.search(pool, dice))
    }

    /// Any that can be used. Begins anywhere, so that one neighbour does not get all of it.
    #[cold]
    fn search(&self, pool: &Pool<T>, dice: &mut Dice) -> Option<usize> {
        let start = dice.below(pool.len() as usize);
        pool.search(start, &self.snapshot.blocked, |place| !self.was_tried(place))
    }

    fn is_usable(&self, pool: &Pool<T>, position: usize) -> bool {
        let place = pool.place(position);
        !self.snapshot.blocked.contains(place) && !self.was_tried(place)
    }

    fn was_tried(&self, place: usize) -> bool {
        !self.tried.is_empty() && self.tried.contains(self.snapshot.members[place].number())
    }

    /// Whether the dice let an instance in slow start have this turn.
    fn is_warm(&self, pool: &Pool<T>, position: usize, dice: &mut Dice) -> bool {
        self.now >= self.snapshot.warm_from
            || dice.chance(self.snapshot.warmth(pool.seat(position).life.joined, self.now))
    }

    fn key(&self) -> Option<u64> {
        let is_hashed = self.snapshot.policies.balance == Strategy::ConsistentHash;
        self.hints.key.filter(|_| is_hashed)
    }

    /// Whether there is an instance to choose; takes nobody's turn.
    pub(super) fn is_possible(&self) -> bool {
        let passes = |place: usize| !self.was_tried(place);
        let blocked = &self.snapshot.blocked;
        let has = |subset: &Subset<T>| {
            subset.all.usable() > 0 && subset.all.search(0, blocked, passes).is_some()
        };
        match (self.hints.subset, &self.snapshot.any) {
            (Some(version), _) => self.snapshot.version(version).is_some_and(has),
            (None, Some(any)) => has(any),
            (None, None) => self.snapshot.versions.iter().any(|(version, subset)| {
                let weight = self.snapshot.policies.subsets.get(version).copied();
                weight.unwrap_or(0) > 0 && has(subset)
            }),
        }
    }
}
