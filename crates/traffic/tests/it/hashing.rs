//! Consistent hashing with bounded load.

use std::collections::BTreeMap;

use proptest::prelude::{prop, prop_assert, proptest};
use regatta_traffic::balance::{Strategy, hash_key};
use regatta_traffic::cluster::{Hints, Policies, Tried};

use crate::support::{Fleet, bare, instance, instances, with_breakers};

#[test]
fn a_key_stays_with_its_instance_and_calls_without_one_go_anywhere() {
    let mut fleet = Fleet::new(hashed(), instances(10));
    let home = owner(&mut fleet, 7);
    assert!((0..50).all(|_| owner(&mut fleet, 7) == home));
    let counts = fleet.counts(1_000);
    assert_eq!(counts.len(), 10, "{counts:?}");
}

#[test]
fn two_processes_agree_on_the_owner() {
    let mut one = Fleet::new(hashed(), instances(10));
    let mut turned = instances(10);
    turned.rotate_left(3);
    let mut other = Fleet::new(hashed(), turned);
    for key in 0..100 {
        assert_eq!(owner(&mut one, key), owner(&mut other, key));
    }
}

#[test]
fn a_key_whose_instance_is_out_goes_to_the_next_and_comes_back() {
    let mut policies = with_breakers();
    policies.balance = Strategy::ConsistentHash;
    let mut fleet = Fleet::new(policies, instances(10));
    let before: Vec<u16> = (0..200).map(|key| owner(&mut fleet, key)).collect();
    let out = before[0];
    fleet.fail(out, 5);
    let during: Vec<u16> = (0..200).map(|key| owner(&mut fleet, key)).collect();
    for (was, is) in before.iter().zip(&during) {
        assert!(*is != out && (was == is || *was == out));
    }
    fleet.wait(std::time::Duration::from_secs(60));
    let key = before.iter().position(|owner| *owner == out).unwrap() as u64;
    // The probe: the only one that may go there, and it succeeds.
    assert_eq!(owner(&mut fleet, key), out);
    let after: Vec<u16> = (0..200).map(|key| owner(&mut fleet, key)).collect();
    assert_eq!(before, after);
}

#[test]
fn a_hot_key_spills_over_to_others_instead_of_drowning_its_instance() {
    let mut fleet = Fleet::new(hashed(), instances(4));
    let hints = Hints::default().with_key(hash_key("hot"));
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(fleet.pick_for(&Tried::default(), &hints).unwrap());
    }
    let most = fleet.cluster.view(fleet.now).instances.iter().map(|i| i.in_flight).max();
    // A quarter of 100 calls, and a quarter of that on top, rounded up.
    assert_eq!(most, Some(32));
    drop(held);
    let mut unbounded = hashed();
    unbounded.hash_load_percent = None;
    fleet.configure(unbounded);
    let held: Vec<_> =
        (0..100).map(|_| fleet.pick_for(&Tried::default(), &hints).unwrap()).collect();
    assert!(held.iter().all(|picked| picked.data() == held[0].data()));
}

#[test]
fn an_instance_owns_keys_and_takes_calls_of_a_hot_one_by_its_weight() {
    let members = vec![instance(0).with_weight(3), instance(1).with_weight(1)];
    let mut fleet = Fleet::new(hashed(), members);
    let keys = (0..2_000).filter(|key| owner(&mut fleet, *key) == 0).count();
    assert!((1_350..1_650).contains(&keys), "{keys} of 2000 keys, 1500 expected");
    let hot = (0..).find(|key| owner(&mut fleet, *key) == 0).unwrap();
    let hints = Hints::default().with_key(hash_key(u64::to_le_bytes(hot)));
    let held: Vec<_> =
        (0..80).map(|_| fleet.pick_for(&Tried::default(), &hints).unwrap()).collect();
    // Three quarters of 80 calls, and a quarter of that on top.
    assert_eq!(fleet.view(0).in_flight, 75);
    drop(held);
}

#[test]
fn calls_that_have_ended_raise_no_bound() {
    let mut fleet = Fleet::new(hashed(), instances(4));
    for key in 0..500 {
        owner(&mut fleet, key);
    }
    let hints = Hints::default().with_key(hash_key("hot"));
    let held: Vec<_> =
        (0..100).map(|_| fleet.pick_for(&Tried::default(), &hints).unwrap()).collect();
    let most = fleet.cluster.view(fleet.now).instances.iter().map(|i| i.in_flight).max();
    assert_eq!(most, Some(32));
    drop(held);
}

#[test]
fn a_caller_with_a_key_stays_with_its_version() {
    let mut policies = hashed();
    policies.subsets = std::sync::Arc::new([("v1".into(), 90), ("v2".into(), 10)].into());
    let version = |number| if number % 2 == 0 { "v1" } else { "v2" };
    let members = (0..10).map(|number| instance(number).with_version(version(number)));
    let mut fleet = Fleet::new(policies, members.collect());
    let mut of_second = 0;
    for key in 0..1_000 {
        let first = owner(&mut fleet, key);
        assert!((0..3).all(|_| owner(&mut fleet, key) == first));
        of_second += first % 2;
    }
    assert!((50..150).contains(&of_second), "{of_second} of 1000 keys, 100 expected");
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]

    #[test]
    fn a_change_of_members_moves_about_one_key_in_n(count in 2_u16..30, more: bool) {
        let mut fleet = Fleet::new(hashed(), instances(count));
        let keys = 0..1_000;
        let before: Vec<u16> = keys.clone().map(|key| owner(&mut fleet, key)).collect();
        let after_count = if more { count + 1 } else { count - 1 };
        fleet.replace(instances(after_count));
        let moved = keys.zip(before).filter(|(key, was)| owner(&mut fleet, *key) != *was).count();
        let expected = 1_000.0 / f64::from(count.max(after_count));
        prop_assert!(moved as f64 <= expected * 1.6 + 20.0, "{moved} moved of 1000, {expected} expected");
    }

    #[test]
    fn no_instance_exceeds_the_load_bound(
        count in 1_u16..20, percent in 101_u32..300, keys in prop::collection::vec(0_u64..5, 1..200),
    ) {
        let mut policies = hashed();
        policies.hash_load_percent = Some(percent);
        let mut fleet = Fleet::new(policies, instances(count));
        let (mut held, mut loads) = (Vec::new(), BTreeMap::<u16, u32>::new());
        for key in keys {
            let hints = Hints::default().with_key(hash_key(key.to_le_bytes()));
            let picked = fleet.pick_for(&Tried::default(), &hints).unwrap();
            let load = loads.entry(*picked.data()).or_default();
            *load += 1;
            held.push(picked);
            let fair = held.len() as f64 / f64::from(count);
            let bound = (fair * f64::from(percent) / 100.0).ceil();
            prop_assert!(f64::from(*load) <= bound, "{load} in flight, {bound} allowed");
        }
    }
}

fn hashed() -> Policies {
    bare(Strategy::ConsistentHash)
}

/// Who takes a call with this key, which ends at once.
fn owner(fleet: &mut Fleet, key: u64) -> u16 {
    let hints = Hints::default().with_key(hash_key(key.to_le_bytes()));
    let picked = fleet.pick_for(&Tried::default(), &hints).unwrap();
    let number = *picked.data();
    picked.finish(fleet.now, regatta_traffic::cluster::Outcome::Success, crate::support::MILLI);
    number
}
