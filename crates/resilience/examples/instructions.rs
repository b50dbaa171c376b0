//! Runs one decision so many times, for an instruction count.
//!
//! `valgrind --tool=callgrind target/release/examples/instructions breaker 20000`, built in the
//! profile `bench`; the difference between two numbers of rounds, by that number, is one decision.
//! `cargo xtask bench resilience --instructions` does that for all, as for those of the traffic
//! rules.

use std::hint::black_box;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use regatta_resilience::breaker::{self, Breaker, Circuit, Outcome};
use regatta_resilience::concurrency::{self, Limit, Priority};
use regatta_resilience::outlier::Tally;
use regatta_resilience::rate_limit::{Gcra, Settings, SlidingWindow};
use regatta_resilience::retry::{Attempt, Budget, Failure, Policy};

/// The decisions by name; the first is the baseline.
type Decision = (&'static str, Box<dyn FnMut()>);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (name, rounds) = (arguments.next(), arguments.next());
    let rounds: Option<u32> = rounds.and_then(|rounds| rounds.parse().ok());
    let found = decisions().into_iter().find(|(decision, _)| Some(*decision) == name.as_deref());
    let (Some((_, mut run)), Some(rounds)) = (found, rounds) else {
        // Names, one a line.
        decisions().iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    (0..rounds).for_each(|_| run());
}

#[expect(clippy::disallowed_methods, reason = "one instant for all rounds")]
fn decisions() -> [Decision; 9] {
    let now = Instant::now();
    let minute = Duration::from_secs(60);
    let lock = Mutex::new(0_u64);
    let circuit = Circuit::try_new(breaker::Settings::default()).expect("the defaults are valid");
    let breaker = Breaker::try_new(breaker::Settings::default()).expect("the defaults are valid");
    let settings = breaker::Settings::default().with_failure_threshold(1);
    let open = Circuit::try_new(settings).expect("the threshold is valid");
    let only = open.enter(now).expect("a new breaker is closed");
    open.record(only, now, Outcome::Failure);
    let later = now + Duration::from_secs(1);
    let gcra = Gcra::try_new(Settings::new(1_000_000, minute), 1_000_000);
    let gcra = gcra.expect("the settings are valid");
    let window = SlidingWindow::try_new(Settings::new(100_000, minute).with_max_bytes(1 << 30));
    let window = window.expect("the settings are valid");
    let limit = Limit::try_new(concurrency::Settings::default()).expect("the defaults are valid");
    let (budget, tally) = (Budget::default(), Tally::default());
    let attempt = Attempt {
        number: 1,
        redirected: 0,
        failure: Failure::Lost,
        repeatable: true,
        replayable: true,
        elsewhere: true,
        serves_retry: false,
        left: Duration::from_secs(15),
    };
    let policy = Policy::default();
    [
        ("mutex", Box::new(move || *lock.lock().expect("nothing panics here") += 1)),
        (
            "breaker",
            Box::new(move || {
                let admission = circuit.enter(now).expect("it is closed");
                circuit.record(admission, now, Outcome::Success);
            }),
        ),
        (
            "breaker, by a permit of its own",
            Box::new(move || {
                let _ = breaker.admit(now).map(|permit| permit.record(now, Outcome::Success));
            }),
        ),
        ("breaker, reject", Box::new(move || _ = black_box(open.enter(later)))),
        ("gcra", Box::new(move || _ = black_box(gcra.check("alice", now)))),
        ("sliding-window", Box::new(move || _ = black_box(window.check("alice", now)))),
        ("concurrency", Box::new(move || drop(limit.try_acquire(Priority::default())))),
        ("outlier", Box::new(move || _ = black_box(tally.count(false)))),
        (
            "retry",
            Box::new(move || {
                budget.deposit(now);
                black_box(policy.decide(&attempt, 7, || budget.withdraw(now)));
            }),
        ),
    ]
}
