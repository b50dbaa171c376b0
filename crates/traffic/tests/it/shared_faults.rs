//! Faults that several instances share: breakers take out no more than the rest can do without.

use regatta_core::InstanceId;
use regatta_traffic::balance::Strategy;
use regatta_traffic::cluster::{Hints, Outcome, Override, Policies, What};

use crate::support::{Fleet, MILLI, SECOND, instances, with_breakers};

#[test]
fn a_short_fault_of_all_leaves_the_service_in_use() {
    let mut fleet = Fleet::new(turns(), instances(10));
    (0..10).for_each(|number| fleet.fail(number, 5));
    assert!(fleet.cluster.view(fleet.now).panic);
    // Nobody waits, and each that answers well is judged well.
    assert!(fleet.counts(50).len() > 5);
    assert!(!fleet.cluster.view(fleet.now).panic);
    fleet.wait(5 * SECOND);
    assert_eq!(fleet.counts(200).len(), 9);
    fleet.wait(55 * SECOND);
    assert_eq!(fleet.counts(200).len(), 10);
}

#[test]
fn those_beyond_the_share_are_out_for_five_seconds_and_the_first_for_sixty() {
    let mut fleet = Fleet::new(turns(), instances(10));
    (0..3).for_each(|number| fleet.fail(number, 5));
    assert_eq!(fleet.counts(200).len(), 7);
    fleet.wait(5 * SECOND - MILLI);
    assert_eq!(fleet.counts(200).len(), 7);
    fleet.wait(MILLI);
    // Probes that fail keep them out as long again.
    let probed = [(); 2].map(|()| fleet.call(Outcome::Failure).unwrap());
    assert_eq!(probed, [1, 2]);
    assert_eq!(fleet.counts(200).len(), 7);
    fleet.wait(5 * SECOND);
    assert_eq!(fleet.counts(200).len(), 9);
    fleet.wait(50 * SECOND);
    assert_eq!(fleet.counts(200).len(), 10);
}

#[test]
fn in_a_new_set_the_ejected_count_before_those_whose_breakers_are_open() {
    let mut policies = turns();
    policies.outlier.as_mut().unwrap().consecutive_failures = u32::MAX;
    let mut fleet = Fleet::new(policies.clone(), instances(10));
    fleet.fail(0, 5);
    policies.breaker = None;
    policies.outlier.as_mut().unwrap().consecutive_failures = 3;
    fleet.configure(policies);
    fleet.fail(9, 3);
    assert_eq!(fleet.counts(200).len(), 8);
    fleet.replace(instances(11));
    fleet.wait(5 * SECOND);
    assert!(fleet.counts(200).contains_key(&0));
}

#[test]
fn a_share_that_is_larger_is_out_for_the_whole_time() {
    let mut policies = turns();
    policies.outlier.as_mut().unwrap().max_ejected_percent = 30;
    let mut fleet = Fleet::new(policies, instances(10));
    (0..3).for_each(|number| fleet.fail(number, 5));
    fleet.wait(59 * SECOND);
    assert_eq!(fleet.counts(200).len(), 7);
    fleet.wait(SECOND);
    assert_eq!(fleet.counts(200).len(), 10);
}

#[test]
fn two_that_fail_are_both_used_until_one_is_well() {
    let mut fleet = Fleet::new(with_breakers(), instances(2));
    fleet.fail(0, 5);
    fleet.fail(1, 5);
    assert_eq!(fleet.told().last(), Some(&(None, What::Panic(true))));
    for _ in 0..1_000 {
        fleet.call(Outcome::Failure).unwrap();
    }
    assert_eq!(fleet.told(), [], "what was known is no news");
    fleet.call(Outcome::Success).unwrap();
    let told = fleet.told();
    assert!(matches!(&told[..], [(Some(_), What::Breaker(_)), (None, What::Panic(false))]));
}

#[test]
fn a_failed_probe_in_a_panic_is_known_when_the_panic_ends() {
    let mut fleet = Fleet::new(with_breakers(), instances(3));
    (0..3).for_each(|number| fleet.fail(number, 5));
    fleet.wait(5 * SECOND);
    // The time of two is over: one call probes, and others go there as well.
    let others = fleet.others(1);
    let [_probe, other] = [(); 2].map(|()| fleet.pick_for(&others, &Hints::default()).unwrap());
    other.finish(fleet.now, Outcome::Failure, MILLI);
    for number in [0, 2] {
        let others = fleet.others(number);
        let picked = fleet.pick_for(&others, &Hints::default()).unwrap();
        picked.finish(fleet.now, Outcome::Success, MILLI);
    }
    assert!(!fleet.cluster.view(fleet.now).panic);
    assert_eq!((fleet.view(1).breaker, fleet.view(1).usable), ("open", false));
}

#[test]
fn a_new_set_in_a_panic_is_no_news_of_it() {
    let mut fleet = Fleet::new(with_breakers(), instances(4));
    (0..3).for_each(|number| fleet.fail(number, 5));
    fleet.told();
    fleet.replace(instances(4));
    assert_eq!(fleet.told(), []);
    assert_eq!(fleet.cluster.view(fleet.now).instances.iter().filter(|it| it.usable).count(), 4);
    fleet.replace(instances(8));
    assert_eq!(fleet.told(), [(None, What::Panic(false))]);
    assert_eq!(fleet.counts(400).len(), 5);
}

#[test]
fn what_an_operator_forced_open_is_not_used_in_a_panic() {
    let mut fleet = Fleet::new(with_breakers(), instances(3));
    let id = InstanceId::new("i0");
    fleet.cluster.override_breaker(fleet.now, Some(&id), Override::ForcedOpen).unwrap();
    fleet.fail(1, 5);
    assert!(fleet.cluster.view(fleet.now).panic);
    assert_eq!(fleet.counts(100).into_keys().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn in_a_panic_the_service_breaker_is_the_guard() {
    let mut fleet = Fleet::new(turns(), instances(10));
    let refused = (0..1_000).filter(|_| fleet.call(Outcome::Failure).is_err()).count();
    assert_eq!(refused, 900);
    assert_eq!(fleet.cluster.view(fleet.now).breaker, "open");
    fleet.wait(5 * SECOND);
    assert_eq!(fleet.counts(100).values().sum::<u32>(), 100);
}

/// The defaults, but in turns: P2C would leave an instance that fails before it is judged.
fn turns() -> Policies {
    let mut policies = Policies::default();
    policies.balance = Strategy::RoundRobin;
    policies
}
