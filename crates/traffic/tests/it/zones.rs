//! Versions by weight, and the caller's own zone first.

use std::sync::Arc;

use regatta_core::Instance;
use regatta_traffic::balance::Strategy;
use regatta_traffic::cluster::{Hints, Outcome, PickError, Policies, Tried};

use crate::support::{Fleet, bare, instance, is_within_binomial_bound, with_breakers};

#[test]
fn ninety_to_ten_is_ninety_to_ten() {
    let mut fleet = Fleet::new(weights(&[("v1", 90), ("v2", 10)]), versions(&["v1", "v1", "v2"]));
    let counts = fleet.counts(1_000);
    assert_eq!((counts[&0] + counts[&1], counts[&2]), (900, 100));
}

#[test]
fn without_weights_versions_do_not_matter() {
    let mut fleet = Fleet::new(weights(&[]), versions(&["v1", "v2", "v3"]));
    assert_eq!(fleet.counts(9).into_values().collect::<Vec<_>>(), [3, 3, 3]);
}

#[test]
fn the_weights_hold_when_members_come() {
    let mut fleet = Fleet::new(weights(&[("v1", 1), ("v2", 1)]), versions(&["v1"]));
    assert_eq!(fleet.counts(10)[&0], 10);
    fleet.replace(versions(&["v1", "v2", "v2"]));
    assert_eq!(fleet.counts(100)[&0], 50);
}

#[test]
fn the_weights_hold_while_members_come_all_the_time() {
    let mut fleet = Fleet::new(weights(&[("v1", 9), ("v2", 1)]), versions(&["v2", "v1"]));
    let mut of_second = 0;
    for count in 1..=20 {
        let all: Vec<&str> = std::iter::once("v2").chain(vec!["v1"; count]).collect();
        fleet.replace(versions(&all));
        of_second += fleet.counts(5).get(&0).copied().unwrap_or(0);
    }
    assert_eq!(of_second, 10, "of 100 calls");
}

#[test]
fn an_empty_version_leaves_its_part_to_the_others() {
    let mut fleet = Fleet::new(weights(&[("v1", 90), ("v2", 10)]), versions(&["v1"]));
    assert_eq!(fleet.counts(100)[&0], 100);
    let empty = fleet.cluster.view(fleet.now).subsets;
    assert_eq!((empty[1].version.as_str(), empty[1].instances), ("v2", 0));
}

#[test]
fn a_broken_canary_costs_no_call_and_its_part_goes_by_weight() {
    let mut policies = with_breakers();
    policies.subsets = weights(&[("v1", 60), ("v2", 20), ("v3", 20)]).subsets;
    let mut fleet = Fleet::new(policies, versions(&["v1", "v2", "v3"]));
    fleet.fail(1, 5);
    let counts = fleet.counts(5_000);
    assert!(!counts.contains_key(&1));
    assert!((3_600..3_900).contains(&counts[&0]), "{counts:?}");
}

#[test]
fn a_version_without_weight_gets_no_call_even_if_the_others_are_out() {
    let mut policies = with_breakers();
    policies.subsets = weights(&[("v1", 1), ("v2", 0)]).subsets;
    let mut fleet = Fleet::new(policies, versions(&["v1", "v2", "v3"]));
    assert_eq!(fleet.counts(50)[&0], 50);
    fleet.fail(0, 5);
    assert!(matches!(fleet.pick().unwrap_err(), PickError::AllOpen { .. }));
    fleet.replace(versions(&["v9"]));
    assert_eq!(fleet.pick().unwrap_err(), PickError::NoWeight);
}

#[test]
fn a_call_may_ask_for_a_version_whatever_the_weights() {
    let mut fleet = Fleet::new(weights(&[("v1", 100), ("v2", 0)]), versions(&["v1", "v2"]));
    let second = Hints::default().with_subset("v2");
    assert_eq!(*fleet.pick_for(&Tried::default(), &second).unwrap().data(), 1);
    let others = fleet.others(0);
    assert_eq!(fleet.pick_for(&others, &second).unwrap_err(), PickError::AllTried);
    let ninth = Hints::default().with_subset("v9");
    let error = fleet.pick_for(&Tried::default(), &ninth).unwrap_err();
    assert!(error.to_string().contains("no instance of version `v9`"));
    assert!(!fleet.cluster.has_another(fleet.now, &Tried::default(), &ninth));
}

#[test]
fn other_weights_hold_at_once() {
    let mut fleet = Fleet::new(weights(&[("v1", 1), ("v2", 0)]), versions(&["v1", "v2"]));
    assert_eq!(fleet.counts(100)[&0], 100);
    fleet.configure(weights(&[("v1", 1), ("v2", 3)]));
    assert_eq!(fleet.counts(100)[&0], 25);
    fleet.configure(weights(&[]));
    assert_eq!(fleet.counts(100)[&0], 50);
}

#[test]
fn calls_stay_in_the_callers_zone_while_enough_are_usable_there() {
    let mut fleet = Fleet::new(zoned(), zones(10, 10));
    assert!(fleet.counts(1_000).keys().all(|number| *number < 10));
    (0..2).for_each(|number| fleet.fail(number, 5));
    assert!(fleet.counts(1_000).keys().all(|number| *number < 10), "8 of 10 are enough");
}

#[test]
fn what_the_zone_lacks_goes_to_the_others() {
    let mut fleet = Fleet::new(zoned(), zones(10, 10));
    (0..5).for_each(|number| fleet.fail(number, 5));
    let counts = fleet.counts(2_000);
    let at_home = counts.iter().filter(|(number, _)| **number < 10).map(|(_, count)| count).sum();
    // Half of them, times 1.4.
    assert!(is_within_binomial_bound(at_home, 2_000, 0.7), "{counts:?}");
    (5..10).for_each(|number| fleet.fail(number, 5));
    assert!(fleet.counts(1_000).keys().all(|number| *number >= 10));
}

#[test]
fn a_retry_leaves_the_zone_when_all_there_were_tried() {
    let mut fleet = Fleet::new(zoned(), zones(1, 2));
    let mut tried = Tried::default();
    let picked = fleet.pick().unwrap();
    tried.insert(picked.member());
    assert_eq!(*picked.data(), 0);
    assert_ne!(*fleet.pick_for(&tried, &Hints::default()).unwrap().data(), 0);
}

#[test]
fn a_zone_without_instances_is_no_zone() {
    let mut fleet = Fleet::new(zoned(), zones(0, 4));
    assert_eq!(fleet.counts(200).len(), 4);
    fleet.call(Outcome::Success).unwrap();
}

fn weights(weights: &[(&str, u32)]) -> Policies {
    let mut policies = bare(Strategy::RoundRobin);
    let weights = weights.iter().map(|(version, weight)| ((*version).to_owned(), *weight));
    policies.subsets = Arc::new(weights.collect());
    policies
}

fn versions(versions: &[&str]) -> Vec<Instance> {
    let instance = |(version, number): (&&str, u16)| instance(number).with_version(version);
    versions.iter().zip(0..).map(instance).collect()
}

fn zoned() -> Policies {
    let mut policies = with_breakers();
    policies.zone = Some("here".to_owned());
    policies
}

/// So many in the caller's zone, then so many in another.
fn zones(here: u16, there: u16) -> Vec<Instance> {
    let zone = |number| if number < here { "here" } else { "there" };
    (0..here + there).map(|number| instance(number).with_zone(zone(number))).collect()
}
