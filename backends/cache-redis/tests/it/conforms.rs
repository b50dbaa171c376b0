//! The cache in Redis does what every cache must do.

use std::time::Duration;

use regatta_cache::conformance;
use regatta_cache_redis::{InvalidOptions, Options, RedisCache};
use regatta_testkit::{Redis, wait_until};

#[tokio::test]
async fn redis_conforms_without_copies_in_the_process() {
    let server = Redis::start().await.unwrap_or_else(|error| panic!("{error}"));
    let options = || Options::new(server.url()).with_near_ttl(Duration::ZERO);
    let cache = || RedisCache::try_new(patient(options())).unwrap();
    conformance::all(&cache(), &cache()).await;
}

#[tokio::test]
async fn redis_conforms_with_copies_in_the_process() {
    let server = Redis::start().await.unwrap_or_else(|error| panic!("{error}"));
    let options = || Options::new(server.url()).with_prefix("user-service");
    let (one, two) = (
        RedisCache::try_new(patient(options())).unwrap(),
        RedisCache::try_new(patient(options())).unwrap(),
    );
    let limit = Duration::from_secs(20);
    wait_until("both listen", limit, async || one.is_listening() && two.is_listening()).await;
    conformance::all(&one, &two).await;
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_showing_it() {
    let error = RedisCache::try_new(Options::new("redis//app:hunter2@cache")).unwrap_err();
    assert!(matches!(error, InvalidOptions::Url(_)));
    assert!(!format!("{error}").contains("hunter2"));
}

/// Tests run on busy machines.
pub(crate) fn patient(options: Options) -> Options {
    options.with_timeout(Duration::from_secs(5))
}
