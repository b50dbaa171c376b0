//! Ejection of instances that do worse than their peers.

use std::time::Duration;

use regatta_resilience::outlier;
use regatta_traffic::balance::Strategy;
use regatta_traffic::cluster::{EjectionCause, Hints, Outcome, PickError, Policies, Tried, What};

use crate::support::{Fleet, MILLI, SECOND, instances};

#[test]
fn failures_in_a_row_eject_for_longer_each_time() {
    let mut fleet = Fleet::new(ejecting(), instances(4));
    for (times, seconds) in [(1, 30), (2, 60), (3, 90)] {
        fleet.fail(0, 5);
        let time = Duration::from_secs(seconds);
        let cause = EjectionCause::FailuresInARow;
        assert_eq!(told_of(&fleet, 0), [What::Ejected { time, times, cause }]);
        assert_eq!(fleet.view(0).ejected_for_ms, Some(seconds * 1_000));
        fleet.wait(time - MILLI);
        assert!((0..50).all(|_| fleet.call(Outcome::Success) != Ok(0)));
        // The looks forgive; none comes in between here.
        fleet.wait(MILLI);
        assert!(fleet.counts(200)[&0] > 10);
        assert_eq!(told_of(&fleet, 0), [What::Returned]);
    }
}

#[test]
fn the_one_whose_success_rate_is_far_below_its_peers_is_ejected() {
    let mut fleet = one_of_ten_fails_at_times();
    assert!(told_of(&fleet, 3).is_empty(), "compared too early");
    fleet.wait(10 * SECOND);
    fleet.call(Outcome::Success).unwrap();
    let told = told_of(&fleet, 3);
    let rate = EjectionCause::SuccessRate;
    assert!(matches!(told[..], [What::Ejected { cause, .. }] if cause == rate), "{told:?}");
    assert!(!fleet.counts(500).contains_key(&3));
}

#[test]
fn sets_that_change_often_do_not_put_off_the_comparison() {
    let mut fleet = one_of_ten_fails_at_times();
    for _ in 0..2 {
        fleet.replace(instances(10));
        fleet.wait(5 * SECOND);
    }
    fleet.call(Outcome::Success).unwrap();
    assert_eq!(ejected(&fleet), 1);
}

#[test]
fn what_failed_during_an_ejection_is_in_no_row_after_it() {
    let mut fleet = Fleet::new(ejecting(), instances(4));
    let others = fleet.others(0);
    let held = [(); 4].map(|()| fleet.pick_for(&others, &Hints::default()).unwrap());
    fleet.fail(0, 5);
    for picked in held {
        picked.finish(fleet.now, Outcome::Failure, MILLI);
    }
    fleet.wait(30 * SECOND);
    fleet.fail(0, 4);
    assert_eq!(ejected(&fleet), 0);
    fleet.fail(0, 1);
    assert_eq!(ejected(&fleet), 1);
}

#[test]
fn quiet_looks_forgive_what_was() {
    let mut fleet = Fleet::new(ejecting(), instances(4));
    fleet.fail(0, 5);
    fleet.wait(30 * SECOND);
    for _ in 0..3 {
        fleet.wait(10 * SECOND);
        fleet.call(Outcome::Success).unwrap();
    }
    assert_eq!(fleet.view(0).ejections, 0);
    fleet.fail(0, 5);
    assert_eq!(fleet.view(0).ejected_for_ms, Some(30_000));
}

#[test]
fn no_more_than_the_share_are_out_but_one_always_may_be() {
    let mut fleet = Fleet::new(ejecting(), instances(20));
    (0..5).for_each(|number| fleet.fail(number, 5));
    assert_eq!(ejected(&fleet), 2);
    let mut fleet = Fleet::new(ejecting(), instances(2));
    fleet.fail(0, 5);
    fleet.fail(1, 5);
    assert_eq!(ejected(&fleet), 1);
}

#[test]
fn when_members_leave_ejections_end_until_the_share_holds_again() {
    let mut fleet = Fleet::new(ejecting(), instances(20));
    fleet.fail(0, 5);
    fleet.wait(SECOND);
    fleet.fail(1, 5);
    fleet.told();
    fleet.replace(instances(10));
    assert_eq!(ejected(&fleet), 1);
    assert_eq!(told_of(&fleet, 0), [What::Returned]);
    assert!(fleet.view(1).ejected_for_ms.is_some(), "the longer one stays");
    fleet.configure(without());
    assert_eq!(ejected(&fleet), 0);
}

#[test]
fn when_too_few_are_left_all_are_used_again_until_enough_are() {
    let mut policies = ejecting();
    policies.outlier.as_mut().unwrap().max_ejected_percent = 100;
    let mut fleet = Fleet::new(policies, instances(4));
    fleet.fail(0, 5);
    fleet.fail(1, 5);
    assert_eq!(fleet.counts(100).len(), 2);
    fleet.fail(2, 5);
    assert_eq!(fleet.told().last(), Some(&(None, What::Panic(true))));
    assert!(fleet.cluster.view(fleet.now).panic);
    assert_eq!(fleet.counts(400).len(), 4);
    fleet.wait(30 * SECOND);
    assert_eq!(fleet.counts(400).len(), 4);
    assert!(!fleet.cluster.view(fleet.now).panic);
    assert!(fleet.told().contains(&(None, What::Panic(false))));
}

#[test]
fn one_that_is_left_among_many_is_found_and_when_it_was_tried_there_is_no_other() {
    for strategy in [Strategy::P2c, Strategy::RoundRobin, Strategy::ConsistentHash] {
        let mut policies = ejecting();
        policies.balance = strategy;
        let limits = policies.outlier.as_mut().unwrap();
        (limits.max_ejected_percent, limits.panic_percent) = (100, 0);
        let mut fleet = Fleet::new(policies, instances(100));
        (0..99).for_each(|number| fleet.fail(number, 5));
        assert_eq!(fleet.counts(50).into_keys().collect::<Vec<_>>(), [99], "{strategy:?}");
        let mut tried = Tried::default();
        let members = fleet.cluster.members();
        members.iter().filter(|it| *it.data() == 99).for_each(|it| tried.insert(it));
        assert!(!fleet.cluster.has_another(fleet.now, &tried, &Hints::default()));
        assert_eq!(fleet.pick_for(&tried, &Hints::default()).unwrap_err(), PickError::AllTried);
    }
}

#[test]
fn one_alone_is_never_out() {
    let mut fleet = Fleet::new(ejecting(), instances(1));
    fleet.fail(0, 50);
    assert_eq!(fleet.call(Outcome::Success), Ok(0));
}

#[test]
fn without_a_panic_threshold_the_caller_is_told_how_long_it_takes() {
    let mut policies = ejecting();
    policies.outlier.as_mut().unwrap().panic_percent = 0;
    let mut fleet = Fleet::new(policies, instances(1));
    fleet.fail(0, 5);
    assert_eq!(fleet.pick().unwrap_err(), PickError::AllOpen { retry_after: 30 * SECOND });
}

#[test]
fn one_alone_whose_breaker_is_open_stays_out_in_a_panic() {
    let mut fleet = Fleet::new(Policies::default(), instances(1));
    fleet.fail(0, 5);
    assert_eq!(fleet.pick().unwrap_err(), PickError::AllOpen { retry_after: 60 * SECOND });
    fleet.wait(60 * SECOND);
    assert_eq!(fleet.call(Outcome::Success), Ok(0));
}

#[test]
fn an_instance_that_was_restarted_has_a_clean_record() {
    let mut fleet = Fleet::new(ejecting(), instances(4));
    fleet.fail(0, 5);
    let mut restarted = instances(4);
    restarted[0].incarnation = 2;
    fleet.replace(restarted);
    assert_eq!((fleet.view(0).ejected_for_ms, fleet.view(0).ejections), (None, 0));
    assert!(fleet.counts(200).contains_key(&0));
}

#[test]
fn an_abandoned_call_counts_for_nothing() {
    let mut fleet = Fleet::new(ejecting(), instances(4));
    fleet.fail(0, 4);
    let others = fleet.others(0);
    let picked = fleet.pick_for(&others, &Hints::default()).unwrap();
    picked.finish(fleet.now, Outcome::Abandoned, 100 * SECOND);
    assert_eq!((fleet.view(0).failures_in_a_row, fleet.view(0).in_flight), (4, 0));
    assert!(fleet.view(0).latency_ms.unwrap() < 100.0);
    assert_eq!(ejected(&fleet), 0);
}

/// Ejection and nothing else; P2C would leave an instance that fails before there are enough calls
/// to judge it.
fn ejecting() -> Policies {
    let mut policies = crate::support::bare(Strategy::RoundRobin);
    policies.outlier = Some(outlier::Settings::default());
    policies
}

fn without() -> Policies {
    let mut policies = ejecting();
    policies.outlier = None;
    policies
}

fn ejected(fleet: &Fleet) -> usize {
    let view = fleet.cluster.view(fleet.now);
    view.instances.iter().filter(|instance| instance.ejected_for_ms.is_some()).count()
}

/// What was announced about one instance since the last time.
fn told_of(fleet: &Fleet, number: u16) -> Vec<What> {
    let about = Some(format!("i{number}"));
    fleet.told().into_iter().filter(|(of, _)| *of == about).map(|(_, what)| what).collect()
}

/// Ten instances that have been called; a third of what the fourth answers is a failure.
fn one_of_ten_fails_at_times() -> Fleet {
    let mut fleet = Fleet::new(ejecting(), instances(10));
    (0..2_000).for_each(|round| {
        let picked = fleet.pick().unwrap();
        let fails = *picked.data() == 3 && round % 3 == 0;
        let outcome = if fails { Outcome::Failure } else { Outcome::Success };
        picked.finish(fleet.now, outcome, MILLI);
    });
    fleet
}
