//! Shares calls between versions of a service by weight (R15).

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_to_ten_is_ninety_to_ten() {
        let split = split(&[("v1", 90), ("v2", 10)], &["v1", "v1", "v2"]);
        let mut counts = [0; 3];
        for _ in 0..100 {
            counts[split.pick(0, |_| true).unwrap()] += 1;
        }
        assert_eq!(counts, [45, 45, 10]);
    }

    #[test]
    fn without_weights_versions_do_not_matter() {
        let split = split(&[], &["v1", "v2", "v3"]);
        let picked: Vec<_> = (0..3).map(|_| split.pick(0, |_| true).unwrap()).collect();
        assert_eq!(picked, [0, 1, 2]);
    }

    #[test]
    fn a_version_without_instances_costs_no_call() {
        let split = split(&[("v1", 90), ("v2", 10)], &["v1"]);
        assert!((0..20).all(|_| split.pick(0, |_| true) == Ok(0)));
    }

    #[test]
    fn a_version_without_weight_gets_no_call_even_if_the_others_fail() {
        let split = split(&[("v1", 100), ("v2", 0)], &["v1", "v2", "v3"]);
        assert!((0..20).all(|_| split.pick(0, |_| true) == Ok(0)));
        assert_eq!(split.pick(0, |number| number != 0), Err(NoInstance::Excluded));
    }

    #[test]
    fn a_broken_canary_leaves_its_calls_to_the_others() {
        let split = split(&[("v1", 50), ("v2", 50)], &["v1", "v2"]);
        assert!((0..20).all(|_| split.pick(0, |number| number != 1) == Ok(0)));
    }

    #[test]
    fn says_whether_there_is_nobody_or_nobody_of_these_versions() {
        let nobody = split(&[("v1", 1)], &[]);
        assert_eq!(nobody.pick(0, |_| true), Err(NoInstance::Empty));
        let others = split(&[("v1", 1)], &["v9"]);
        assert_eq!(others.pick(0, |_| true), Err(NoInstance::NoWeight));
    }

    #[test]
    fn the_weights_hold_over_new_members() {
        let split = split(&[("v1", 1), ("v2", 1)], &["v1"]);
        let next = split.with_instances(instances(&["v1", "v2"]));
        let picked: Vec<_> = (0..4).map(|_| next.pick(0, |_| true).unwrap()).collect();
        assert_eq!(picked, [0, 1, 0, 1]);
    }

    fn split(weights: &[(&str, u32)], versions: &[&str]) -> Split {
        let weights = weights.iter().map(|(version, weight)| ((*version).to_owned(), *weight));
        Split::new(Strategy::RoundRobin, Arc::new(weights.collect()), instances(versions), 0)
    }

    fn instances(versions: &[&str]) -> Arc<[Instance]> {
        let instance = |(version, port): (&&str, u16)| {
            let endpoint = regatta_core::Endpoint::try_new("127.0.0.1", port).unwrap();
            Instance::new("user-service".parse().unwrap(), endpoint).with_version(version)
        };
        versions.iter().zip(1..).map(instance).collect()
    }
}
