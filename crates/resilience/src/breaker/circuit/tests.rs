//! What a circuit does without its lock, against its rules.

use proptest::prelude::*;

use super::*;
use crate::testing::now;

const OPEN_FOR: Duration = Duration::from_secs(60);

fn circuit(settings: Settings) -> Circuit {
    Circuit::try_new(settings.with_failure_threshold(1).with_open_for(OPEN_FOR))
        .expect("they are valid")
}

fn fail(circuit: &Circuit, now: Instant) {
    let admission = circuit.enter(now).expect("it is not open");
    circuit.record(admission, now, Outcome::Failure);
}

#[test]
fn an_open_breaker_rejects_without_its_lock() {
    let (circuit, now) = (circuit(Settings::default()), now());
    fail(&circuit, now);
    let held = circuit.lock();
    let open = circuit.enter(now + OPEN_FOR / 4).unwrap_err();
    assert_eq!(open.retry_after, OPEN_FOR * 3 / 4);
    drop(held);
}

#[test]
fn a_breaker_at_rest_takes_a_success_without_its_lock() {
    let (circuit, now) = (circuit(Settings::default()), now());
    let first = circuit.enter(now).unwrap();
    circuit.record(first, now, Outcome::Success);
    let held = circuit.lock();
    let mut second = circuit.enter(now).unwrap();
    circuit.begin(&mut second, now);
    circuit.record(second, now, Outcome::Success);
    let third = circuit.enter(now).unwrap();
    circuit.abandon(third);
    drop(held);
    assert_eq!(circuit.status(now).calls, 2);
}

#[test]
fn an_answer_that_breaks_off_long_after_its_call_is_in_the_window_since_it_began() {
    let (circuit, now) = (circuit(Settings::default()), now());
    circuit.reconfigure(Settings::default()).unwrap();
    let mut admission = circuit.enter(now).unwrap();
    let began = now + Duration::from_secs(20);
    circuit.begin(&mut admission, began);
    let broke = began + Duration::from_secs(5);
    circuit.record(admission, broke, Outcome::Failure);
    let status = circuit.status(broke);
    assert_eq!((status.calls, status.failures), (1, 1));
}

#[test]
fn it_is_marked_from_its_opening_until_its_holder_says_otherwise() {
    let (circuit, now) = (circuit(Settings::default()), now());
    assert!(!circuit.is_marked());
    fail(&circuit, now);
    assert!(circuit.is_marked());
    circuit.reset();
    assert!(circuit.is_marked(), "to close takes no mark away");
    circuit.unmark();
    assert!(!circuit.is_marked());
    circuit.control_by(Override::ForcedClosed);
    assert!(!circuit.is_marked(), "it has not left the closed state");
    circuit.control_by(Override::ForcedOpen);
    assert!(circuit.is_marked());
}

proptest! {
    /// What is told without the lock is what the rules say under it.
    #[test]
    fn rejects_as_long_as_its_rules_say_and_no_longer(
        steps in prop::collection::vec((0_u64..40_000, 0_u8..6), 1..60), counts: bool,
    ) {
        let percent = counts.then_some(50);
        let circuit = circuit(Settings::default().with_failure_percent(percent));
        let (mut now, mut held) = (now() + OPEN_FOR, Vec::new());
        for (millis, what) in steps {
            // Time may run back a little.
            now = now + Duration::from_millis(millis) - Duration::from_secs(2);
            let expected = circuit.lock().rules.check(now);
            match (what, circuit.enter(now)) {
                (_, Err(open)) => {
                    prop_assert_eq!(Some(open), expected.err());
                    if what == 0 {
                        circuit.probe_within(now, Duration::from_secs(5));
                    } else if what == 1 {
                        circuit.reset();
                    }
                }
                (what, Ok(admission)) => {
                    prop_assert!(expected.is_ok());
                    match what {
                        0 => held.push(admission),
                        1 => circuit.abandon(admission),
                        2 => circuit.record(admission, now, Outcome::Success),
                        _ => circuit.record(admission, now, Outcome::Failure),
                    }
                }
            }
        }
        held.into_iter().for_each(|admission| circuit.abandon(admission));
    }
}
