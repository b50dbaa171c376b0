//! Readers and writers in several processes, all at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use regatta_cache::{CacheAside, Policy};
use regatta_cache_redis::{Options, RedisCache};
use regatta_telemetry::Telemetry;
use regatta_testkit::Redis;
use tokio::task::JoinSet;

use crate::conforms::patient;

#[tokio::test(flavor = "multi_thread")]
async fn of_several_processes_one_loads() {
    let server = Redis::start().await.unwrap();
    let loads = Arc::new(AtomicU32::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        let cache = process(&server);
        for _ in 0..10 {
            let (cache, loads) = (cache.clone(), loads.clone());
            callers.spawn(async move {
                let load = async || {
                    loads.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    Ok::<u32, &str>(7)
                };
                cache.entry("k").get_or_load(load).await
            });
        }
    }
    for answer in callers.join_all().await {
        assert_eq!(answer, Ok(7));
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

/// The source is a number that only grows. A writer writes it and invalidates, in one process; a
/// reader in another one that asks Redis after that never gets an older number.
#[tokio::test(flavor = "multi_thread")]
async fn no_old_value_comes_back_across_processes() {
    let server = Redis::start().await.unwrap();
    let (truth, told) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut readers = JoinSet::new();
    for _ in 0..3 {
        let (cache, truth, told) = (process(&server), truth.clone(), told.clone());
        readers.spawn(async move {
            for _ in 0..400 {
                let at_least = told.load(Ordering::SeqCst);
                let load = async || {
                    let number = truth.load(Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    Ok::<u64, &str>(number)
                };
                let seen = cache.entry("k").get_or_load(load).await.unwrap();
                assert!(seen >= at_least, "{seen} came back after {at_least}");
            }
        });
    }
    let writer = process(&server);
    let mut turn = 0;
    while !readers.is_empty() {
        let number = truth.fetch_add(1, Ordering::SeqCst) + 1;
        turn += 1;
        let is_told = match turn % 3 {
            0 => writer.invalidate("k").await,
            1 => writer.invalidate_tag("t").await && writer.invalidate("k").await,
            _ => writer.invalidate_pattern("k*").await,
        };
        assert!(is_told);
        told.store(number, Ordering::SeqCst);
        while let Some(ended) = readers.try_join_next() {
            ended.unwrap();
        }
    }
}

/// Another process: connections and counters of its own; no copies, whose messages take a moment.
fn process(server: &Redis) -> CacheAside {
    let options = Options::new(server.url()).with_near_ttl(Duration::ZERO);
    let cache = Arc::new(RedisCache::try_new(patient(options)).unwrap());
    CacheAside::try_new(cache, Policy::default(), &Telemetry::global()).unwrap()
}
