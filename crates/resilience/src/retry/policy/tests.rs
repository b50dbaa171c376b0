//! The retry policy, one rule at a time.

use proptest::prelude::*;

use super::*;

const HALF: u64 = 1 << 63;
const ALL: [Failure; 4] =
    [Failure::Unsent, Failure::Refused { retry_after: None }, Failure::Lost, Failure::Final];

#[test]
fn an_answer_that_stands_is_never_repeated() {
    assert_eq!(decide(&Attempt { failure: Failure::Final, ..attempt() }), stop(Stop::Final));
}

#[test]
fn what_was_sent_is_repeated_only_if_twice_is_as_good_as_once() {
    for failure in [Failure::Lost, Failure::Refused { retry_after: None }] {
        let once = Attempt { failure, repeatable: false, ..attempt() };
        assert_eq!(decide(&once), stop(Stop::NotRepeatable));
        let twice = Attempt { repeatable: true, ..once };
        assert_eq!(decide(&twice), Decision::Retry { after: Duration::from_millis(500) });
    }
}

#[test]
fn an_unsent_call_goes_elsewhere_at_once_whatever_it_does() {
    let unsent = Attempt { failure: Failure::Unsent, repeatable: false, ..attempt() };
    assert_eq!(decide(&unsent), Decision::Retry { after: Duration::ZERO });
    // It is no retry to the target.
    let chained = Attempt { serves_retry: true, number: 3, ..unsent };
    let decision = Policy::default().decide(&chained, HALF, || false);
    assert_eq!(decision, Decision::Retry { after: Duration::ZERO });
}

#[test]
fn an_unsent_call_with_no_elsewhere_is_a_retry_like_any_other() {
    let unsent = Attempt { failure: Failure::Unsent, elsewhere: false, ..attempt() };
    assert_eq!(decide(&unsent), Decision::Retry { after: Duration::from_millis(500) });
    assert_eq!(Policy::default().decide(&unsent, HALF, || false), stop(Stop::Budget));
    assert_eq!(decide(&Attempt { number: 3, ..unsent }), stop(Stop::Tries));
    assert_eq!(decide(&Attempt { serves_retry: true, ..unsent }), stop(Stop::ServesRetry));
}

#[test]
fn redirects_end() {
    let unsent = Attempt { failure: Failure::Unsent, ..attempt() };
    let last = Attempt { redirected: Policy::MOST_REDIRECTED, ..unsent };
    assert_eq!(decide(&last), stop(Stop::Tries));
}

#[test]
fn a_body_that_is_gone_cannot_be_sent_again() {
    for failure in ALL.into_iter().filter(|failure| *failure != Failure::Final) {
        let gone = Attempt { failure, replayable: false, ..attempt() };
        assert_eq!(decide(&gone), stop(Stop::NotReplayable));
    }
}

#[test]
fn three_tries_and_no_more() {
    assert!(matches!(decide(&Attempt { number: 2, ..attempt() }), Decision::Retry { .. }));
    assert_eq!(decide(&Attempt { number: 3, ..attempt() }), stop(Stop::Tries));
}

#[test]
fn one_try_switches_everything_off() {
    let policy = Policy { tries: 1, ..Policy::default() };
    for failure in ALL.into_iter().filter(|failure| *failure != Failure::Final) {
        let attempt = Attempt { failure, ..attempt() };
        assert_eq!(policy.decide(&attempt, HALF, || true), stop(Stop::Tries));
    }
}

#[test]
fn a_hop_that_serves_a_retry_does_not_retry() {
    assert_eq!(decide(&Attempt { serves_retry: true, ..attempt() }), stop(Stop::ServesRetry));
}

#[test]
fn retry_after_is_waited_for_with_jitter_up_to_a_cap() {
    let refused = |seconds| {
        let retry_after = Some(Duration::from_secs(seconds));
        decide(&Attempt { failure: Failure::Refused { retry_after }, ..attempt() })
    };
    assert_eq!(refused(2), Decision::Retry { after: Duration::from_millis(2_500) });
    assert_eq!(refused(6), stop(Stop::RetryAfter));
}

#[test]
fn a_wait_past_the_deadline_is_not_begun() {
    let left = Duration::from_millis(500);
    assert_eq!(decide(&Attempt { left, ..attempt() }), stop(Stop::Deadline));
    let left = Duration::from_millis(501);
    assert!(matches!(decide(&Attempt { left, ..attempt() }), Decision::Retry { .. }));
}

#[test]
fn an_empty_budget_stops_the_retry() {
    assert_eq!(Policy::default().decide(&attempt(), HALF, || false), stop(Stop::Budget));
}

fn attempts() -> impl Strategy<Value = Attempt> {
    let failure = prop_oneof![
        Just(Failure::Unsent),
        Just(Failure::Lost),
        Just(Failure::Final),
        (0_u64..10).prop_map(|seconds| Failure::Refused {
            retry_after: Some(Duration::from_secs(seconds))
        }),
        Just(Failure::Refused { retry_after: None }),
    ];
    let facts = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (failure, 1_u32..6, 0_u32..12, facts, 0_u64..20_000).prop_map(
        |(failure, number, redirected, (repeatable, replayable, elsewhere, serves_retry), left)| {
            let left = Duration::from_millis(left);
            Attempt {
                number,
                redirected,
                failure,
                repeatable,
                replayable,
                elsewhere,
                serves_retry,
                left,
            }
        },
    )
}

proptest! {
    #[test]
    fn nothing_is_taken_from_the_budget_unless_the_call_is_repeated(
        attempt in attempts(), random: u64,
    ) {
        let mut taken = 0;
        let decision = Policy::default().decide(&attempt, random, || {
            taken += 1;
            true
        });
        let is_retry = matches!(decision, Decision::Retry { .. });
        prop_assert_eq!(taken, u32::from(is_retry && !attempt.is_redirected()));
    }

    #[test]
    fn what_may_have_happened_is_never_repeated_without_leave(
        attempt in attempts(), random: u64,
    ) {
        let attempt = Attempt { repeatable: false, ..attempt };
        if let Decision::Retry { .. } = Policy::default().decide(&attempt, random, || true) {
            prop_assert_eq!(attempt.failure, Failure::Unsent);
        }
    }

    #[test]
    fn a_wait_always_ends_before_the_deadline(attempt in attempts(), random: u64) {
        if let Decision::Retry { after } = Policy::default().decide(&attempt, random, || true) {
            prop_assert!(after < attempt.left);
        }
    }
}

/// A first try of a call that may be repeated, refused by one of several instances.
fn attempt() -> Attempt {
    Attempt {
        number: 1,
        redirected: 0,
        failure: Failure::Refused { retry_after: None },
        repeatable: true,
        replayable: true,
        elsewhere: true,
        serves_retry: false,
        left: Duration::from_secs(15),
    }
}

/// With a random number in the middle and money in the budget.
fn decide(attempt: &Attempt) -> Decision {
    Policy::default().decide(attempt, HALF, || true)
}

fn stop(stop: Stop) -> Decision {
    Decision::Stop(stop)
}
