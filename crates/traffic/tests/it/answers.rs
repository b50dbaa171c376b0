//! Answers that last: they weigh on their instance, and may break off.

use regatta_traffic::balance::Strategy;
use regatta_traffic::cluster::{Hints, Outcome, Policies, State, Tried, What};

use crate::support::{Fleet, MILLI, SECOND, bare, instances, with_breakers};

#[test]
fn an_answer_that_has_begun_is_in_flight_until_it_is_left() {
    let mut fleet = Fleet::new(Policies::default(), instances(1));
    let mut picked = fleet.pick().unwrap();
    picked.begin(fleet.now, 7 * MILLI);
    assert_eq!((fleet.view(0).in_flight, fleet.view(0).latency_ms), (1, Some(7.0)));
    // Hours later the latency is that of the head.
    fleet.wait(3_600 * SECOND);
    picked.finish(fleet.now, Outcome::Success, 3_600 * SECOND);
    assert_eq!((fleet.view(0).in_flight, fleet.view(0).latency_ms), (0, None));
}

#[test]
fn an_instance_with_open_streams_is_left_for_those_with_fewer() {
    for strategy in [Strategy::P2c, Strategy::ConsistentHash] {
        let mut fleet = Fleet::new(bare(strategy), instances(4));
        let mut open = Vec::new();
        for _ in 0..200 {
            let one_key = Hints::default().with_key(7);
            let mut picked = fleet.pick_for(&Tried::default(), &one_key).unwrap();
            picked.begin(fleet.now, MILLI);
            open.push(picked);
        }
        let held = [0, 1, 2, 3].map(|number| fleet.view(number).in_flight);
        // By a key all go to its owner until that is a quarter over its share, and so on.
        let most = if strategy == Strategy::P2c { 56 } else { 64 };
        assert!(held.iter().all(|held| *held <= most), "{strategy:?}: {held:?}");
    }
}

#[test]
fn answers_that_begin_well_and_break_off_open_the_breaker_and_eject() {
    let mut fleet = Fleet::new(Policies::default(), instances(4));
    for round in 1..=5 {
        assert_eq!(fleet.view(0).breaker, "closed");
        let others = fleet.others(0);
        let mut picked = fleet.pick_for(&others, &Hints::default()).unwrap();
        assert_eq!(picked.begin(fleet.now, MILLI).breaker, None);
        let changed = picked.finish(fleet.now, Outcome::Failure, MILLI);
        assert_eq!(changed.breaker, (round == 5).then_some(State::Open));
    }
    let view = fleet.view(0);
    assert!(view.ejected_for_ms.is_some() && !view.usable, "{view:?}");
    // One that fails so must not look fast.
    assert!(view.latency_ms.unwrap() > 10.0, "{view:?}");
}

#[test]
fn an_answer_that_begins_well_ends_the_row_although_it_goes_on() {
    let mut policies = with_breakers();
    policies.breaker.as_mut().unwrap().failure_percent = None;
    let mut fleet = Fleet::new(policies, instances(1));
    let mut open = Vec::new();
    for _ in 0..10 {
        fleet.fail(0, 4);
        let mut picked = fleet.pick().unwrap();
        picked.begin(fleet.now, MILLI);
        open.push(picked);
    }
    assert_eq!((fleet.view(0).breaker, fleet.view(0).failures_in_a_row), ("closed", 0));
}

#[test]
fn a_probe_whose_answer_begins_well_closes_the_breaker_at_once() {
    let mut fleet = Fleet::new(with_breakers(), instances(1));
    fleet.fail(0, 5);
    fleet.wait(60 * SECOND);
    let mut probe = fleet.pick().unwrap();
    assert_eq!(probe.begin(fleet.now, MILLI).breaker, Some(State::Closed));
    assert!(fleet.pick().is_ok(), "while it goes on");
    drop(probe);
    assert_eq!(fleet.view(0).breaker, "closed");
}

#[test]
fn what_a_failed_answer_takes_back_counts_for_the_service_too() {
    let mut policies = bare(Strategy::RoundRobin);
    policies.service_breaker = Policies::default().service_breaker;
    let mut fleet = Fleet::new(policies, instances(50));
    for _ in 0..100 {
        let mut picked = fleet.pick().unwrap();
        picked.begin(fleet.now, MILLI);
        picked.finish(fleet.now, Outcome::Failure, MILLI);
    }
    assert!(fleet.pick().is_err());
    let told = fleet.told();
    assert!(matches!(told[..], [(None, What::Breaker(_))]), "{told:?}");
}
