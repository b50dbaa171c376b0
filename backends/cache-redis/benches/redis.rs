//! A hit in Redis, and in the copies before it, beside a bare GET.
//!
//! Load: one caller, 1000 entries of about 110 bytes of JSON, asked in turn over one connection; a
//! real `redis-server` on the same machine. Baseline: GET over a connection of the same library,
//! without timeout, breaker or bounds.

use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use regatta_cache::{Cache, Key, NewEntry};
use regatta_cache_redis::{Options, RedisCache};
use regatta_testkit::{Redis, wait_until};
use tokio::runtime::Builder;

const ENTRIES: usize = 1000;

fn hits(c: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let server = runtime.block_on(Redis::start()).unwrap_or_else(|error| panic!("{error}"));
    let keys: Vec<Key> =
        (0..ENTRIES).map(|n| Key::try_new(format!("user:{n}")).expect("is a key")).collect();
    let open = |near: Duration| {
        let options = Options::new(server.url()).with_timeout(Duration::from_secs(5));
        let options = options.with_near_ttl(near);
        runtime.block_on(async { RedisCache::try_new(options) }).expect("the options are valid")
    };
    let (shared, near) = (open(Duration::ZERO), open(Duration::from_secs(60)));
    let json = Bytes::from(format!(r#"{{"user_id":42,"note":"{}"}}"#, "x".repeat(80)));
    let entry = NewEntry { json, ttl: Duration::from_secs(3600), tags: Vec::new() };
    runtime.block_on(async {
        for key in &keys {
            shared.put(key, &entry).await.expect("is kept");
        }
        let limit = Duration::from_secs(20);
        wait_until("it listens", limit, async || near.is_listening()).await;
        for key in &keys {
            near.get(key).await.expect("answers").expect("is there");
        }
    });
    let client = redis::Client::open(server.url()).expect("the URL is valid");
    let raw = runtime.block_on(client.get_multiplexed_async_connection());
    let mut raw = raw.expect("the server is there");
    let mut turn = 0;
    let mut next = || {
        turn = (turn + 1) % ENTRIES;
        turn
    };

    let mut group = c.benchmark_group("cache hit in Redis");
    group.bench_function("ours", |b| {
        b.iter(|| runtime.block_on(shared.get(&keys[next()])).expect("answers").expect("is there"));
    });
    let mut get = || {
        let get = redis::Cmd::get(keys[next()].as_str());
        runtime.block_on(get.query_async::<Option<Vec<u8>>>(&mut raw)).expect("answers")
    };
    group.bench_function("raw GET", |b| b.iter(|| get().expect("is there")));
    group.finish();

    let mut group = c.benchmark_group("cache hit in a copy before Redis");
    group.bench_function("raw GET", |b| b.iter(|| get().expect("is there")));
    let mut turn = 0;
    group.bench_function("ours", |b| {
        b.iter(|| {
            turn = (turn + 1) % ENTRIES;
            runtime.block_on(near.get(&keys[turn])).expect("answers").expect("is there")
        });
    });
    group.finish();
}

criterion_group!(benches, hits);
criterion_main!(benches);
