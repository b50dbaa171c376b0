//! Sets that change while calls are made.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use proptest::prelude::{prop, prop_assert, proptest};
use regatta_core::Instance;
use regatta_traffic::balance::Strategy;
use regatta_traffic::cluster::{
    Cluster, Event, Hints, Outcome, Override, PickError, Policies, Tried,
};

use crate::support::{Fleet, MILLI, bare, instance, instances, start};

#[test]
fn what_hangs_on_an_instance_is_made_once_and_lives_as_long_as_its_calls() {
    let (cluster, now) = (cluster::<Arc<()>>(Policies::default()), start());
    let made = AtomicU32::new(0);
    let make = |_: &Instance| {
        made.fetch_add(1, Ordering::Relaxed);
        Arc::new(())
    };
    assert_eq!(cluster.replace(now, instances(1), make).added.len(), 1);
    let picked = cluster.pick(now, 1, &Tried::default(), &Hints::default()).unwrap();
    let data = Arc::clone(picked.data());
    assert!(cluster.replace(now, vec![instance(0).with_weight(2)], make).added.is_empty());
    assert_eq!(made.load(Ordering::Relaxed), 1);

    let left = cluster.replace(now, vec![], make);
    assert!(Arc::ptr_eq(left.removed[0].data(), &data));
    drop(left);
    assert_eq!(picked.instance().weight, 1, "as it was picked");
    assert_eq!(Arc::strong_count(&data), 2);
    picked.finish(now, Outcome::Success, MILLI);
    assert_eq!(Arc::strong_count(&data), 1);
}

#[test]
fn an_instance_at_another_address_or_in_another_life_is_another() {
    let (cluster, now) = (cluster::<()>(Policies::default()), start());
    let first = cluster.replace(now, [instance(0)], |_| ());
    let mut moved = instance(0);
    moved.endpoint = "127.0.0.1:999".parse().unwrap();
    let second = cluster.replace(now, [moved.clone()], |_| ());
    assert_eq!((second.added.len(), second.removed.len()), (1, 1));
    assert_eq!(second.removed[0].number(), first.added[0].number());
    let third = cluster.replace(now, [moved.with_incarnation(3)], |_| ());
    assert_eq!((third.added.len(), third.removed.len()), (1, 1));
}

#[test]
fn calls_go_on_by_the_set_before_while_a_new_one_is_prepared() {
    let (cluster, now) = (cluster::<()>(Policies::default()), start());
    cluster.replace(now, [instance(0)], |_| ());
    let replaced = cluster.replace(now, instances(2), |_| {
        // Elsewhere, so that a call that waits fails this test and does not hang it.
        let (cluster, (done, is_done)) = (cluster.clone(), mpsc::channel());
        std::thread::spawn(move || {
            for outcome in [Outcome::Failure; 5] {
                let picked = cluster.pick(now, 1, &Tried::default(), &Hints::default()).unwrap();
                assert_eq!(picked.instance().id.as_str(), "i0");
                picked.finish(now, outcome, MILLI);
            }
            assert_eq!(cluster.view(now).instances[0].breaker, "open");
            cluster.override_breaker(now, None, Override::ForcedOpen).unwrap();
            done.send(()).unwrap();
        });
        is_done.recv_timeout(Duration::from_secs(60)).unwrap();
    });
    assert_eq!(replaced.added.len(), 1);
    let view = cluster.view(now);
    assert!(view.instances.iter().all(|it| it.control == "forced_open" && !it.usable), "{view:?}");
    cluster.override_breaker(now, None, Override::Automatic).unwrap();
    assert!(cluster.pick(now, 1, &Tried::default(), &Hints::default()).is_ok());
}

#[test]
fn many_instances_take_long_and_fewer_with_the_points_of_many() {
    let weighted = |count, weight: fn(u16) -> u32| -> Vec<Instance> {
        (0..count).map(|number| instance(number).with_weight(weight(number))).collect()
    };
    for (strategy, set, takes_long) in [
        (Strategy::P2c, weighted(200, |_| 1), false),
        (Strategy::P2c, weighted(201, |_| 1), true),
        (Strategy::P2c, weighted(9, |number| 100 + u32::from(number)), false),
        (Strategy::ConsistentHash, weighted(64, |_| 100), false),
        (Strategy::ConsistentHash, weighted(65, |_| 100), true),
        (Strategy::ConsistentHash, weighted(9, |number| 100 + u32::from(number)), true),
    ] {
        let cluster = cluster::<()>(bare(strategy));
        assert_eq!(cluster.takes_long(set.iter()), takes_long, "{strategy:?}, {}", set.len());
    }
}

#[test]
fn an_observer_of_a_new_set_may_bring_the_next() {
    let (seen, now) = (Arc::new(OnceLock::<Cluster<()>>::new()), start());
    let inner = Arc::clone(&seen);
    let observer = move |_: &Event<'_>| {
        let cluster = inner.get().unwrap();
        if cluster.members().len() == 2 {
            cluster.replace(now, instances(3), |_| ());
        }
    };
    let name = "users".parse().unwrap();
    let cluster =
        Cluster::try_observed(name, Policies::default(), now, 3, Arc::new(observer)).unwrap();
    assert!(seen.set(cluster.clone()).is_ok());
    cluster.override_breaker(now, None, Override::ForcedOpen).unwrap();
    cluster.replace(now, instances(2), |_| ());
    assert_eq!(cluster.members().len(), 3);
}

#[test]
fn a_failing_call_to_one_that_has_left_harms_nobody() {
    let mut fleet = Fleet::new(Policies::default(), instances(2));
    let held: Vec<_> = (0..40).map(|_| fleet.pick().unwrap()).collect();
    fleet.replace(vec![instance(7)]);
    for picked in held {
        picked.finish(fleet.now, Outcome::Failure, MILLI);
    }
    assert_eq!(fleet.counts(10)[&7], 10);
    assert_eq!(fleet.view(7).failures_in_a_row, 0);
}

#[test]
fn threads_that_pick_while_the_set_changes_never_get_one_that_had_left() {
    let cluster = cluster::<u16>(Policies::default());
    let now = start();
    cluster.replace(now, [instance(0)], |_| 0);
    // Instances below this have left before a pick that has read it began.
    let least = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            let (cluster, least) = (&cluster, &least);
            scope.spawn(move || {
                for round in 0..3_000 {
                    let floor = least.load(Ordering::SeqCst);
                    let random = thread << 32 | round;
                    let picked = cluster.pick(now, random, &Tried::default(), &Hints::default());
                    let picked = picked.unwrap();
                    assert!(u32::from(*picked.data()) >= floor);
                    let outcome =
                        if round % 4 == 0 { Outcome::Abandoned } else { Outcome::Success };
                    picked.finish(now, outcome, MILLI);
                }
            });
        }
        scope.spawn(|| {
            for step in 1..300 {
                let number = |instance: &Instance| instance.endpoint.port() - 1;
                cluster.replace(now, (step..step + 3).map(instance), number);
                least.store(step.into(), Ordering::SeqCst);
            }
        });
    });
    assert!(cluster.view(now).instances.iter().all(|instance| instance.in_flight == 0));
}

#[test]
fn threads_that_fail_and_probe_leave_a_view_that_adds_up() {
    let mut policies = Policies::default();
    policies.breaker.as_mut().unwrap().open_for = 3 * MILLI;
    let (cluster, now) = (cluster::<u16>(policies), start());
    cluster.replace(now, instances(5), |instance| instance.endpoint.port() - 1);
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let cluster = &cluster;
            scope.spawn(move || {
                for round in 0..2_000 {
                    let now = now + round * MILLI / 4;
                    let random = u64::from(thread) << 32 | u64::from(round);
                    let picked = cluster.pick(now, random, &Tried::default(), &Hints::default());
                    let Ok(picked) = picked else { continue };
                    let fails = *picked.data() < 2 && round < 1_500;
                    let outcome = if fails { Outcome::Failure } else { Outcome::Success };
                    picked.finish(now, outcome, MILLI);
                }
            });
        }
    });
    let later = now + Duration::from_secs(3_600);
    for _ in 0..10 {
        let picked = cluster.pick(later, 1, &Tried::default(), &Hints::default()).unwrap();
        picked.finish(later, Outcome::Success, MILLI);
    }
    let view = cluster.view(later);
    for instance in &view.instances {
        assert!(instance.usable && instance.breaker == "closed", "{instance:?}");
        assert_eq!(instance.in_flight, 0);
    }
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]

    #[test]
    fn a_removed_instance_is_never_picked(
        strategy in prop::sample::select(vec![
            Strategy::P2c, Strategy::RoundRobin, Strategy::Random, Strategy::Weighted,
            Strategy::ConsistentHash,
        ]),
        sets in prop::collection::vec(prop::collection::hash_set(0_u16..20, 0..12), 1..12),
    ) {
        let mut fleet = Fleet::new(bare(strategy), vec![]);
        let mut held = Vec::new();
        for set in sets {
            fleet.replace(set.iter().map(|number| instance(*number)).collect());
            for round in 0..20 {
                let key = (round % 2 == 0).then_some(round);
                let mut hints = Hints::default();
                hints.key = key;
                match fleet.pick_for(&Tried::default(), &hints) {
                    Ok(picked) => {
                        prop_assert!(set.contains(picked.data()));
                        held.push(picked);
                    }
                    Err(error) => prop_assert!(set.is_empty() && error == PickError::Empty),
                }
            }
        }
    }
}

fn cluster<T>(policies: Policies) -> Cluster<T> {
    Cluster::try_new("users".parse().unwrap(), policies, start(), 3).unwrap()
}
