//! How instances share the calls.

use std::time::Duration;

use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};
use regatta_traffic::balance::Strategy;
use regatta_traffic::cluster::{Hints, Outcome, PickError, Policies, SlowStart, Tried};

use crate::support::{
    Fleet, MILLI, SECOND, bare, instance, instances, is_within_binomial_bound, with_breakers,
};

const ALL: [Strategy; 5] = [
    Strategy::P2c,
    Strategy::RoundRobin,
    Strategy::Random,
    Strategy::Weighted,
    Strategy::ConsistentHash,
];

#[test]
fn says_whether_there_is_nobody_or_nobody_of_weight_or_nobody_untried() {
    for strategy in ALL {
        let mut fleet = Fleet::new(bare(strategy), vec![]);
        assert_eq!(fleet.pick().unwrap_err(), PickError::Empty);
        fleet.replace(vec![instance(0).with_weight(0)]);
        let is_free = matches!(strategy, Strategy::RoundRobin | Strategy::Random);
        assert_eq!(fleet.pick().err(), (!is_free).then_some(PickError::NoWeight));
        fleet.replace(instances(1));
        let nobody = Tried::default();
        let mut all = Tried::default();
        assert!(fleet.cluster.has_another(fleet.now, &nobody, &Hints::default()));
        all.insert(&fleet.cluster.members()[0]);
        assert_eq!(fleet.pick_for(&all, &Hints::default()).unwrap_err(), PickError::AllTried);
        assert!(!fleet.cluster.has_another(fleet.now, &all, &Hints::default()));
    }
}

#[test]
fn every_instance_gets_its_turn_in_one_round() {
    let mut fleet = Fleet::new(bare(Strategy::RoundRobin), instances(7));
    for _ in 0..3 {
        assert!(fleet.counts(7).values().all(|count| *count == 1));
    }
}

#[test]
fn a_round_goes_on_where_it_was_when_members_come() {
    let mut fleet = Fleet::new(bare(Strategy::RoundRobin), instances(3));
    let first = fleet.call(Outcome::Success).unwrap();
    fleet.replace(instances(4));
    assert_eq!(fleet.call(Outcome::Success).unwrap(), (first + 1) % 4);
}

#[test]
fn weights_are_met_exactly_in_turns() {
    let members = vec![instance(0).with_weight(5), instance(1), instance(2).with_weight(4)];
    let mut fleet = Fleet::new(bare(Strategy::Weighted), members);
    let counts: Vec<u32> = fleet.counts(100).into_values().collect();
    assert_eq!(counts, [50, 10, 40]);
}

#[test]
fn the_faster_is_preferred() {
    let mut fleet = Fleet::new(bare(Strategy::P2c), instances(10));
    let mut counts = [0_u32; 10];
    for _ in 0..5_000 {
        fleet.wait(MILLI);
        let picked = fleet.pick().unwrap();
        let number = *picked.data();
        counts[usize::from(number)] += 1;
        let latency = if number == 3 { 50 * MILLI } else { MILLI };
        picked.finish(fleet.now, Outcome::Success, latency);
    }
    // Found slow by its first call, and alone again only when it was drawn twice.
    assert!(counts[3] < 50, "{counts:?}");
    let others = counts.iter().enumerate().filter(|(number, _)| *number != 3);
    assert!(others.into_iter().all(|(_, count)| (400..700).contains(count)), "{counts:?}");
}

#[test]
fn the_less_loaded_is_preferred_before_anything_is_known_of_latency() {
    let mut fleet = Fleet::new(bare(Strategy::P2c), instances(2));
    let held: Vec<_> = (0..20).map(|_| fleet.pick().unwrap()).collect();
    let first = held.iter().filter(|picked| *picked.data() == 0).count();
    // Now and then the same one is drawn twice and more.
    assert!((8..=12).contains(&first), "{first}");
}

#[test]
fn the_less_loaded_of_two_that_are_as_fast_is_preferred() {
    let mut fleet = Fleet::new(bare(Strategy::P2c), instances(2));
    fleet.counts(20);
    let others = fleet.others(0);
    let held = [(); 10].map(|()| fleet.pick_for(&others, &Hints::default()).unwrap());
    let counts = fleet.counts(100);
    // Drawn for both choices, time and again.
    assert!(counts.get(&0).copied().unwrap_or(0) < 15, "{counts:?}");
    drop(held);
}

#[test]
fn one_that_fails_fast_does_not_look_fast() {
    let mut fleet = Fleet::new(bare(Strategy::P2c), instances(5));
    let mut counts = [0_u32; 5];
    for _ in 0..2_000 {
        fleet.wait(MILLI);
        let picked = fleet.pick().unwrap();
        let number = *picked.data();
        counts[usize::from(number)] += 1;
        match number {
            2 => picked.finish(fleet.now, Outcome::Failure, MILLI / 10),
            _ => picked.finish(fleet.now, Outcome::Success, 5 * MILLI),
        };
    }
    assert!(counts[2] < 200, "{counts:?}");
}

#[test]
fn a_slow_one_that_has_recovered_is_found_again() {
    let mut fleet = Fleet::new(bare(Strategy::P2c), instances(3));
    (0..100).for_each(|_| drop(fleet.call(Outcome::Success)));
    let others = fleet.others(1);
    let slow = fleet.pick_for(&others, &Hints::default()).unwrap();
    slow.finish(fleet.now, Outcome::Success, 10 * SECOND);
    assert!(fleet.view(1).latency_ms.unwrap() > 9_000.0);
    for _ in 0..1_800 {
        fleet.wait(Duration::from_millis(100));
        fleet.call(Outcome::Success).unwrap();
    }
    let counts = fleet.counts(3_000);
    assert!(counts[&1] > 500, "{counts:?}");
}

#[test]
fn weight_counts_in_p2c_as_far_as_instances_are_alike() {
    let members = vec![instance(0).with_weight(3), instance(1).with_weight(1)];
    let mut fleet = Fleet::new(bare(Strategy::P2c), members);
    let held: Vec<_> = (0..400).map(|_| fleet.pick().unwrap()).collect();
    let first = held.iter().filter(|picked| *picked.data() == 0).count();
    assert!((280..=320).contains(&first), "{first}");
}

#[test]
fn a_new_instance_comes_to_its_share_slowly() {
    let mut policies = bare(Strategy::RoundRobin);
    policies.slow_start = SlowStart::default();
    let mut fleet = Fleet::new(policies, instances(4));
    assert_eq!(fleet.view(0).slow_start_percent, 100);
    fleet.wait(3_600 * SECOND);
    fleet.replace(instances(5));
    assert_eq!(fleet.view(4).slow_start_percent, 10);
    let shares = [0, 15, 15].map(|seconds| {
        fleet.wait(seconds * SECOND);
        fleet.counts(5_000)[&4]
    });
    // Out of 5,000 calls 1,000 are its full share; what it declines goes to the others.
    assert!((60..160).contains(&shares[0]), "{shares:?}");
    assert!((450..700).contains(&shares[1]), "{shares:?}");
    assert_eq!(shares[2], 1_000);
}

#[test]
fn a_new_instance_is_no_better_choice_of_two_before_it_is_warm() {
    let mut policies = bare(Strategy::P2c);
    policies.slow_start = SlowStart::default();
    let mut fleet = Fleet::new(policies, instances(9));
    fleet.wait(60 * SECOND);
    fleet.replace(instances(10));
    let mut of_new = 0;
    for _ in 0..1_000 {
        let picked = fleet.pick().unwrap();
        let is_new = *picked.data() == 9;
        of_new += u32::from(is_new);
        // It is faster than the others, so each draw that it is in is its own.
        picked.finish(fleet.now, Outcome::Success, if is_new { MILLI } else { 10 * MILLI });
    }
    assert!((5..60).contains(&of_new), "{of_new} of 1000 calls, about 20 expected");
}

#[test]
fn one_that_comes_when_there_is_no_other_takes_all_calls_at_once() {
    let mut fleet = Fleet::new(Policies::default(), instances(1));
    fleet.wait(60 * SECOND);
    fleet.replace(vec![]);
    fleet.replace(vec![instance(0).with_incarnation(2)]);
    assert_eq!(fleet.view(0).slow_start_percent, 100);
    assert_eq!(fleet.counts(10)[&0], 10);
}

#[test]
fn the_turn_of_one_that_is_out_is_shared_by_the_others() {
    for strategy in ALL {
        let mut policies = with_breakers();
        policies.balance = strategy;
        let mut fleet = Fleet::new(policies, instances(4));
        fleet.fail(2, 5);
        let counts = fleet.counts(3_000);
        assert!(!counts.contains_key(&2), "{strategy}: {counts:?}");
        assert!(
            counts.values().all(|count| (800..1_200).contains(count)),
            "{strategy}: {counts:?}"
        );
    }
}

#[test]
fn one_usable_instance_among_many_is_found() {
    for strategy in ALL {
        let mut fleet = Fleet::new(bare(strategy), instances(1_000));
        for wanted in [0, 499, 999] {
            let others = fleet.others(wanted);
            assert!(fleet.cluster.has_another(fleet.now, &others, &Hints::default()));
            assert_eq!(*fleet.pick_for(&others, &Hints::default()).unwrap().data(), wanted);
        }
    }
}

fn strategies() -> impl proptest::strategy::Strategy<Value = Strategy> {
    prop::sample::select(ALL.to_vec())
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]

    #[test]
    fn weights_are_met_within_the_binomial_bound(
        weights in prop::collection::vec(0_u32..20, 1..10), seed: u64,
    ) {
        let total: u32 = weights.iter().sum();
        proptest::prop_assume!(total > 0);
        for (strategy, of_one) in [(Strategy::Random, 1.0 / weights.len() as f64), (Strategy::Weighted, 0.0)] {
            let members = weights.iter().zip(0..).map(|(weight, number)| instance(number).with_weight(*weight));
            let mut fleet = Fleet::new(bare(strategy), members.collect());
            for _ in 0..seed % 7 {
                fleet.random();
            }
            let counts = fleet.counts(2_000);
            for (number, weight) in weights.iter().enumerate() {
                let share = if of_one > 0.0 { of_one } else { f64::from(*weight) / f64::from(total) };
                let count = counts.get(&(number as u16)).copied().unwrap_or(0);
                prop_assert!(is_within_binomial_bound(count, 2_000, share), "{counts:?}");
            }
        }
    }

    #[test]
    fn an_instance_is_picked_whenever_there_is_one_and_never_a_tried_one(
        strategy in strategies(),
        members in prop::collection::vec((0_u32..3, proptest::bool::ANY), 1..30),
    ) {
        let all = members.iter().zip(0..).map(|((weight, _), number)| instance(number).with_weight(*weight));
        let mut fleet = Fleet::new(bare(strategy), all.collect());
        let mut tried = Tried::default();
        for member in fleet.cluster.members() {
            if members[usize::from(*member.data())].1 {
                tried.insert(&member);
            }
        }
        let is_weighted = !matches!(strategy, Strategy::RoundRobin | Strategy::Random);
        let counts = |number: usize| members[number].0 > 0 || !is_weighted;
        let exists = (0..members.len()).any(|number| counts(number) && !members[number].1);
        for key in [None, Some(7)] {
            let mut hints = Hints::default();
            hints.key = key;
            prop_assert_eq!(fleet.cluster.has_another(fleet.now, &tried, &hints), exists);
            match fleet.pick_for(&tried, &hints) {
                Ok(picked) => {
                    let number = usize::from(*picked.data());
                    prop_assert!(counts(number) && !members[number].1);
                }
                Err(_) => prop_assert!(!exists),
            }
        }
    }
}

#[test]
fn p2c_draws_a_heavy_instance_as_often_as_its_weight_says() {
    let mut all = instances(10);
    all[3] = all[3].clone().with_weight(9);
    let counts = Fleet::new(bare(Strategy::P2c), all).counts(1_000);
    // It wins whenever it is one of the two: three in four times. Drawn like all, one in five.
    assert!((650..850).contains(&counts[&3]), "{counts:?}");
}
