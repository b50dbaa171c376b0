//! What one choice costs: an instance among many, a route among many.
//!
//! Load: a call at a time that ends at once, every instance usable, breakers and ejection on; a
//! figure is for a pick and the report of its end. Flat means that the figure for 10,000 instances
//! is that for 10. The peer of P2C is tower's, whose load is the calls in flight; it knows neither
//! breakers nor ejection, and each of its calls makes and polls a future.

use std::convert::Infallible;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use regatta_core::{Endpoint, Instance, ServiceName};
use regatta_resilience::concurrency::{self, Limit, Priority};
use regatta_resilience::deadline::for_try;
use regatta_resilience::hedge::{self, Hedge};
use regatta_resilience::rate_limit::{self, Gcra};
use regatta_resilience::retry::Budget;
use regatta_traffic::balance::Strategy;
use regatta_traffic::cluster::{Cluster, Hints, Outcome, Policies, Tried};
use regatta_traffic::route::{Table, canonical};
use tower::Service;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::pending_requests::Count;
use tower::load::{CompleteOnResponse, Load, PendingRequests};

const COUNTS: [usize; 4] = [10, 100, 1_000, 10_000];

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn picks(c: &mut Criterion) {
    let strategies = [
        Strategy::P2c,
        Strategy::RoundRobin,
        Strategy::Random,
        Strategy::Weighted,
        Strategy::ConsistentHash,
    ];
    for strategy in strategies {
        for count in COUNTS {
            let mut group = c.benchmark_group(format!("pick {strategy}, {count} instances"));
            let (cluster, start) = (cluster(strategy, count), now());
            let mut calls = 0_u64;
            group.bench_function("ours", |b| {
                b.iter(|| {
                    calls += 1;
                    call(&cluster, start + Duration::from_micros(calls), calls);
                });
            });
            if strategy == Strategy::P2c {
                let mut balance = Balance::new(ServiceList::new(peers(count)));
                group.bench_function("tower p2c", |b| b.iter(|| call_peer(&mut balance)));
            }
            group.finish();
        }
    }
}

/// As many services that answer at once, each with a count of its calls in flight.
fn peers(count: usize) -> Vec<impl Service<u64, Error = Infallible> + Load<Metric = Count>> {
    let peer = |_| {
        let service = tower::service_fn(|request: u64| std::future::ready(Ok(request)));
        PendingRequests::new(service, CompleteOnResponse::default())
    };
    (0..count).map(peer).collect()
}

/// One call through tower's balancer, from `poll_ready` to its answer.
fn call_peer<S: Service<u64>>(balance: &mut S) {
    let mut context = Context::from_waker(Waker::noop());
    // A round moves so many services from waiting to ready; the first has all of them to move.
    while balance.poll_ready(&mut context).is_pending() {}
    let mut call = std::pin::pin!(balance.call(black_box(1)));
    assert!(matches!(call.as_mut().poll(&mut context), Poll::Ready(Ok(_))), "it answers at once");
}

/// All that is decided about one call that succeeds, in the order of the client: its client's
/// limit, room, the instance among a hundred with its breaker and the service's, the time of a try,
/// when to hedge; then what it teaches each of them. Beside an empty HTTP call over loopback,
/// hand-written on both sides: less than any HTTP library's.
fn whole(c: &mut Criterion) {
    let mut group = c.benchmark_group("all layers and the pick: the decisions of one call");
    let cluster = cluster(Strategy::P2c, 100);
    let limits = rate_limit::Settings::new(1_000_000, Duration::from_secs(60));
    let limiter = Gcra::try_new(limits, 1_000_000).expect("the settings are valid");
    let limit = Limit::try_new(concurrency::Settings::default()).expect("the defaults are valid");
    let hedge = Hedge::try_new(hedge::Settings::default()).expect("the defaults are valid");
    let (budget, timeout) = (Budget::default(), Duration::from_secs(5));
    let mut random = 0_u64;
    group.bench_function("ours", |b| {
        b.iter(|| {
            random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let begin = now();
            black_box(limiter.check("alice", begin).allowed);
            let room = limit.try_acquire(Priority::default());
            let picked = cluster.pick(begin, random, &Tried::default(), &Hints::default());
            let time = for_try(begin, begin + 3 * timeout, timeout, false);
            black_box((time, hedge.delay(begin)));
            let end = now();
            let took = end.duration_since(begin);
            if let Ok(picked) = picked {
                picked.finish(end, Outcome::Success, took);
            }
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
        while stream.read_exact(&mut request).is_ok() && stream.write_all(ANSWER).is_ok() {}
        std::io::Result::Ok(())
    });
    address
}

/// Half of the instances are out: the cost of finding one that is not.
fn picks_around_the_dead(c: &mut Criterion) {
    for count in COUNTS {
        let (cluster, start) = (cluster(Strategy::P2c, count), now());
        for member in cluster.members().iter().step_by(2) {
            let id = &member.instance().id;
            let control = regatta_traffic::cluster::Override::ForcedOpen;
            cluster.override_breaker(start, Some(id), control).expect("the instance is there");
        }
        let mut group = c.benchmark_group(format!("pick p2c, {count} instances, half of them out"));
        let mut calls = 0_u64;
        group.bench_function("ours", |b| {
            b.iter(|| {
                calls += 1;
                call(&cluster, start + Duration::from_micros(calls), calls);
            });
        });
        group.finish();
    }
}

/// What a change of members costs, which no call waits for.
fn replacements(c: &mut Criterion) {
    for (strategy, count) in
        [(Strategy::P2c, 100), (Strategy::P2c, 10_000), (Strategy::ConsistentHash, 10_000)]
    {
        let mut group = c.benchmark_group(format!("replace under {strategy}, {count} instances"));
        let (cluster, start) = (cluster(strategy, count), now());
        let (all, mut less) = (instances(count), instances(count));
        less.pop();
        group.sample_size(10);
        group.bench_function("ours", |b| {
            b.iter(|| {
                cluster.replace(start, less.clone(), |_| ());
                cluster.replace(start, all.clone(), |_| ());
            });
        });
        group.finish();
    }
}

fn call(cluster: &Cluster<()>, now: Instant, random: u64) {
    let hints = Hints::default().with_key(random.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let picked = cluster.pick(now, random, &Tried::default(), &hints);
    let picked = black_box(picked.expect("half of the instances can be used"));
    picked.finish(now, Outcome::Success, Duration::from_millis(1));
}

fn routes(c: &mut Criterion) {
    for count in [5_usize, 50] {
        let mut group = c.benchmark_group(format!("route, last of {count}"));
        let builder = (0..count).fold(Table::builder(), |builder, number| {
            let pattern = format!("/service-{number}/users/{{id}}/**");
            builder.try_rule(["GET", "POST"], &pattern, number).expect("the pattern is valid")
        });
        let table = builder.build();
        let path = format!("/service-{}/users/42/orders", count - 1);
        group.bench_function("ours", |b| b.iter(|| black_box(table.find("POST", &path))));
        group.finish();
    }
    let mut group = c.benchmark_group("canonical path, plain");
    group.bench_function("ours", |b| {
        b.iter(|| canonical(black_box("/service-4/users/42/orders")).is_ok());
    });
    group.finish();
}

fn cluster(strategy: Strategy, count: usize) -> Cluster<()> {
    let mut policies = Policies::default();
    policies.balance = strategy;
    let cluster = Cluster::try_new(name(), policies, now(), 1).expect("the policies are valid");
    cluster.replace(now(), instances(count), |_| ());
    cluster
}

fn instances(count: usize) -> Vec<Instance> {
    let instance = |number: usize| {
        let host = format!("10.0.{}.{}", number / 250, number % 250);
        let endpoint = Endpoint::try_new(&host, 8080).expect("an address and a port");
        Instance::new(name(), endpoint).with_weight(1 + (number % 7) as u32)
    };
    (0..count).map(instance).collect()
}

fn name() -> ServiceName {
    ServiceName::try_new("user-service").expect("the name is valid")
}

/// Enough for a median that repeats, and all benches in ten minutes.
fn brief() -> Criterion {
    let seconds = Duration::from_secs;
    Criterion::default().warm_up_time(seconds(1)).measurement_time(seconds(3))
}

criterion_group!(name = benches; config = brief(); targets = whole, picks, picks_around_the_dead, replacements, routes);
criterion_main!(benches);
