//! Picks an instance from an immutable snapshot.

use std::sync::Arc;

use regatta_core::Instance;

use crate::balance::{Schedule, Strategy};

/// Picks from one set of instances, without a lock and at a cost that does not grow with them.
///
/// The set never changes. When members come or go, make the next balancer with
/// [`Balancer::with_instances`] and swap it in: who picks from the new one never gets a removed
/// instance.
#[derive(Debug)]
pub struct Balancer {
    strategy: Strategy,
    instances: Arc<[Instance]>,
    schedule: Schedule,
}

/// No instance can take the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoInstance {
    /// The set is empty.
    #[error("there is no instance; start one, or look at why it is not passing its check")]
    Empty,
    /// All instances, or their versions, have weight 0 or none.
    #[error("every instance, or its version, has weight 0; give one a weight of 1 or more")]
    NoWeight,
    /// The caller wants none of those there are.
    #[error("none of the instances can be used now; look at why they fail")]
    Excluded,
}

/// Turns that are tried before the rest is searched one by one.
const TURNS: usize = 8;

impl Balancer {
    /// A balancer over these instances that begins at any turn, so that many processes do not all
    /// begin with the same instance.
    pub fn new(strategy: Strategy, instances: Arc<[Instance]>, first_turn: u64) -> Self {
        let weight = |instance: &Instance| if strategy.is_weighted() { instance.weight } else { 1 };
        let schedule = Schedule::new(instances.iter().map(weight), first_turn);
        Self { strategy, instances, schedule }
    }

    /// A balancer over other instances that goes on at this one's turn.
    #[must_use]
    pub fn with_instances(&self, instances: Arc<[Instance]>) -> Self {
        Self::new(self.strategy, instances, self.schedule.turn())
    }

    /// The instances it picks from.
    pub fn instances(&self) -> &Arc<[Instance]> {
        &self.instances
    }

    /// How they take turns.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The number of the instance to call, for 64 random bits, among those that are `usable` by
    /// their number: not tried before in this call, breaker not open.
    ///
    /// Turns of instances that are not usable go to the others in proportion to their weights.
    ///
    /// # Errors
    ///
    /// [`NoInstance`] says why there is none.
    pub fn pick(&self, random: u64, usable: impl Fn(usize) -> bool) -> Result<usize, NoInstance> {
        let mut random = random;
        for _ in 0..TURNS {
            let turn = match self.strategy {
                Strategy::RoundRobin | Strategy::Weighted => self.schedule.next(),
                _ => self.schedule.random(random),
            };
            match turn {
                None if self.instances.is_empty() => return Err(NoInstance::Empty),
                None => return Err(NoInstance::NoWeight),
                Some(picked) if usable(picked) => return Ok(picked),
                // The next random number of a sequence (Steele, Lea, Flood, "SplitMix", 2014).
                Some(_) => random = next_random(random),
            }
        }
        // Most are not usable. Begin anywhere, so that one neighbour does not get all of it.
        let start = (next_random(random) % self.instances.len() as u64) as usize;
        let all = (start..self.instances.len()).chain(0..start);
        let has_weight =
            |picked: &usize| !self.strategy.is_weighted() || self.instances[*picked].weight > 0;
        all.into_iter()
            .filter(has_weight)
            .find(|picked| usable(*picked))
            .ok_or(NoInstance::Excluded)
    }
}

fn next_random(random: u64) -> u64 {
    let state = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
