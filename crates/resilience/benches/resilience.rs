//! What one decision of each rule costs, beside its peers in the same run.
//!
//! Load: one thread, one call at a time at rest, which is what nearly every call meets; where a
//! peer reads the clock itself, so does ours. Each group has `ours` and its peers; peers of what
//! has no other implementation here are a mutex (the least that any shared state costs) and an
//! empty HTTP call over loopback, hand-written on both sides: less than any HTTP library's.
//! `cargo xtask bench resilience` prints the ratios.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZero;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use governor::{Quota, RateLimiter};
use regatta_resilience::breaker::{self, Breaker, Circuit, Outcome};
use regatta_resilience::concurrency::{self, Limit, Priority};
use regatta_resilience::deadline::for_try;
use regatta_resilience::hedge::{self, Hedge};
use regatta_resilience::outlier;
use regatta_resilience::rate_limit::{Gcra, Settings, SlidingWindow};
use regatta_resilience::retry::{Attempt, Budget, Decision, Failure, Policy};
use tower::retry::backoff::{Backoff as _, ExponentialBackoffMaker, MakeBackoff as _};
use tower::retry::budget::{Budget as _, TpsBudget};
use tower::util::rng::HasherRng;

#[expect(clippy::disallowed_methods, reason = "measures decisions, with the clock they read")]
fn now() -> Instant {
    Instant::now()
}

const MINUTE: Duration = Duration::from_secs(60);

fn breakers(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker: admit and record a success");
    let circuit = Circuit::try_new(breaker::Settings::default()).expect("the defaults are valid");
    group.bench_function("ours", |b| {
        b.iter(|| {
            let admission = circuit.enter(now()).expect("it is closed");
            circuit.record(admission, now(), Outcome::Success);
        });
    });
    let breaker = Breaker::from(circuit);
    group.bench_function("ours, by a permit of its own", |b| {
        b.iter(|| breaker.admit(now()).map(|permit| permit.record(now(), Outcome::Success)));
    });
    let lock = Mutex::new(0_u64);
    group.bench_function("two mutex locks and the clock", |b| {
        b.iter(|| {
            for _ in 0..2 {
                black_box(now());
                *lock.lock().expect("nothing panics here") += 1;
            }
        });
    });
    group.finish();

    let mut group = c.benchmark_group("breaker: reject");
    let settings = breaker::Settings::default().with_failure_threshold(1);
    let open = Breaker::try_new(settings).expect("the threshold is valid");
    open.admit(now()).expect("a new breaker is closed").record(now(), Outcome::Failure);
    group.bench_function("ours", |b| b.iter(|| black_box(open.admit(now())).is_err()));
    group.bench_function("a mutex lock and the clock", |b| {
        b.iter(|| {
            black_box(now());
            *lock.lock().expect("nothing panics here") += 1;
        });
    });
    group.finish();
}

/// Ten thousand clients in turn, each of whom has a hundred calls in the window, and one leaves it
/// for each that comes: the window in steady use, a tenth below its limit. Time is told, a
/// microsecond a call, so that the count in the window does not depend on the machine; the clock is
/// read as the peer reads it.
fn windows_in_use(c: &mut Criterion) {
    let clients: Vec<String> = (0..10_000).map(|client| format!("client-{client}")).collect();
    let mut group = c.benchmark_group("limiter: one of 10,000 clients, its window in use");
    let settings = Settings::new(110, Duration::from_secs(1)).with_max_bytes(32 << 20);
    let window = SlidingWindow::try_new(settings).expect("the settings are valid");
    let (start, mut calls) = (now(), 0_u32);
    let mut check = || {
        let client = &clients[calls as usize % clients.len()];
        calls += 1;
        window.check(client, start + Duration::from_micros(calls.into())).allowed
    };
    assert!((0..1_000_000).all(|_| check()), "the limit is above what comes");
    group.bench_function("ours", |b| {
        b.iter(|| {
            black_box(now());
            check()
        });
    });
    let quota = Quota::per_minute(NonZero::<u32>::MIN.saturating_add(999_999));
    let governor = RateLimiter::keyed(quota);
    let mut turn = (0..clients.len()).cycle();
    group.bench_function("governor, which is not exact", |b| {
        b.iter(|| governor.check_key(&clients[turn.next().unwrap_or(0)]).is_ok());
    });
    group.finish();
}

/// Ten thousand clients in turn: more than a cache holds of either's table.
fn limiters(c: &mut Criterion) {
    let clients: Vec<String> = (0..10_000).map(|client| format!("client-{client}")).collect();
    let settings = || Settings::new(1_000_000, MINUTE).with_max_bytes(usize::MAX >> 1);
    let quota = Quota::per_minute(NonZero::<u32>::MIN.saturating_add(999_999));
    let mut turn = (0..clients.len()).cycle();
    let mut next = || &clients[turn.next().unwrap_or(0)];

    let mut group = c.benchmark_group("limiter: admit one of 10,000 clients (GCRA)");
    let gcra = Gcra::try_new(settings().with_max_bytes(32 << 20), 1_000_000);
    let gcra = gcra.expect("the settings are valid");
    group.bench_function("ours", |b| b.iter(|| gcra.check(next(), now()).allowed));
    let governor = RateLimiter::keyed(quota);
    group.bench_function("governor", |b| b.iter(|| governor.check_key(next()).is_ok()));
    group.finish();

    let mut group = c.benchmark_group("limiter: admit one of 10,000 clients (sliding window)");
    let window = SlidingWindow::try_new(Settings::new(1_000, Duration::from_millis(1)));
    let window = window.expect("the settings are valid");
    group.bench_function("ours", |b| b.iter(|| window.check(next(), now()).allowed));
    let governor = RateLimiter::keyed(quota);
    group.bench_function("governor, which is not exact", |b| {
        b.iter(|| governor.check_key(next()).is_ok());
    });
    group.finish();

    let mut group = c.benchmark_group("limiter: refuse");
    let gcra = Gcra::try_new(Settings::new(1, MINUTE), 1).expect("the settings are valid");
    group.bench_function("ours", |b| b.iter(|| gcra.check("alice", now()).allowed));
    let governor = RateLimiter::keyed(Quota::per_minute(NonZero::<u32>::MIN));
    let alice = "alice".to_owned();
    group.bench_function("governor", |b| b.iter(|| governor.check_key(&alice).is_ok()));
    group.finish();
}

fn retries(c: &mut Criterion) {
    let mut group = c.benchmark_group("budget: deposit a success");
    let budget = Budget::default();
    group.bench_function("ours", |b| b.iter(|| budget.deposit(now())));
    let tower = TpsBudget::new(Duration::from_secs(10), 3, 0.2);
    group.bench_function("tower", |b| b.iter(|| tower.deposit()));
    group.finish();

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
    let mut group = c.benchmark_group("retry: decide, and take from the budget");
    group.bench_function("ours", |b| {
        b.iter(|| {
            budget.deposit(now());
            policy.decide(black_box(&attempt), 7, || budget.withdraw(now()))
        });
    });
    group.bench_function("tower, the budget alone", |b| {
        b.iter(|| {
            tower.deposit();
            tower.withdraw()
        });
    });
    group.finish();

    // What it takes until there is a wait to be waited for: tower's policies make the future, too.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime starts");
    let _inside = runtime.enter();
    let mut group = c.benchmark_group("retry: decide, take from the budget, make the wait");
    group.bench_function("ours", |b| {
        b.iter(|| {
            budget.deposit(now());
            match policy.decide(black_box(&attempt), 7, || budget.withdraw(now())) {
                Decision::Retry { after } => Some(tokio::time::sleep(after)),
                Decision::Stop(_) => None,
            }
        });
    });
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(4));
    let waits = ExponentialBackoffMaker::new(least, most, 0.5, HasherRng::new());
    let mut waits = waits.expect("the times are in order").make_backoff();
    group.bench_function("tower, budget and backoff", |b| {
        b.iter(|| {
            tower.deposit();
            tower.withdraw().then(|| waits.next_backoff())
        });
    });
    group.finish();
}

fn everything(c: &mut Criterion) {
    let mut group = c.benchmark_group("all layers: the decisions of one call");
    let breaker = Breaker::try_new(breaker::Settings::default()).expect("the defaults are valid");
    let limiter = Gcra::try_new(Settings::new(1_000_000, MINUTE), 1_000_000);
    let limiter = limiter.expect("the settings are valid");
    let limit = Limit::try_new(concurrency::Settings::default()).expect("the defaults are valid");
    let hedge = Hedge::try_new(hedge::Settings::default()).expect("the defaults are valid");
    let (budget, tally) = (Budget::default(), outlier::Tally::default());
    group.bench_function("ours", |b| {
        b.iter(|| {
            let begin = now();
            let allowed = limiter.check("alice", begin).allowed;
            let room = limit.try_acquire(Priority::default());
            let time = for_try(begin, begin + MINUTE, Duration::from_secs(5), false);
            let permit = breaker.admit(begin);
            let delay = hedge.delay(begin);
            black_box((allowed, time, delay));
            let end = now();
            let took = end.duration_since(begin);
            if let Ok(permit) = permit {
                permit.record(end, Outcome::Success);
            }
            tally.count(false);
            budget.deposit(end);
            hedge.observe(end, took);
            if let Ok(room) = room {
                room.finish(end, concurrency::Ending::Done);
            }
        });
    });
    let mut stream = TcpStream::connect(empty_server()).expect("it listens");
    let mut answer = [0; ANSWER.len()];
    group.bench_function("an empty HTTP call over loopback", |b| {
        b.iter(|| {
            stream.write_all(REQUEST).expect("the server is there");
            stream.read_exact(&mut answer).expect("the server answers");
        });
    });
    group.finish();
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Answers every request on one connection, as little as HTTP allows.
fn empty_server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port exists");
    let address = listener.local_addr().expect("a bound listener has an address");
    // Ends with the connection, which ends with the bench.
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut request = [0; REQUEST.len()];
        loop {
            stream.read_exact(&mut request)?;
            stream.write_all(ANSWER)?;
        }
        #[expect(unreachable_code, reason = "names the error of the closure")]
        std::io::Result::Ok(())
    });
    address
}

/// Enough for a median that repeats, and all benches in ten minutes.
fn brief() -> Criterion {
    let seconds = Duration::from_secs;
    Criterion::default().warm_up_time(seconds(1)).measurement_time(seconds(3))
}

criterion_group!(name = benches; config = brief(); targets = breakers, limiters, windows_in_use, retries, everything);
criterion_main!(benches);
