//! The cache of a service, by its URL.

use regatta::{Config, Error, Service};
use regatta_testkit::Redis;

#[tokio::test]
async fn without_a_url_it_is_in_memory_and_one() {
    let service = open("").await;
    let (one, two) = (service.cache().unwrap(), service.cache().unwrap());
    assert!(one.entry("k").put(&1).await);
    assert_eq!(two.entry("k").get::<u32>().await, Some(1));
    one.probe().await.unwrap();
}

#[tokio::test]
async fn a_url_or_the_place_of_redis_names_a_redis() {
    let redis = Redis::start().await.unwrap();
    for yaml in [
        format!("cache: {{ url: '{}' }}", redis.url()),
        format!("redis: {{ url: '{}' }}", redis.url()),
        format!("redis: {{ host: 127.0.0.1, port: {} }}", redis.port()),
    ] {
        let (one, two) = (open(&yaml).await, open(&yaml).await);
        let name = format!("k{}", yaml.len());
        assert!(one.cache().unwrap().entry(&name).put(&1).await, "{yaml}");
        assert_eq!(two.cache().unwrap().entry(&name).get::<u32>().await, Some(1), "{yaml}");
    }
}

#[tokio::test]
async fn another_url_is_refused_with_what_would_do_and_without_its_password() {
    for url in ["memcached://app:hunter2@cache", "redis//app:hunter2@cache", ""] {
        let service = open(&format!("cache: {{ url: '{url}' }}")).await;
        let error = service.cache().unwrap_err();
        assert!(matches!(error, Error::Cache(_)) && error.is_setting(), "{url}");
        let shown = format!("{error:?}");
        assert!(shown.contains("redis://host") && !shown.contains("hunter2"), "{shown}");
    }
}

async fn open(yaml: &str) -> Service {
    let config = Config::builder().yaml("config.yaml", yaml).build().unwrap();
    Service::builder("user-service").config(config).quiet().build().await.unwrap()
}
