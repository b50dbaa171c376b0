//! A hit in memory, beside the same entry in moka; with and without reading the JSON.
//!
//! Load: one thread, 1000 entries of a user (about 110 bytes of JSON), asked in turn. Baseline:
//! `moka::sync::Cache` with a time to live, holding the same bytes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use regatta_cache::{CacheAside, Key, MemoryCache, NewEntry, Policy};
use regatta_telemetry::{Identity, Options, Telemetry};
use serde::{Deserialize, Serialize};

const ENTRIES: usize = 1000;
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Serialize, Deserialize)]
struct User {
    user_id: u32,
    name: String,
    email: String,
    created_at: String,
}

fn hits(c: &mut Criterion) {
    let names: Vec<String> = (0..ENTRIES).map(|number| format!("user:{number}")).collect();
    let json: Vec<Bytes> = (0..ENTRIES).map(|number| Bytes::from(user(number))).collect();
    let memory = MemoryCache::default();
    let moka = moka::sync::Cache::builder().max_capacity(1 << 20).time_to_live(HOUR).build();
    let keys: Vec<Key> = names.iter().map(|name| Key::try_new(name).expect("is a key")).collect();
    for ((key, name), json) in keys.iter().zip(&names).zip(&json) {
        memory.set(key, &NewEntry { json: json.clone(), ttl: HOUR, tags: Vec::new() });
        moka.insert(name.clone(), json.clone());
    }

    let mut group = c.benchmark_group("cache hit in memory, bytes");
    let mut turn = 0;
    group.bench_function("ours", |b| {
        b.iter(|| {
            turn = (turn + 1) % ENTRIES;
            black_box(memory.find(&keys[turn])).expect("is there")
        });
    });
    group.bench_function("raw moka", |b| {
        b.iter(|| {
            turn = (turn + 1) % ENTRIES;
            black_box(moka.get(&names[turn])).expect("is there")
        });
    });
    group.finish();

    let telemetry = Telemetry::init(Identity::new("bench"), Options::quiet()).expect("starts");
    let cache = CacheAside::try_new(Arc::new(memory), Policy::default(), &telemetry);
    let cache = cache.expect("the defaults are in range");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let mut group = c.benchmark_group("cache hit in memory, cache-aside with the value read");
    group.bench_function("ours", |b| {
        b.iter_custom(|rounds| {
            runtime.block_on(async {
                let start = now();
                for round in 0..rounds as usize {
                    let entry = cache.entry(&names[round % ENTRIES]);
                    let load = async || Err::<User, &str>("not in the cache");
                    black_box(entry.get_or_load(load).await).expect("is there");
                }
                start.elapsed()
            })
        });
    });
    group.bench_function("raw moka and serde_json", |b| {
        b.iter(|| {
            turn = (turn + 1) % ENTRIES;
            let json = moka.get(&names[turn]).expect("is there");
            black_box(serde_json::from_slice::<User>(&json)).expect("is a user")
        });
    });
    group.finish();
}

fn user(number: usize) -> Vec<u8> {
    let user = User {
        user_id: number as u32,
        name: "Ada Lovelace".to_owned(),
        email: format!("ada.{number}@example.org"),
        created_at: "2026-11-23T14:00:00.123Z".to_owned(),
    };
    serde_json::to_vec(&user).expect("is JSON")
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the real clock")]
fn now() -> Instant {
    Instant::now()
}

criterion_group!(benches, hits);
criterion_main!(benches);
