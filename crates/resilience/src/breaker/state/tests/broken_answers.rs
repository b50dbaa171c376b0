//! Answers that begin well and break off.

use super::*;

#[test]
fn answers_that_begin_well_and_break_off_are_failures_in_a_row() {
    let (mut rules, now) = (rules(3, 1), start());
    for _ in 0..2 {
        assert_eq!(break_off(&mut rules, now), None);
    }
    assert!(break_off(&mut rules, now).is_some());
    assert_eq!(rules.state(now), State::Open);
}

#[test]
fn an_answer_that_ends_well_ends_the_row_of_broken_ones() {
    let (mut rules, now) = (rules(2, 1), start());
    for _ in 0..5 {
        break_off(&mut rules, now);
        succeed(&mut rules, now);
    }
    assert_eq!(rules.state(now), State::Closed);
}

#[test]
fn a_broken_answer_counts_once_in_the_share_and_as_a_failure() {
    let (mut rules, now) = (shares(), start());
    break_off(&mut rules, now);
    let status = rules.status(now);
    assert_eq!((status.calls, status.failures), (1, 1));
    // One whose beginning has left the window brings its call along.
    let ticket = rules.admit(now).0.unwrap();
    let (in_a_row, _) = rules.begin(now, ticket, Duration::ZERO);
    let later = now + rules.settings().window * 2;
    rules.break_off(later, ticket, now, in_a_row);
    let status = rules.status(later);
    assert_eq!((status.calls, status.failures), (1, 1));
}

#[test]
fn an_answer_that_breaks_off_in_another_phase_says_nothing_about_it() {
    let (mut rules, now) = (rules(1, 1), start());
    let ticket = rules.admit(now).0.unwrap();
    let (in_a_row, _) = rules.begin(now, ticket, Duration::ZERO);
    fail(&mut rules, now);
    succeed(&mut rules, now + OPEN_FOR);
    assert_eq!(rules.break_off(now + OPEN_FOR, ticket, now, in_a_row), None);
    assert_eq!(rules.state(now + OPEN_FOR), State::Closed);
}

/// A call whose answer begins well and breaks off.
fn break_off(rules: &mut Rules, now: Instant) -> Option<Change> {
    let ticket = rules.admit(now).0.unwrap();
    let (in_a_row, change) = rules.begin(now, ticket, Duration::ZERO);
    assert_eq!(change, None);
    rules.break_off(now, ticket, now, in_a_row)
}
