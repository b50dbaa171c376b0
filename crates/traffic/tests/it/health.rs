//! Breakers: of instances, of the service, and by an operator's hand.

use regatta_core::InstanceId;
use regatta_resilience::{breaker, outlier};
use regatta_traffic::balance::Strategy;
use regatta_traffic::cluster::{Hints, Outcome, Override, PickError, Policies, State, Tried, What};

use crate::support::{Fleet, MILLI, SECOND, instance, instances, with_breakers};

#[test]
fn an_open_breaker_gets_no_call_and_then_one_probe() {
    let mut fleet = Fleet::new(with_breakers(), instances(2));
    fleet.fail(0, 5);
    assert_eq!(fleet.view(0).breaker, "open");
    assert!((0..50).all(|_| fleet.call(Outcome::Success) == Ok(1)));
    fleet.wait(59 * SECOND);
    assert!((0..50).all(|_| fleet.call(Outcome::Success) == Ok(1)));
    fleet.wait(SECOND);
    // The next call is the probe, and none goes there while it is in flight.
    let probe = fleet.pick().unwrap();
    assert_eq!(*probe.data(), 0);
    assert!((0..50).all(|_| fleet.call(Outcome::Success) == Ok(1)));
    probe.finish(fleet.now, Outcome::Success, MILLI);
    assert_eq!(fleet.view(0).breaker, "closed");
    assert_eq!(fleet.counts(50).len(), 2);
}

#[test]
fn a_failed_probe_opens_it_again() {
    let mut fleet = Fleet::new(with_breakers(), instances(2));
    fleet.fail(0, 5);
    fleet.wait(60 * SECOND);
    assert_eq!(fleet.call(Outcome::Failure), Ok(0));
    assert!((0..50).all(|_| fleet.call(Outcome::Success) == Ok(1)));
    fleet.wait(60 * SECOND);
    assert_eq!(fleet.call(Outcome::Success), Ok(0));
}

#[test]
fn an_abandoned_probe_lets_another_call_probe() {
    let mut fleet = Fleet::new(with_breakers(), instances(1));
    fleet.fail(0, 5);
    fleet.wait(60 * SECOND);
    drop(fleet.pick().unwrap());
    let probe = fleet.pick().unwrap();
    let busy = PickError::AllOpen { retry_after: 10 * SECOND };
    assert_eq!(fleet.pick().unwrap_err(), busy);
    probe.finish(fleet.now, Outcome::Success, MILLI);
    assert!(fleet.pick().is_ok());
}

#[test]
fn a_quiet_probe_does_not_keep_the_instance_out_for_ever() {
    let mut fleet = Fleet::new(with_breakers(), instances(1));
    fleet.fail(0, 5);
    fleet.wait(60 * SECOND);
    let quiet = fleet.pick().unwrap();
    assert!(fleet.pick().is_err());
    fleet.wait(10 * SECOND);
    assert_eq!(fleet.call(Outcome::Success), Ok(0));
    assert!(fleet.pick().is_ok());
    drop(quiet);
    assert!(fleet.pick().is_ok());
}

#[test]
fn a_call_that_was_given_up_says_how_long_it_waited_and_nothing_else() {
    let mut fleet = Fleet::new(with_breakers(), instances(2));
    for _ in 0..50 {
        let picked = fleet.pick().unwrap();
        match *picked.data() {
            0 => picked.give_up(fleet.now, 50 * MILLI),
            _ => drop(picked.finish(fleet.now, Outcome::Success, MILLI)),
        }
    }
    let view = fleet.cluster.view(fleet.now);
    assert!(view.instances.iter().all(|one| one.breaker == "closed"));
    let to_the_slow = (0..100).filter(|_| fleet.call(Outcome::Success) == Ok(0)).count();
    assert!(to_the_slow < 40, "{to_the_slow}");
    // Less than what is known is no news.
    let before = fleet.cluster.view(fleet.now).instances[1].latency_ms;
    let quick = loop {
        let picked = fleet.pick().unwrap();
        if *picked.data() == 1 {
            break picked;
        }
        drop(picked);
    };
    quick.give_up(fleet.now, MILLI / 100);
    assert_eq!(fleet.cluster.view(fleet.now).instances[1].latency_ms, before);
}

#[test]
fn a_view_says_what_a_breaker_counts() {
    let mut policies = Policies::default();
    policies.outlier = None;
    let mut fleet = Fleet::new(policies, instances(1));
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Failure] {
        fleet.pick().unwrap().finish(fleet.now, outcome, MILLI);
    }
    let view = fleet.cluster.view(fleet.now);
    for counted in [&view.counted, &view.instances[0].counted] {
        assert_eq!((counted.calls, counted.failures, counted.slow), (3, 2, 0));
        assert_eq!(counted.probe_in_ms, None);
    }
    assert_eq!(view.instances[0].counted.failures_in_a_row, 2);
}

#[test]
fn a_call_says_what_it_changed_about_the_breaker() {
    let mut fleet = Fleet::new(with_breakers(), instances(1));
    let mut said = Vec::new();
    for _ in 0..5 {
        said.push(fleet.pick().unwrap().finish(fleet.now, Outcome::Failure, MILLI));
    }
    let breakers: Vec<_> = said.iter().map(|effect| effect.breaker).collect();
    assert_eq!(breakers, [None, None, None, None, Some(State::Open)]);
    assert!(said.iter().all(|effect| !effect.ejected));
    assert_eq!(fleet.view(0).counted.probe_in_ms, Some(60_000));
    fleet.wait(60 * SECOND);
    let probe = fleet.pick().unwrap();
    assert!(probe.is_probe());
    assert_eq!(probe.finish(fleet.now, Outcome::Success, MILLI).breaker, Some(State::Closed));
    assert_eq!(fleet.view(0).counted.probe_in_ms, None);
    assert!(!fleet.pick().unwrap().is_probe());
}

#[test]
fn a_probe_is_no_second_try_and_goes_to_no_other_version() {
    let mut fleet = Fleet::new(
        with_breakers(),
        vec![instance(0).with_version("v1"), instance(1).with_version("v2"), instance(2)],
    );
    fleet.fail(0, 5);
    fleet.wait(60 * SECOND);
    let mut tried = Tried::default();
    let first = fleet.cluster.members().into_iter().find(|member| *member.data() == 0).unwrap();
    tried.insert(&first);
    assert_ne!(*fleet.pick_for(&tried, &Hints::default()).unwrap().data(), 0);

    let versions = || vec![instance(0).with_version("v1"), instance(1).with_version("v2")];
    let mut fleet = Fleet::new(with_breakers(), versions());
    fleet.fail(0, 5);
    fleet.wait(60 * SECOND);
    let second = Hints::default().with_subset("v2");
    assert_eq!(*fleet.pick_for(&Tried::default(), &second).unwrap().data(), 1);
    // A version without a weight is asked for by nobody, and so not probed by chance.
    let mut policies = with_breakers();
    policies.subsets = std::sync::Arc::new([("v2".into(), 100)].into());
    let mut fleet = Fleet::new(policies, versions());
    let first = Hints::default().with_subset("v1");
    for _ in 0..5 {
        let picked = fleet.pick_for(&Tried::default(), &first).unwrap();
        picked.finish(fleet.now, Outcome::Failure, MILLI);
    }
    fleet.wait(60 * SECOND);
    assert_eq!(fleet.call(Outcome::Success), Ok(1));
}

#[test]
fn when_all_are_open_the_caller_is_told_when_one_is_not() {
    let mut policies = with_breakers();
    let mut limits = outlier::Settings::default();
    (limits.consecutive_failures, limits.success_rate) = (u32::MAX, None);
    (limits.max_ejected_percent, limits.panic_percent) = (100, 0);
    policies.outlier = Some(limits);
    let mut fleet = Fleet::new(policies, instances(2));
    fleet.fail(0, 5);
    fleet.wait(10 * SECOND);
    fleet.fail(1, 5);
    let error = fleet.pick().unwrap_err();
    assert_eq!(error.retry_after(), Some(50 * SECOND));
    assert_eq!(error.name(), "breaker_open");
    assert!(!fleet.cluster.has_another(fleet.now, &Tried::default(), &Hints::default()));
    fleet.wait(50 * SECOND);
    assert!(fleet.cluster.has_another(fleet.now, &Tried::default(), &Hints::default()));
    assert_eq!(fleet.call(Outcome::Success), Ok(0));
}

#[test]
fn an_instance_that_was_restarted_begins_with_a_closed_breaker() {
    let mut fleet = Fleet::new(with_breakers(), vec![instance(0).with_incarnation(1)]);
    fleet.fail(0, 5);
    assert!(fleet.pick().is_err());
    fleet.replace(vec![instance(0).with_incarnation(2)]);
    assert_eq!(fleet.call(Outcome::Success), Ok(0));
}

#[test]
fn an_instance_that_left_and_came_back_begins_with_a_closed_breaker() {
    let mut fleet = Fleet::new(with_breakers(), instances(2));
    fleet.fail(0, 5);
    fleet.replace(vec![instance(1)]);
    fleet.replace(instances(2));
    assert_eq!(fleet.view(0).breaker, "closed");
    assert_eq!(fleet.counts(50).len(), 2);
}

#[test]
fn an_instance_that_stays_keeps_its_breaker_also_if_its_attributes_change() {
    let mut fleet = Fleet::new(with_breakers(), instances(2));
    fleet.fail(0, 5);
    let number = fleet.cluster.members()[0].number();
    fleet.replace(vec![instance(0).with_weight(9).with_version("v2"), instance(1), instance(2)]);
    assert_eq!(fleet.cluster.members()[0].number(), number);
    assert_eq!((fleet.view(0).breaker, fleet.view(0).weight), ("open", 9));
    assert!((0..50).all(|_| fleet.call(Outcome::Success) != Ok(0)));
    fleet.wait(60 * SECOND);
    assert_eq!(fleet.call(Outcome::Success), Ok(0));
}

#[test]
fn the_service_as_a_whole_is_left_alone_when_nearly_everything_fails() {
    let mut policies = with_breakers();
    policies.breaker = None;
    policies.service_breaker = Policies::default().service_breaker;
    let mut fleet = Fleet::new(policies, instances(50));
    for _ in 0..99 {
        fleet.call(Outcome::Failure).unwrap();
    }
    assert!(fleet.pick().is_ok());
    fleet.call(Outcome::Failure).unwrap();
    assert_eq!(fleet.pick().unwrap_err(), PickError::ServiceOpen { retry_after: 5 * SECOND });
    assert_eq!(fleet.cluster.view(fleet.now).breaker, "open");
    let told = fleet.told();
    assert!(matches!(told[..], [(None, What::Breaker(change))] if change.to == State::Open));
    fleet.wait(5 * SECOND);
    fleet.call(Outcome::Success).unwrap();
    assert_eq!(fleet.counts(50).values().sum::<u32>(), 50);
}

#[test]
fn a_probe_of_the_service_that_finds_no_instance_or_no_answer_lets_another_call_probe() {
    let mut policies = with_breakers();
    policies.breaker = None;
    policies.service_breaker = Some(breaker::Settings::default());
    let mut fleet = Fleet::new(policies, instances(1));
    fleet.fail(0, 5);
    fleet.wait(60 * SECOND);
    let everyone = fleet.others(9);
    let nobody = fleet.pick_for(&everyone, &Hints::default()).unwrap_err();
    assert_eq!(nobody, PickError::AllTried);
    let dropped = fleet.pick().unwrap();
    assert!(matches!(fleet.pick().unwrap_err(), PickError::ServiceOpen { .. }));
    drop(dropped);
    assert_eq!(fleet.call(Outcome::Success), Ok(0));
    assert_eq!(fleet.cluster.view(fleet.now).breaker, "closed");
}

#[test]
fn a_new_instance_is_a_new_chance_for_the_service() {
    let mut policies = with_breakers();
    policies.breaker = None;
    policies.service_breaker = Some(breaker::Settings::default());
    let mut fleet = Fleet::new(policies, instances(1));
    fleet.fail(0, 5);
    assert!(matches!(fleet.pick().unwrap_err(), PickError::ServiceOpen { .. }));
    fleet.replace(instances(2));
    assert!(fleet.pick().is_ok());
}

#[test]
fn an_operator_takes_one_instance_out_and_gives_it_back() {
    let mut fleet = Fleet::new(with_breakers(), instances(2));
    let id = InstanceId::new("i0");
    fleet.cluster.override_breaker(fleet.now, Some(&id), Override::ForcedOpen).unwrap();
    assert_eq!(fleet.view(0).control, "forced_open");
    fleet.wait(3_600 * SECOND);
    assert!((0..50).all(|_| fleet.call(Outcome::Success) == Ok(1)));
    fleet.cluster.override_breaker(fleet.now, Some(&id), Override::Automatic).unwrap();
    assert_eq!(fleet.counts(50).len(), 2);
    let unknown = InstanceId::new("i9");
    let error = fleet.cluster.override_breaker(fleet.now, Some(&unknown), Override::ForcedOpen);
    assert!(error.unwrap_err().to_string().contains("has no instance `i9`"));
}

#[test]
fn an_operator_takes_all_out_also_those_that_come() {
    let mut fleet = Fleet::new(Policies::default(), instances(2));
    fleet.cluster.override_breaker(fleet.now, None, Override::ForcedOpen).unwrap();
    fleet.replace(instances(3));
    assert_eq!(fleet.view(2).control, "forced_open");
    assert!(fleet.pick().is_err());
    fleet.cluster.override_breaker(fleet.now, None, Override::Automatic).unwrap();
    assert_eq!(fleet.counts(100).len(), 3);
}

#[test]
fn an_operator_keeps_calls_flowing_whatever_fails() {
    let mut policies = Policies::default();
    policies.outlier = None;
    let mut fleet = Fleet::new(policies, instances(2));
    fleet.cluster.override_breaker(fleet.now, None, Override::ForcedClosed).unwrap();
    for _ in 0..500 {
        fleet.call(Outcome::Failure).unwrap();
    }
    assert_eq!(fleet.cluster.view(fleet.now).control, "forced_closed");
}

#[test]
fn each_change_is_announced_once_and_in_order() {
    let mut fleet = Fleet::new(with_breakers(), instances(2));
    fleet.fail(0, 5);
    fleet.wait(60 * SECOND);
    fleet.call(Outcome::Success).unwrap();
    let change = |(instance, what): (Option<String>, What)| match what {
        What::Breaker(change) => (instance.unwrap(), change.to.name()),
        other => panic!("{other:?}"),
    };
    let changes: Vec<_> = fleet.told().into_iter().map(change).collect();
    let expected = ["open", "half_open", "closed"].map(|to| ("i0".to_owned(), to));
    assert_eq!(changes, expected);
}

#[test]
fn other_settings_hold_from_the_next_failure_on() {
    let mut fleet = Fleet::new(with_breakers(), instances(2));
    fleet.fail(0, 2);
    let mut policies = with_breakers();
    policies.breaker = Some(breaker::Settings::default().with_failure_threshold(3));
    policies.balance = Strategy::RoundRobin;
    fleet.configure(policies);
    fleet.fail(0, 1);
    assert_eq!(fleet.view(0).breaker, "open");
    assert_eq!(fleet.cluster.view(fleet.now).balance, "round_robin");
    fleet.wait(60 * SECOND);
    assert_eq!(fleet.call(Outcome::Success), Ok(0), "what is due stays due");
}

#[test]
fn other_settings_hold_for_the_service_too() {
    let mut policies = with_breakers();
    policies.breaker = None;
    policies.service_breaker = Some(breaker::Settings::default());
    let mut fleet = Fleet::new(policies.clone(), instances(2));
    fleet.fail(0, 2);
    policies.service_breaker = Some(breaker::Settings::default().with_failure_threshold(3));
    fleet.configure(policies);
    fleet.fail(0, 1);
    assert!(matches!(fleet.pick().unwrap_err(), PickError::ServiceOpen { .. }));
}
