//! The Redis limiter's calls per second, against the bare script call it is made of.
//!
//! Load: 64 calls at a time over one connection, one client each, from one thread; a real
//! `redis-server` on the same machine. Baselines: EVALSHA of the same script with the same
//! arguments over a connection of the same library, without timeout, breaker or bounds; and that of
//! a script that does nothing, which is what no script can be cheaper than.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::future::join_all;
use regatta_limits_redis::{Options, Redis};
use regatta_resilience::rate_limit::{Algorithm, Settings};
use tokio::runtime::Builder;

const AT_A_TIME: u64 = 64;

fn limiters(c: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let server = runtime.block_on(regatta_testkit::Redis::start());
    let server = server.unwrap_or_else(|error| panic!("{error}"));
    let clients: Vec<String> = (0..AT_A_TIME).map(|client| format!("client-{client}")).collect();
    let window = Duration::from_secs(1);
    let scripts = [
        (
            "redis limiter: GCRA",
            Algorithm::Gcra { burst: 100_000 },
            include_str!("../src/scripts/gcra.lua"),
            // One in a second beyond the burst, as (limit - burst + 1).
            [1_000_000_u64, 1_000_000 * 99_999],
            100_000,
        ),
        (
            "redis limiter: sliding window",
            Algorithm::SlidingWindow,
            include_str!("../src/scripts/sliding_window.lua"),
            [10_000, 1_000_000],
            10_000,
        ),
    ];
    for (name, algorithm, text, arguments, limit) in scripts {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(AT_A_TIME));
        let options = Options::new(server.url()).with_timeout(Duration::from_secs(5));
        let redis = Redis::try_new(options).expect("the options are valid");
        let limiter = redis.limiter("bench", &Settings::new(limit, window), algorithm);
        let limiter = limiter.expect("the limit is in range");
        group.bench_function("ours", |b| {
            b.iter(|| {
                runtime.block_on(join_all(clients.iter().map(|client| limiter.check(client))))
            });
        });
        let client = redis::Client::open(server.url()).expect("the URL is valid");
        let connection = runtime.block_on(client.get_multiplexed_async_connection());
        let connection = connection.expect("the server is there");
        let script = redis::Script::new(text);
        let _: Vec<i64> = runtime
            .block_on(script.key("raw").arg(&arguments).invoke_async(&mut connection.clone()))
            .expect("the script runs");
        let empty = redis::Script::new("return { 1, 0, 0, 0 }");
        let _: Vec<i64> = runtime
            .block_on(empty.key("raw").arg(&arguments).invoke_async(&mut connection.clone()))
            .expect("the script runs");
        for (peer, script) in [("raw EVALSHA", &script), ("raw EVALSHA, empty script", &empty)] {
            group.bench_function(peer, |b| {
                b.iter(|| {
                    runtime.block_on(join_all(clients.iter().map(|client| {
                        let mut connection = connection.clone();
                        let mut call = redis::cmd("EVALSHA");
                        call.arg(script.get_hash()).arg(1).arg(client).arg(&arguments);
                        async move { call.query_async::<Vec<i64>>(&mut connection).await }
                    })))
                });
            });
        }
        group.finish();
    }
}

/// Enough for a median that repeats, and all benches in ten minutes.
fn brief() -> Criterion {
    let seconds = Duration::from_secs;
    Criterion::default().warm_up_time(seconds(1)).measurement_time(seconds(3))
}

criterion_group!(name = benches; config = brief(); targets = limiters);
criterion_main!(benches);
