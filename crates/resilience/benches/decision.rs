//! What one decision of each rule costs.
//!
//! Load: one call at a time at rest, which is what nearly every call meets. Baseline: an empty
//! `Mutex` lock, the least that any shared state costs.

use std::hint::black_box;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use regatta_resilience::breaker::{self, Breaker, Outcome};
use regatta_resilience::rate_limit::{Settings, SlidingWindow};
use regatta_resilience::retry::{Attempt, Budget, Failure, Policy};

#[expect(clippy::disallowed_methods, reason = "measures decisions, not the clock")]
fn now() -> Instant {
    Instant::now()
}

fn decisions(c: &mut Criterion) {
    let now = now();
    let lock = Mutex::new(0_u64);
    c.bench_function("baseline: mutex lock", |b| {
        b.iter(|| *lock.lock().expect("nothing panics here") += 1);
    });

    let breaker = Breaker::try_new(breaker::Settings::default()).expect("the defaults are valid");
    c.bench_function("breaker: admit and record, at rest", |b| {
        b.iter(|| breaker.admit(now).map(|permit| permit.record(now, Outcome::Success)));
    });
    let settings = breaker::Settings::default().with_failure_threshold(u32::MAX);
    let counting = Breaker::try_new(settings).expect("the threshold is valid");
    c.bench_function("breaker: admit and record, failing", |b| {
        b.iter(|| counting.admit(now).map(|permit| permit.record(now, Outcome::Failure)));
    });
    let settings = breaker::Settings::default().with_failure_threshold(1);
    let open = Breaker::try_new(settings).expect("the threshold is valid");
    open.admit(now).expect("a new breaker is closed").record(now, Outcome::Failure);
    c.bench_function("breaker: reject", |b| b.iter(|| black_box(open.admit(now)).is_err()));

    let limiter = SlidingWindow::try_new(Settings::default()).expect("the defaults are valid");
    let mut call = 0_u64;
    c.bench_function("limiter: 1,000 clients, one call a second each", |b| {
        b.iter(|| {
            call += 1;
            limiter.check(&(call % 1_000), now + Duration::from_millis(call))
        });
    });
    let full = SlidingWindow::try_new(Settings::default()).expect("the defaults are valid");
    (0..60).for_each(|_| {
        full.check("alice", now);
    });
    c.bench_function("limiter: refuse", |b| b.iter(|| full.check("alice", now)));
    let crowd = SlidingWindow::try_new(Settings::default()).expect("the defaults are valid");
    let mut client = 0_u64;
    c.bench_function("limiter: a new client each time, full", |b| {
        b.iter(|| {
            client += 1;
            crowd.check(&client, now)
        });
    });

    let budget = Budget::default();
    c.bench_function("budget: deposit", |b| b.iter(|| budget.deposit(now)));
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
    c.bench_function("policy: decide with budget", |b| {
        b.iter(|| policy.decide(black_box(&attempt), 7, || budget.withdraw(now)));
    });
}

fn shared(c: &mut Criterion) {
    let now = now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let breaker = Breaker::try_new(breaker::Settings::default()).expect("the defaults are valid");
    c.bench_function("breaker: at rest, all cores at once", |b| {
        b.iter_custom(|rounds| {
            on_all(threads, rounds, || {
                let _ = breaker.admit(now).map(|permit| permit.record(now, Outcome::Success));
            })
        });
    });
    let limiter = SlidingWindow::try_new(Settings::default()).expect("the defaults are valid");
    c.bench_function("limiter: one client, all cores at once", |b| {
        b.iter_custom(|rounds| {
            on_all(threads, rounds, || {
                limiter.check("alice", now);
            })
        });
    });
}

/// The time until every thread has run it so many times.
fn on_all(threads: usize, rounds: u64, run: impl Fn() + Sync) -> Duration {
    let start = now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..rounds).for_each(|_| run()));
        }
    });
    now().duration_since(start)
}

criterion_group!(benches, decisions, shared);
criterion_main!(benches);
