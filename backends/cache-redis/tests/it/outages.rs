//! Redis goes, and comes back.

use std::sync::Arc;
use std::time::Duration;

use regatta_cache::{Cache, CacheAside, Invalidate, Key, Policy};
use regatta_cache_redis::{Options, RedisCache};
use regatta_telemetry::Telemetry;
use regatta_testkit::{Redis, free_port, wait_until};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn requests_go_on_while_redis_is_killed_and_it_is_used_again_when_it_is_back() {
    let mut server = Redis::start().await.unwrap();
    let cache = over(RedisCache::try_new(Options::new(server.url())).unwrap());
    let load = async || Ok::<u32, &str>(7);
    wait_until("it is used", LIMIT, async || cache.entry("k").put(&1).await).await;
    server.stop();
    for number in 0..50 {
        let key = format!("other-{number}");
        assert_eq!(cache.entry(key).get_or_load(load).await, Ok(7));
    }
    assert!(cache.probe().await.is_err());
    server.resume().await.unwrap();
    wait_until("it is used again", LIMIT, async || {
        cache.entry("k").get_or_load(load).await.unwrap();
        cache.entry("k").get::<u32>().await == Some(7) && cache.probe().await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_server_that_hangs_costs_its_timeout_a_few_times_and_then_nothing() {
    let server = Redis::start().await.unwrap();
    let options = Options::new(server.url()).with_near_ttl(Duration::ZERO);
    let cache = over(RedisCache::try_new(options).unwrap());
    wait_until("it is used", LIMIT, async || cache.entry("k").put(&1).await).await;
    server.freeze();
    let start = Instant::now();
    for number in 0..1000 {
        let key = format!("other-{number}");
        assert_eq!(cache.entry(key).get_or_load(async || Ok::<u32, &str>(7)).await, Ok(7));
    }
    // Five questions of 100 ms, then one a second: far from a thousand.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    server.thaw();
    wait_until("it is used again", LIMIT, async || cache.entry("k").put(&2).await).await;
}

#[tokio::test]
async fn a_server_that_was_never_there_fails_nothing() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let cache = over(RedisCache::try_new(Options::new(url)).unwrap());
    for _ in 0..20 {
        let load = async || Ok::<u32, &str>(7);
        assert_eq!(cache.entry("k").get_or_load(load).await, Ok(7));
        cache.invalidate("k").await;
    }
    assert!(cache.probe().await.is_err());
}

#[tokio::test]
async fn copies_are_stale_while_redis_is_away_and_end_with_their_time() {
    let mut server = Redis::start().await.unwrap();
    let options = Options::new(server.url()).with_near_ttl(Duration::from_secs(3));
    let cache = RedisCache::try_new(options).unwrap();
    let key = Key::try_new("k").unwrap();
    let aside = over(cache.clone());
    wait_until("a copy is made", LIMIT, async || {
        aside.entry("k").put(&1).await;
        cache.get(&key).await.is_ok_and(|found| found.is_some()) && cache.usage().entries == 1
    })
    .await;
    server.stop();
    wait_until("it is stale", LIMIT, async || {
        cache.get(&key).await.is_ok_and(|found| found.is_some_and(|found| found.is_stale))
    })
    .await;
    wait_until("it is not believed any more", LIMIT, async || cache.get(&key).await.is_err()).await;
}

/// The value survives in Redis; what was invalidated while nobody could tell it must not come back.
#[tokio::test]
async fn an_invalidation_that_redis_did_not_hear_is_made_up_for_before_it_is_asked_again() {
    let server = Redis::start().await.unwrap();
    for near_ttl in [Duration::ZERO, Duration::from_secs(10)] {
        let options = Options::new(server.url()).with_near_ttl(near_ttl);
        let cache = RedisCache::try_new(options.clone()).unwrap();
        let aside = over(cache.clone());
        for what in ["key", "tag", "pattern", "put"] {
            let put = async || aside.entry("user:1").tag("users").put(&"old").await;
            wait_until("it is kept", LIMIT, put).await;
            server.freeze();
            let is_told = match what {
                "key" => aside.invalidate("user:1").await,
                "tag" => aside.invalidate_tag("users").await,
                "pattern" => aside.invalidate_pattern("user:*").await,
                _ => aside.entry("user:1").put(&"new").await,
            };
            assert!(!is_told, "{what}");
            assert_eq!(aside.entry("user:1").get::<String>().await, None, "{what}");
            server.thaw();
            // Asked at once and over and over, it never answers what was before.
            wait_until("it is asked again", LIMIT, async || {
                let seen = aside.entry("user:1").get::<String>().await;
                assert_ne!(seen.as_deref(), Some("old"), "{what}");
                cache.probe().await.is_ok() && aside.entry("other").put(&1).await
            })
            .await;
            // Another process does not see it either.
            let other = RedisCache::try_new(options.clone()).unwrap();
            let found = other.get(&Key::try_new("user:1").unwrap()).await.unwrap();
            assert!(found.is_none_or(|found| found.json != "\"old\""), "{what}");
            drop(other);
            aside.invalidate_pattern("*").await;
        }
    }
}

/// Nobody asks, and it is made up for all the same: other processes would serve what was before.
#[tokio::test]
async fn what_is_owed_is_made_up_for_also_when_nobody_asks() {
    let server = Redis::start().await.unwrap();
    let options = Options::new(server.url()).with_near_ttl(Duration::ZERO);
    let (cache, other) =
        (RedisCache::try_new(options.clone()).unwrap(), RedisCache::try_new(options).unwrap());
    let key = Key::try_new("k").unwrap();
    let aside = over(cache.clone());
    wait_until("it is kept", LIMIT, async || aside.entry("k").put(&1).await).await;
    server.freeze();
    assert!(cache.invalidate(&Invalidate::Keys(vec![key.clone()])).await.is_err());
    server.thaw();
    wait_until("another process sees it", LIMIT, async || {
        other.get(&key).await.is_ok_and(|found| found.is_none())
    })
    .await;
}

fn over(cache: RedisCache) -> CacheAside {
    CacheAside::try_new(Arc::new(cache), Policy::default(), &Telemetry::global()).unwrap()
}
