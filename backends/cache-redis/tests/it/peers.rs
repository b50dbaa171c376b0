//! What another client of Redis sees, and does.

use std::process::Command;
use std::time::Duration;

use regatta_cache::{CacheAside, Policy};
use regatta_cache_redis::{Options, RedisCache};
use regatta_telemetry::Telemetry;
use regatta_testkit::{Redis, wait_until};
use serde_json::{Value, json};

use crate::conforms::patient;

#[tokio::test]
async fn redis_cli_reads_what_was_written() {
    let server = Redis::start().await.unwrap();
    let cache = cache(&server, "");
    let user = json!({ "user_id": 42, "name": "Ádá \"x\" 😀" });
    cache.entry("user:42").tag("users").put(&user).await;
    let read: Value = serde_json::from_str(&cli(&server, &["GET", "user:42"])).unwrap();
    assert_eq!(read, user);
    assert_eq!(cli(&server, &["TYPE", "user:42"]), "string");
    let ttl: u64 = cli(&server, &["TTL", "user:42"]).parse().unwrap();
    assert!((3235..=3600).contains(&ttl), "an hour less a tenth at most, not {ttl}");
}

#[tokio::test]
async fn a_tag_forgets_values_that_have_ended() {
    let server = Redis::start().await.unwrap();
    let cache = cache(&server, "");
    let entry = |number: u32| cache.entry(format!("user:{number}")).tag("users");
    for number in 0..50 {
        entry(number).ttl(Duration::from_millis(50)).put(&number).await;
    }
    // Lifetimes are spread: the last that was put is not the last that ends.
    let are_gone = async || cli(&server, &["KEYS", "user:*"]).is_empty();
    wait_until("they have ended", Duration::from_secs(20), are_gone).await;
    entry(50).put(&50).await;
    let load = async || Ok::<u32, &str>(51);
    entry(51).get_or_load(load).await.unwrap();
    let tag = cli(&server, &["KEYS", "*tag*"]);
    // In the order in which they end, which is not the order in which they were put.
    let named = cli(&server, &["ZRANGE", &tag, "0", "-1"]);
    let mut named: Vec<&str> = named.lines().collect();
    named.sort_unstable();
    assert_eq!(named, ["user:50", "user:51"]);
    assert!(cache.invalidate_tag("users").await);
    assert_eq!(cli(&server, &["EXISTS", "user:50", "user:51", &tag]), "0");
}

#[tokio::test]
async fn what_redis_cli_writes_is_read_and_what_it_deletes_is_gone() {
    let server = Redis::start().await.unwrap();
    // Without copies: no message tells of what redis-cli does.
    let options = Options::new(server.url()).with_prefix("p").with_near_ttl(Duration::ZERO);
    let cache = over(RedisCache::try_new(patient(options)).unwrap());
    cli(&server, &["SET", "p:user:1", r#"{"name":"Ada"}"#]);
    assert_eq!(cache.entry("user:1").get::<Value>().await, Some(json!({ "name": "Ada" })));
    cli(&server, &["DEL", "p:user:1"]);
    assert_eq!(cache.entry("user:1").get::<Value>().await, None);
    // A key of another kind is loaded around, and harms nothing else.
    cli(&server, &["LPUSH", "p:user:2", "x"]);
    for _ in 0..10 {
        let load = async || Ok::<u32, &str>(7);
        assert_eq!(cache.entry("user:2").get_or_load(load).await, Ok(7));
    }
    assert!(cache.entry("user:3").put(&1).await);
    assert_eq!(cli(&server, &["GET", "p:user:3"]), "1");
}

#[tokio::test]
async fn a_change_in_another_process_is_seen_within_a_message() {
    let server = Redis::start().await.unwrap();
    let here = RedisCache::try_new(patient(Options::new(server.url()))).unwrap();
    let limit = Duration::from_secs(20);
    wait_until("it listens", limit, async || here.is_listening()).await;
    let (here, there) = (over(here), cache(&server, ""));
    for number in 0..20 {
        there.entry("k").put(&number).await;
        wait_until("the change is seen", limit, async || {
            here.entry("k").get::<u32>().await == Some(number)
        })
        .await;
    }
}

#[tokio::test]
async fn no_command_that_stops_the_server_is_used() {
    let server = Redis::start().await.unwrap();
    let cache = cache(&server, "p");
    cache.entry("user:1").tag("t").put(&1).await;
    cache.invalidate_pattern("user:*").await;
    cache.invalidate_tag("t").await;
    let used = cli(&server, &["INFO", "commandstats"]);
    assert!(used.contains("cmdstat_scan"), "{used}");
    assert!(!used.contains("cmdstat_keys"), "{used}");
}

fn cache(server: &Redis, prefix: &str) -> CacheAside {
    let options = Options::new(server.url()).with_prefix(prefix);
    over(RedisCache::try_new(patient(options)).unwrap())
}

fn over(cache: RedisCache) -> CacheAside {
    let telemetry = Telemetry::global();
    CacheAside::try_new(std::sync::Arc::new(cache), Policy::default(), &telemetry).unwrap()
}

fn cli(server: &Redis, arguments: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-p", &server.port().to_string()])
        .args(arguments)
        .output()
        .expect("redis-cli is there; run `apt-get install redis-tools`");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
