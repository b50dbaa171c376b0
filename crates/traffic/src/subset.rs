//! Shares calls between the versions of a service by weight (Istio's subsets, R15).

use std::collections::BTreeMap;
use std::sync::Arc;

use regatta_core::Instance;

use crate::balance::{Balancer, NoInstance, Schedule, Strategy};

/// Weights of versions, such as `v1: 90, v2: 10`; empty means that versions do not matter.
pub type Weights = BTreeMap<String, u32>;

/// The instances of a service behind its version weights, as one immutable snapshot.
///
/// A version without an instance gets no call; the others share its part. An instance of a version
/// without a weight gets none either. Without weights all instances are one subset.
#[derive(Debug)]
pub struct Split {
    strategy: Strategy,
    weights: Arc<Weights>,
    instances: Arc<[Instance]>,
    turns: Schedule,
    subsets: Box<[Subset]>,
}

#[derive(Debug)]
struct Subset {
    balancer: Balancer,
    /// The number in the whole set, for each instance of the balancer's.
    numbers: Box<[usize]>,
}

impl Split {
    /// Compiles the weights for these instances; begins at any turn.
    pub fn new(
        strategy: Strategy,
        weights: Arc<Weights>,
        instances: Arc<[Instance]>,
        first_turn: u64,
    ) -> Self {
        let subset = |version: Option<&str>| {
            let belongs = |instance: &Instance| {
                version.is_none_or(|version| instance.version.as_deref() == Some(version))
            };
            let numbers: Box<[usize]> =
                (0..instances.len()).filter(|number| belongs(&instances[*number])).collect();
            let members = numbers.iter().map(|number| instances[*number].clone()).collect();
            Subset { balancer: Balancer::new(strategy, members, first_turn), numbers }
        };
        let mut subsets: Vec<(u32, Subset)> =
            weights.iter().map(|(version, weight)| (*weight, subset(Some(version)))).collect();
        if weights.is_empty() {
            subsets.push((1, subset(None)));
        }
        subsets.retain(|(weight, subset)| *weight > 0 && !subset.numbers.is_empty());
        let turns = Schedule::new(subsets.iter().map(|(weight, _)| *weight), first_turn);
        let subsets = subsets.into_iter().map(|(_, subset)| subset).collect();
        Self { strategy, weights, instances, turns, subsets }
    }

    /// The same weights over other instances, going on at this one's turn.
    #[must_use]
    pub fn with_instances(&self, instances: Arc<[Instance]>) -> Self {
        Self::new(self.strategy, Arc::clone(&self.weights), instances, self.turns.turn())
    }

    /// The instances it picks from.
    pub fn instances(&self) -> &Arc<[Instance]> {
        &self.instances
    }

    /// The number of the instance to call, for 64 random bits, among those that are `usable` by
    /// their number.
    ///
    /// A subset none of whose instances is usable leaves the call to the others: a broken canary
    /// costs no request.
    ///
    /// # Errors
    ///
    /// [`NoInstance`] says why there is none.
    pub fn pick(&self, random: u64, usable: impl Fn(usize) -> bool) -> Result<usize, NoInstance> {
        let nobody =
            if self.instances.is_empty() { NoInstance::Empty } else { NoInstance::NoWeight };
        let first = self.turns.next().ok_or(nobody)?;
        let pick = |subset: &Subset| {
            let picked = subset.balancer.pick(random, |member| usable(subset.numbers[member]))?;
            Ok(subset.numbers[picked])
        };
        match pick(&self.subsets[first]) {
            Err(NoInstance::Excluded | NoInstance::NoWeight) if self.subsets.len() > 1 => {
                let others = (0..self.subsets.len()).filter(|other| *other != first);
                others
                    .map(|other| pick(&self.subsets[other]))
                    .find(Result::is_ok)
                    .unwrap_or(Err(NoInstance::Excluded))
            }
            picked => picked,
        }
    }
}
