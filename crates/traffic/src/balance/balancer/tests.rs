//! The balancer over small sets.

use std::collections::HashSet;

use proptest::prelude::{Strategy as _, any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

const ALL: [Strategy; 3] = [Strategy::RoundRobin, Strategy::Random, Strategy::Weighted];

#[test]
fn an_empty_set_and_one_without_weight_are_told_apart() {
    for strategy in ALL {
        let empty = Balancer::new(strategy, Arc::new([]), 0);
        assert_eq!(empty.pick(0, |_| true), Err(NoInstance::Empty));
    }
    let weightless = Balancer::new(Strategy::Weighted, instances(&[0, 0]), 0);
    assert_eq!(weightless.pick(0, |_| true), Err(NoInstance::NoWeight));
}

#[test]
fn the_turn_of_one_that_cannot_be_used_is_shared_by_the_others() {
    for strategy in ALL {
        let balancer = Balancer::new(strategy, instances(&[1, 1, 1]), 0);
        let mut counts = [0_u32; 3];
        for call in 0..3_000 {
            counts[balancer.pick(next_random(call), |number| number != 1).unwrap()] += 1;
        }
        assert_eq!(counts[1], 0);
        // Were it one neighbour's alone, they would be apart by 1,000, or by 333 for a search.
        assert!(counts[0].abs_diff(counts[2]) <= 200, "{strategy}: {counts:?}");
    }
}

#[test]
fn one_without_weight_is_not_picked_even_if_it_alone_is_usable() {
    let balancer = Balancer::new(Strategy::Weighted, instances(&[1, 0]), 0);
    assert_eq!(balancer.pick(0, |number| number == 1), Err(NoInstance::Excluded));
}

#[test]
fn goes_on_at_the_same_turn_when_members_come() {
    let balancer = Balancer::new(Strategy::RoundRobin, instances(&[1, 1, 1]), 0);
    let picked = [balancer.pick(0, |_| true), balancer.pick(0, |_| true)];
    assert_eq!(picked, [Ok(0), Ok(1)]);
    let next = balancer.with_instances(instances(&[1, 1, 1, 1]));
    assert_eq!(next.pick(0, |_| true), Ok(2));
    assert_eq!(next.strategy(), Strategy::RoundRobin);
}

#[test]
fn one_usable_instance_among_many_is_found() {
    for strategy in ALL {
        let balancer = Balancer::new(strategy, instances(&[1; 1_000]), 0);
        for wanted in [0, 1, 499, 999] {
            assert_eq!(balancer.pick(wanted as u64, |number| number == wanted), Ok(wanted));
        }
    }
}

fn strategies() -> impl proptest::strategy::Strategy<Value = Strategy> {
    (0_usize..3).prop_map(|number| ALL[number])
}

proptest! {
    #[test]
    fn picks_a_usable_instance_whenever_there_is_one(
        strategy in strategies(),
        members in prop::collection::vec((0_u32..5, any::<bool>()), 1..40),
        random: u64,
    ) {
        let weights: Vec<u32> = members.iter().map(|member| member.0).collect();
        let balancer = Balancer::new(strategy, instances(&weights), random);
        let counts = |number: usize| strategy != Strategy::Weighted || weights[number] > 0;
        let usable = |number: usize| members[number].1;
        let exists = (0..members.len()).any(|number| counts(number) && usable(number));
        match balancer.pick(random, usable) {
            Ok(picked) => prop_assert!(usable(picked) && counts(picked)),
            Err(_) => prop_assert!(!exists),
        }
    }

    #[test]
    fn a_removed_instance_is_never_picked(
        strategy in strategies(),
        sets in prop::collection::vec(prop::collection::hash_set(1_u16..20, 0..12), 1..12),
        random: u64,
    ) {
        let mut balancer = Balancer::new(strategy, Arc::new([]), random);
        for set in sets {
            let members: Vec<Instance> = set.iter().map(|port| instance(*port, 1)).collect();
            balancer = balancer.with_instances(members.into());
            for turn in 0..30 {
                match balancer.pick(random.wrapping_mul(turn), |_| true) {
                    Ok(picked) => {
                        let port = balancer.instances()[picked].endpoint.port();
                        prop_assert!(set.contains(&port));
                    }
                    Err(error) => {
                        prop_assert!(set.is_empty());
                        prop_assert_eq!(error, NoInstance::Empty);
                    }
                }
            }
        }
    }

    #[test]
    fn every_instance_gets_its_turn_in_one_round(count in 1_usize..60, first_turn: u64) {
        let balancer = Balancer::new(Strategy::RoundRobin, instances(&vec![1; count]), first_turn);
        let picked: HashSet<_> = (0..count).map(|_| balancer.pick(0, |_| true).unwrap()).collect();
        prop_assert_eq!(picked.len(), count);
    }
}

fn instances(weights: &[u32]) -> Arc<[Instance]> {
    weights.iter().zip(1..).map(|(weight, port)| instance(port, *weight)).collect()
}

fn instance(port: u16, weight: u32) -> Instance {
    let endpoint = regatta_core::Endpoint::try_new("127.0.0.1", port).unwrap();
    Instance::new("user-service".parse().unwrap(), endpoint).with_weight(weight)
}
