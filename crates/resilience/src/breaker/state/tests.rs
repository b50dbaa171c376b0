//! The breaker's rules, without a clock or a lock.

use proptest::prelude::*;

use super::*;

const OPEN_FOR: Duration = Duration::from_secs(60);

#[test]
fn opens_after_the_threshold_of_failures_in_a_row() {
    let (mut rules, now) = (rules(3, 1), start());
    for _ in 0..2 {
        fail(&mut rules, now);
        assert_eq!(rules.state(now), State::Closed);
    }
    fail(&mut rules, now);
    assert_eq!(rules.state(now), State::Open);
}

#[test]
fn a_success_resets_the_count() {
    let (mut rules, now) = (rules(2, 1), start());
    for _ in 0..5 {
        fail(&mut rules, now);
        succeed(&mut rules, now);
    }
    assert_eq!(rules.state(now), State::Closed);
    assert!(rules.at_rest().is_some());
}

#[test]
fn an_abandoned_call_neither_counts_nor_resets() {
    let (mut rules, now) = (rules(2, 1), start());
    fail(&mut rules, now);
    let ticket = rules.admit(now).0.unwrap();
    assert_eq!(rules.record(|| now, ticket, Outcome::Abandoned), None);
    assert_eq!(rules.state(now), State::Closed);
    fail(&mut rules, now);
    assert_eq!(rules.state(now), State::Open);
}

#[test]
fn rejects_at_once_until_the_time_is_over_and_says_how_long_that_is() {
    let (mut rules, now) = (opened(1), start());
    assert_eq!(rules.admit(now).0.unwrap_err().retry_after, OPEN_FOR);
    let later = now + OPEN_FOR - Duration::from_nanos(1);
    assert_eq!(rules.admit(later).0.unwrap_err().retry_after, Duration::from_nanos(1));
    assert!(rules.admit(now + OPEN_FOR).0.is_ok());
}

#[test]
fn a_successful_probe_closes_and_a_failed_one_opens_for_the_whole_time_again() {
    let later = start() + OPEN_FOR;
    let mut rules = opened(1);
    succeed(&mut rules, later);
    assert_eq!(rules.state(later), State::Closed);

    let mut rules = opened(1);
    fail(&mut rules, later);
    assert_eq!(rules.admit(later).0.unwrap_err().retry_after, OPEN_FOR);
}

#[test]
fn an_abandoned_probe_lets_another_through() {
    let (mut rules, later) = (opened(1), start() + OPEN_FOR);
    let ticket = rules.admit(later).0.unwrap();
    assert_eq!(rules.admit(later).0.unwrap_err().retry_after, Duration::ZERO);
    rules.record(|| later, ticket, Outcome::Abandoned);
    assert!(rules.admit(later).0.is_ok());
}

#[test]
fn ignores_an_answer_older_than_the_phase() {
    let (mut rules, now) = (rules(1, 1), start());
    let early = rules.admit(now).0.unwrap();
    fail(&mut rules, now);
    assert_eq!(rules.record(|| now, early, Outcome::Success), None);
    assert_eq!(rules.state(now), State::Open);
    let later = now + OPEN_FOR;
    let _probe = rules.admit(later).0.unwrap();
    assert_eq!(rules.record(|| later, early, Outcome::Success), None);
    assert_eq!(rules.record(|| later, early, Outcome::Abandoned), None);
    assert!(rules.admit(later).0.is_err());
}

#[test]
fn an_open_time_too_long_for_the_clock_stays_open() {
    let settings = Settings::default().with_failure_threshold(1).with_open_for(Duration::MAX);
    let (mut rules, now) = (Rules::new(settings), start());
    fail(&mut rules, now);
    assert_eq!(rules.state(now + Duration::from_secs(86_400 * 365)), State::Open);
}

/// What a caller does next.
#[derive(Clone, Debug)]
enum Step {
    Admit,
    /// Reports on the call in flight of this number, modulo how many there are.
    Record(usize, Outcome),
    Wait(Duration),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome =
        prop_oneof![Just(Outcome::Success), Just(Outcome::Failure), Just(Outcome::Abandoned)];
    let step = prop_oneof![
        4 => Just(Step::Admit),
        4 => (any::<usize>(), outcome).prop_map(|(call, outcome)| Step::Record(call, outcome)),
        1 => (0..90_u64).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds))),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    #[test]
    fn never_more_than_the_bound_of_probes_at_a_time(steps in steps(), probes in 1_u32..4) {
        let (mut rules, mut now) = (rules(2, probes), start());
        let mut in_flight: Vec<(Ticket, State)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(time) => now += time,
                Step::Admit => {
                    let expected = rules.check(now).is_ok();
                    let (admitted, _) = rules.admit(now);
                    prop_assert_eq!(admitted.is_ok(), expected);
                    in_flight.extend(admitted.into_iter().map(|ticket| (ticket, rules.entered())));
                }
                Step::Record(call, outcome) if !in_flight.is_empty() => {
                    let (ticket, _) = in_flight.swap_remove(call % in_flight.len());
                    rules.record(|| now, ticket, outcome);
                }
                Step::Record(..) => (),
            }
            let probing = in_flight
                .iter()
                .filter(|(ticket, state)| {
                    *ticket == Ticket(rules.phases_entered) && *state == State::HalfOpen
                })
                .count();
            prop_assert!(probing <= probes as usize);
        }
    }

    #[test]
    fn changes_follow_each_other_and_are_told_once_each(steps in steps()) {
        let (mut rules, mut now) = (rules(2, 1), start());
        let (mut in_flight, mut state) = (Vec::new(), State::Closed);
        for step in steps {
            let change = match step {
                Step::Wait(time) => {
                    now += time;
                    None
                }
                Step::Admit => {
                    let (admitted, change) = rules.admit(now);
                    in_flight.extend(admitted);
                    change
                }
                Step::Record(call, outcome) if !in_flight.is_empty() => {
                    let ticket = in_flight.swap_remove(call % in_flight.len());
                    rules.record(|| now, ticket, outcome)
                }
                Step::Record(..) => None,
            };
            if let Some(change) = change {
                prop_assert_eq!(change.from, state);
                prop_assert_ne!(change.to, state);
                state = change.to;
            }
            prop_assert_eq!(state, rules.entered());
        }
    }

    #[test]
    fn a_dependency_that_recovers_is_used_again_whatever_happened_before(steps in steps()) {
        let (mut rules, mut now) = (rules(2, 1), start());
        for step in steps {
            match step {
                Step::Wait(time) => now += time,
                // Every call ends, as a permit that is dropped reports.
                Step::Admit => {
                    if let Ok(ticket) = rules.admit(now).0 {
                        rules.record(|| now, ticket, Outcome::Abandoned);
                    }
                }
                Step::Record(_, outcome) => {
                    if let Ok(ticket) = rules.admit(now).0 {
                        rules.record(|| now, ticket, outcome);
                    }
                }
            }
        }
        now += OPEN_FOR;
        succeed(&mut rules, now);
        prop_assert_eq!(rules.state(now), State::Closed);
    }
}

fn rules(failure_threshold: u32, probes: u32) -> Rules {
    let settings = Settings::default().with_failure_threshold(failure_threshold);
    Rules::new(settings.with_open_for(OPEN_FOR).with_probes(probes))
}

/// Opened at the start.
fn opened(probes: u32) -> Rules {
    let mut rules = rules(1, probes);
    fail(&mut rules, start());
    rules
}

fn fail(rules: &mut Rules, now: Instant) {
    let ticket = rules.admit(now).0.unwrap();
    rules.record(|| now, ticket, Outcome::Failure);
}

fn succeed(rules: &mut Rules, now: Instant) {
    let ticket = rules.admit(now).0.unwrap();
    rules.record(|| now, ticket, Outcome::Success);
}

/// The same instant in all calls of one test thread.
fn start() -> Instant {
    thread_local!(static START: Instant = crate::testing::now());
    START.with(|start| *start)
}
