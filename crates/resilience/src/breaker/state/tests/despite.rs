//! Calls made although the breaker is open, and open times cut short.

use super::*;

#[test]
fn a_call_made_despite_an_open_breaker_closes_it_by_success_and_changes_nothing_by_failure() {
    let (mut rules, now) = (opened(1), start());
    let despite = |rules: &mut Rules| match rules.admit_despite(now).0.unwrap() {
        (ticket, true) => ticket,
        (_, false) => panic!("it is open"),
    };
    let (bad, good) = (despite(&mut rules), despite(&mut rules));
    assert_eq!(end(&mut rules, now, bad, Outcome::Failure), None);
    assert_eq!(rules.check(now).unwrap_err().retry_after, OPEN_FOR);
    assert!(end(&mut rules, now, good, Outcome::Success).is_some());
    assert_eq!(rules.state(now), State::Closed);
}

#[test]
fn a_call_made_despite_probes_in_flight_is_a_probe_too() {
    let (mut rules, later) = (opened(1), start() + OPEN_FOR);
    let (probe, _) = rules.admit_despite(later).0.unwrap();
    assert_eq!(rules.state(later), State::HalfOpen);
    let (second, is_despite) = rules.admit_despite(later).0.unwrap();
    assert!(!is_despite, "it decides as the first does");
    end(&mut rules, later, probe, Outcome::Abandoned);
    assert!(rules.check(later).is_err(), "the second is still under way");
    end(&mut rules, later, second, Outcome::Failure);
    assert_eq!(rules.check(later).unwrap_err().retry_after, OPEN_FOR);
}

#[test]
fn nothing_is_admitted_despite_an_operators_word() {
    let (mut rules, now) = (rules(1, 1), start());
    rules.control_by(Override::ForcedOpen);
    assert!(rules.admit_despite(now).0.is_err());
    rules.control_by(Override::ForcedClosed);
    assert!(rules.admit_despite(now).0.is_ok());
}

#[test]
fn an_open_time_can_be_cut_short_and_not_made_longer() {
    let (mut rules, now) = (opened(1), start());
    rules.probe_within(now, OPEN_FOR * 2);
    assert_eq!(rules.check(now).unwrap_err().retry_after, OPEN_FOR);
    rules.probe_within(now, OPEN_FOR / 12);
    assert_eq!(rules.check(now).unwrap_err().retry_after, OPEN_FOR / 12);
    let mut closed = self::rules(1, 1);
    closed.probe_within(now, Duration::ZERO);
    assert_eq!(closed.state(now), State::Closed);
}
