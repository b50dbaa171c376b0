//! The breaker's rules, without a clock or a lock.

use proptest::prelude::*;

use super::*;
use crate::breaker::SlowCalls;

mod broken_answers;
mod despite;

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
    assert_eq!(end(&mut rules, now, ticket, Outcome::Abandoned), None);
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
    assert_eq!(rules.admit(later).0.unwrap_err().retry_after, Settings::PROBE_PATIENCE);
    end(&mut rules, later, ticket, Outcome::Abandoned);
    assert!(rules.admit(later).0.is_ok());
}

#[test]
fn a_probe_that_says_nothing_keeps_others_away_for_ten_seconds_and_no_longer() {
    let (mut rules, later) = (opened(1), start() + OPEN_FOR);
    let quiet = rules.admit(later).0.unwrap();
    let patience = Settings::PROBE_PATIENCE;
    let soon = later + patience - Duration::from_millis(1);
    assert_eq!(rules.check(soon).unwrap_err().retry_after, Duration::from_millis(1));
    let second = rules.admit(later + patience).0.unwrap();
    assert!(rules.admit(later + patience).0.is_err(), "the second has its time, too");
    end(&mut rules, later + patience, quiet, Outcome::Abandoned);
    assert!(rules.check(later + patience).is_err(), "the second is still under way");
    end(&mut rules, later + patience, second, Outcome::Success);
    assert_eq!(rules.state(later + patience), State::Closed);
}

#[test]
fn ignores_an_answer_older_than_the_phase() {
    let (mut rules, now) = (rules(1, 1), start());
    let early = rules.admit(now).0.unwrap();
    fail(&mut rules, now);
    assert_eq!(end(&mut rules, now, early, Outcome::Success), None);
    assert_eq!(rules.state(now), State::Open);
    let later = now + OPEN_FOR;
    let _probe = rules.admit(later).0.unwrap();
    assert_eq!(end(&mut rules, later, early, Outcome::Success), None);
    assert_eq!(end(&mut rules, later, early, Outcome::Abandoned), None);
    assert!(rules.admit(later).0.is_err());
}

#[test]
fn an_open_time_too_long_for_the_clock_stays_open() {
    let settings = Settings::default().with_failure_threshold(1).with_open_for(Duration::MAX);
    let (mut rules, now) = (Rules::new(settings), start());
    fail(&mut rules, now);
    assert_eq!(rules.state(now + Duration::from_secs(86_400 * 365)), State::Open);
}

#[test]
fn opens_at_the_share_of_failures_though_none_are_in_a_row() {
    let (mut rules, now) = (shares(), start());
    // Nine of nineteen: too few calls yet. The twentieth is a failure.
    for call in 0..19 {
        let change = if call % 2 == 0 { succeed(&mut rules, now) } else { fail(&mut rules, now) };
        assert_eq!(change, None);
    }
    let change = fail(&mut rules, now).unwrap();
    assert_eq!((change.to, change.cause), (State::Open, Cause::FailureRatio));
}

#[test]
fn a_share_just_under_the_limit_does_not_open() {
    let (mut rules, now) = (shares(), start());
    (0..51).for_each(|_| assert_eq!(succeed(&mut rules, now), None));
    (0..50).for_each(|_| assert_eq!(fail(&mut rules, now), None));
    assert_eq!(fail(&mut rules, now).unwrap().cause, Cause::FailureRatio);
}

#[test]
fn calls_that_have_left_the_window_are_in_no_share() {
    let (mut rules, now) = (shares(), start());
    (0..19).for_each(|_| assert_eq!(fail(&mut rules, now), None));
    let later = now + Duration::from_secs(10);
    assert_eq!(fail(&mut rules, later), None);
    assert_eq!(rules.status(later).calls, 1);
}

#[test]
fn a_success_opens_nothing_though_it_makes_up_the_number() {
    let (mut rules, now) = (shares(), start());
    (0..19).for_each(|_| assert_eq!(fail(&mut rules, now), None));
    assert_eq!(succeed(&mut rules, now), None);
    assert_eq!(fail(&mut rules, now).unwrap().to, State::Open);
}

#[test]
fn the_rule_on_shares_can_be_switched_off() {
    let settings = Settings::default().with_failure_percent(None);
    let (mut rules, now) = (Rules::new(settings.with_failure_threshold(u32::MAX)), start());
    (0..1000).for_each(|_| assert_eq!(fail(&mut rules, now), None));
    assert_eq!(rules.status(now).calls, 0);
}

#[test]
fn slow_calls_open_only_if_asked() {
    let (slow, now) = (Duration::from_secs(2), start());
    let take = |rules: &mut Rules, took: Duration| {
        let ticket = rules.admit(now).0.unwrap();
        rules.record(now, ticket, false, took)
    };
    let mut rules = shares();
    (0..100).for_each(|_| assert_eq!(take(&mut rules, slow), None));
    let asked = Some(SlowCalls { at_least: slow, percent: 30 });
    let mut rules = Rules::new(Settings::default().with_slow(asked));
    (0..14).for_each(|_| assert_eq!(take(&mut rules, slow - Duration::from_nanos(1)), None));
    (0..5).for_each(|_| assert_eq!(take(&mut rules, slow), None));
    let change = take(&mut rules, slow).unwrap();
    assert_eq!((change.to, change.cause), (State::Open, Cause::SlowCalls));
}

#[test]
fn a_slow_probe_does_not_close() {
    let at_least = Duration::from_secs(2);
    let settings = Settings::default().with_failure_threshold(1).with_open_for(OPEN_FOR);
    let mut rules = Rules::new(settings.with_slow(Some(SlowCalls { at_least, percent: 50 })));
    fail(&mut rules, start());
    let later = start() + OPEN_FOR;
    let ticket = rules.admit(later).0.unwrap();
    let change = rules.record(later, ticket, false, at_least).unwrap();
    assert_eq!((change.to, change.cause), (State::Open, Cause::ProbeFailed));
}

#[test]
fn shares_begin_anew_when_it_closes() {
    let (mut rules, now) = (shares(), start());
    (0..10).for_each(|_| assert_eq!(succeed(&mut rules, now), None));
    (0..9).for_each(|_| assert_eq!(fail(&mut rules, now), None));
    assert_eq!(fail(&mut rules, now).unwrap().to, State::Open);
    // Within the window, because the open time is short.
    let later = now + Duration::from_secs(1);
    assert_eq!(succeed(&mut rules, later).unwrap().cause, Cause::ProbeSucceeded);
    assert_eq!(fail(&mut rules, later), None);
    assert_eq!(rules.status(later).calls, 1);
}

#[test]
fn forced_open_rejects_and_forced_closed_admits_whatever_the_answers() {
    let (mut rules, now) = (rules(1, 1), start());
    let change = rules.control_by(Override::ForcedOpen).unwrap();
    assert_eq!((change.from, change.to), (State::Closed, State::Open));
    assert_eq!((change.cause, change.control), (Cause::Overridden, Override::ForcedOpen));
    let later = now + 100 * OPEN_FOR;
    assert_eq!(rules.state(later), State::Open);
    assert_eq!(rules.admit(later).0.unwrap_err().retry_after, OPEN_FOR);
    assert_eq!(rules.control_by(Override::ForcedClosed).unwrap().to, State::Closed);
    (0..100).for_each(|_| assert_eq!(fail(&mut rules, now), None));
    assert_eq!(rules.status(now).control, Override::ForcedClosed);
}

#[test]
fn an_override_is_announced_once_and_handed_back_it_begins_anew() {
    let (mut rules, now) = (opened(1), start());
    let early = rules.admit(now + OPEN_FOR).0.unwrap();
    let change = rules.control_by(Override::ForcedOpen).unwrap();
    assert_eq!((change.from, change.to), (State::HalfOpen, State::Open));
    assert_eq!(rules.control_by(Override::ForcedOpen), None);
    rules.abandon(early);
    assert_eq!(rules.control_by(Override::Automatic).unwrap().to, State::Closed);
    assert_eq!(rules.control_by(Override::Automatic), None);
    assert_eq!(fail(&mut rules, now).unwrap().to, State::Open);
}

#[test]
fn a_reset_closes_but_lifts_no_override() {
    let mut rules = opened(1);
    let change = rules.reset().unwrap();
    assert_eq!((change.to, change.cause), (State::Closed, Cause::Reset));
    assert_eq!(rules.reset(), None);
    rules.control_by(Override::ForcedOpen);
    assert_eq!(rules.reset(), None);
    assert_eq!(rules.control(), Override::ForcedOpen);
}

#[test]
fn a_reset_forgets_what_was_counted_and_what_is_in_flight() {
    let (mut rules, now) = (rules(2, 1), start());
    fail(&mut rules, now);
    let early = rules.admit(now).0.unwrap();
    rules.reset();
    assert_eq!(end(&mut rules, now, early, Outcome::Failure), None);
    assert_eq!(fail(&mut rules, now), None);
    assert_eq!(fail(&mut rules, now).unwrap().to, State::Open);
}

#[test]
fn other_settings_go_for_the_next_call() {
    let (mut rules, now) = (rules(5, 1), start());
    (0..2).for_each(|_| assert_eq!(fail(&mut rules, now), None));
    rules.reconfigure(Settings::default().with_failure_threshold(3));
    assert_eq!(fail(&mut rules, now).unwrap().to, State::Open);
    let left = rules.admit(now).0.unwrap_err().retry_after;
    assert_eq!(left, Settings::default().open_for);
}

#[test]
fn another_window_begins_to_count_anew() {
    let (mut rules, now) = (shares(), start());
    (0..10).for_each(|_| assert_eq!(fail(&mut rules, now), None));
    rules.reconfigure(rules.settings().clone().with_probes(2));
    assert_eq!(rules.status(now).failures, 10);
    rules.reconfigure(rules.settings().clone().with_window(Duration::from_secs(5), 20));
    assert_eq!(rules.status(now).failures, 0);
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
    fn never_more_than_the_bound_of_probes_but_one_for_each_that_was_waited_for_in_vain(
        steps in steps(), probes in 1_u32..4,
    ) {
        let (mut rules, mut now) = (rules(2, probes), start());
        let mut in_flight: Vec<(Ticket, State)> = Vec::new();
        let mut first_probe = now;
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
                    end(&mut rules, now, ticket, outcome);
                }
                Step::Record(..) => (),
            }
            let probing = in_flight
                .iter()
                .filter(|(ticket, state)| {
                    *ticket == Ticket(rules.phases_entered) && *state == State::HalfOpen
                })
                .count();
            if probing == 0 {
                first_probe = now;
            }
            let waited = (now - first_probe).as_nanos() / Settings::PROBE_PATIENCE.as_nanos();
            prop_assert!(probing as u128 <= u128::from(probes) + waited);
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
                    end(&mut rules, now, ticket, outcome)
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
    fn opens_exactly_when_the_share_or_the_row_is_reached(
        calls in prop::collection::vec((any::<bool>(), 0_u64..400), 1..200),
        percent in 1_u32..=100, minimum in 1_u32..30, threshold in 1_u32..12,
    ) {
        let settings = Settings::default().with_failure_threshold(threshold);
        let settings = settings.with_failure_percent(Some(percent));
        let mut rules = Rules::new(settings.with_window(Duration::from_secs(10), minimum));
        // Slots begin with the first call, so a call counts until its second is the tenth.
        let (mut millis, mut log, mut in_a_row) = (0, Vec::new(), 0);
        for (failed, wait) in calls {
            millis += if log.is_empty() { 0 } else { wait };
            log.push((millis / 1000, failed));
            in_a_row = if failed { in_a_row + 1 } else { 0 };
            let window = log.iter().filter(|(second, _)| second + 10 > millis / 1000);
            let (total, bad) = window.fold((0, 0), |(n, bad), (_, f)| (n + 1, bad + u32::from(*f)));
            let share = total >= minimum && bad * 100 >= total * percent;
            let expected = failed && (in_a_row >= threshold || share);
            let now = start() + Duration::from_millis(millis);
            let change = if failed { fail(&mut rules, now) } else { succeed(&mut rules, now) };
            prop_assert_eq!(change.is_some(), expected);
            if expected {
                break;
            }
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
                        end(&mut rules, now, ticket, Outcome::Abandoned);
                    }
                }
                Step::Record(_, outcome) => {
                    if let Ok(ticket) = rules.admit(now).0 {
                        end(&mut rules, now, ticket, outcome);
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

/// Shares only, of 20 calls in 10 s; open for a second.
fn shares() -> Rules {
    let settings = Settings::default().with_failure_threshold(u32::MAX);
    Rules::new(settings.with_open_for(Duration::from_secs(1)))
}

fn fail(rules: &mut Rules, now: Instant) -> Option<Change> {
    let ticket = rules.admit(now).0.unwrap();
    end(rules, now, ticket, Outcome::Failure)
}

fn succeed(rules: &mut Rules, now: Instant) -> Option<Change> {
    let ticket = rules.admit(now).0.unwrap();
    end(rules, now, ticket, Outcome::Success)
}

/// Ends a call that took no time.
fn end(rules: &mut Rules, now: Instant, ticket: Ticket, outcome: Outcome) -> Option<Change> {
    match outcome {
        Outcome::Abandoned => {
            rules.abandon(ticket);
            None
        }
        Outcome::Success => rules.record(now, ticket, false, Duration::ZERO),
        Outcome::Failure => rules.record(now, ticket, true, Duration::ZERO),
    }
}

/// The same instant in all calls of one test thread.
fn start() -> Instant {
    thread_local!(static START: Instant = crate::testing::now());
    START.with(|start| *start)
}
