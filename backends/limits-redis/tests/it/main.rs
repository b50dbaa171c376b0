#![allow(clippy::unwrap_used, reason = "tests panic on failure")]
//! Shared limits against a real Redis server.

use std::sync::Arc;
use std::time::Duration;

use regatta_limits_redis::{InvalidOptions, Options, Redis};
use regatta_resilience::rate_limit::{
    Algorithm, Limiter, OnOutage, Settings, SharedLimiter, Steadfast, Unavailable, conformance,
};
use regatta_testkit::wait_until;
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
const GCRA: Algorithm = Algorithm::Gcra { burst: 5 };

/// Long enough for a busy machine; what is measured is never the wait.
const PATIENT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn conforms() {
    let server = regatta_testkit::Redis::start().await.unwrap();
    let redis = Redis::try_new(Options::new(server.url()).with_timeout(PATIENT)).unwrap();
    let make = |name: &str, settings: Settings, algorithm: Algorithm| {
        redis.limiter(name, &settings, algorithm).unwrap()
    };
    conformance::all(&make).await;
}

#[tokio::test]
async fn processes_share_their_counts_and_prefixes_keep_them_apart() {
    let server = regatta_testkit::Redis::start().await.unwrap();
    let mut admitted = Vec::new();
    for prefix in ["a", "a", "b"] {
        let options = Options::new(server.url()).with_prefix(prefix).with_timeout(PATIENT);
        let limiter = window(&Redis::try_new(options).unwrap(), 5);
        let mut count = 0;
        for _ in 0..4 {
            count += u32::from(limiter.check("alice").await.unwrap().allowed);
        }
        admitted.push(count);
    }
    assert_eq!(admitted, [4, 1, 4]);
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_told_them_again() {
    let server = regatta_testkit::Redis::start().await.unwrap();
    let redis = patient(&server);
    for algorithm in [Algorithm::SlidingWindow, GCRA] {
        let limiter = redis.limiter("flushed", &Settings::new(9, MINUTE), algorithm).unwrap();
        assert!(limiter.check("alice").await.unwrap().allowed);
        command(&server, &["SCRIPT", "FLUSH"]).await;
        assert!(limiter.check("alice").await.unwrap().allowed);
    }
}

#[tokio::test]
async fn an_outage_is_an_error_within_the_timeout_and_over_when_the_server_is_back() {
    let mut server = regatta_testkit::Redis::start().await.unwrap();
    let redis = patient(&server);
    let limiter = window(&redis, 100);
    assert!(limiter.check("alice").await.unwrap().allowed);
    assert!(redis.is_reachable());
    server.stop();
    let mut resting = false;
    for _ in 0..20 {
        let error = limiter.check("alice").await.unwrap_err();
        resting |= matches!(error, Unavailable::Resting { .. });
    }
    assert!(resting, "a server that keeps failing is left alone");
    assert!(!redis.is_reachable());
    server.resume().await.unwrap();
    wait_until("the limit to be shared again", Duration::from_secs(20), async || {
        limiter.check("alice").await.is_ok()
    })
    .await;
    assert!(redis.is_reachable());
}

#[tokio::test]
async fn a_server_that_hangs_costs_the_timeout_and_not_more() {
    let server = regatta_testkit::Redis::start().await.unwrap();
    let wait = Duration::from_millis(200);
    let redis = Redis::try_new(Options::new(server.url()).with_timeout(wait)).unwrap();
    let limiter = window(&redis, 100);
    wait_until("a connection", PATIENT, async || limiter.check("alice").await.is_ok()).await;
    server.freeze();
    let start = Instant::now();
    let error = limiter.check("alice").await.unwrap_err();
    assert!(matches!(error, Unavailable::TimedOut { after } if after == wait), "{error}");
    assert!(start.elapsed() >= wait);
    server.thaw();
    wait_until("an answer", Duration::from_secs(20), async || limiter.check("alice").await.is_ok())
        .await;
}

#[tokio::test]
async fn no_more_than_the_bound_wait_at_a_time() {
    let server = regatta_testkit::Redis::start().await.unwrap();
    let options = Options::new(server.url()).with_timeout(PATIENT).with_in_flight(2);
    let limiter = window(&Redis::try_new(options).unwrap(), 100);
    assert!(limiter.check("alice").await.unwrap().allowed);
    server.freeze();
    let waiting = [0; 2].map(|_| {
        let limiter = Arc::clone(&limiter);
        Box::pin(async move { limiter.check("alice").await })
    });
    let mut waiting = futures::future::join_all(waiting);
    assert!(futures::poll!(&mut waiting).is_pending());
    let error = limiter.check("alice").await.unwrap_err();
    assert!(matches!(error, Unavailable::Busy { in_flight: 2 }), "{error}");
    server.thaw();
    assert!(waiting.await.iter().all(Result::is_ok));
    assert!(limiter.check("alice").await.is_ok());
}

#[tokio::test]
async fn a_call_dropped_half_way_leaves_the_next_unharmed() {
    let server = regatta_testkit::Redis::start().await.unwrap();
    let redis = patient(&server);
    let limiter = window(&redis, 1_000);
    for _ in 0..50 {
        let mut call = Box::pin(limiter.check("alice"));
        // Begun: connecting at first, later sent.
        assert!(futures::poll!(&mut call).is_pending());
        drop(call);
    }
    assert!(limiter.check("bob").await.unwrap().allowed);
    assert!(redis.is_reachable());
}

#[tokio::test]
async fn in_an_outage_it_counts_here_if_so_chosen() {
    let mut server = regatta_testkit::Redis::start().await.unwrap();
    let redis = patient(&server);
    let here = Limiter::try_new(Settings::new(2, MINUTE), Algorithm::SlidingWindow).unwrap();
    let limit = Steadfast::new(window(&redis, 2), OnOutage::Count(here));
    assert!(limit.check("alice").await.outage.is_none());
    server.stop();
    let mut admitted = 0;
    for _ in 0..10 {
        let verdict = limit.check("alice").await;
        assert!(verdict.outage.is_some());
        admitted += u32::from(verdict.decision.allowed);
    }
    assert_eq!(admitted, 2);
}

#[tokio::test]
async fn a_client_costs_the_stated_bytes_and_they_end_with_its_window() {
    let server = regatta_testkit::Redis::start().await.unwrap();
    let redis = patient(&server);
    let short = Duration::from_millis(500);
    for (algorithm, most) in [(Algorithm::SlidingWindow, 130 + 60 * 12), (GCRA, 130)] {
        let limiter = redis.limiter("bytes", &Settings::new(60, MINUTE), algorithm).unwrap();
        for _ in 0..60 {
            let _ = limiter.check("0123456789").await.unwrap();
        }
        let letter = if algorithm == GCRA { 'g' } else { 'w' };
        let key = format!("regatta:limits:bytes:{letter}:=0123456789");
        let bytes: u64 = command(&server, &["MEMORY", "USAGE", &key]).await.parse().unwrap();
        assert!(bytes <= most, "{algorithm:?}: {bytes} bytes");
        let left: u64 = command(&server, &["PTTL", &key]).await.parse().unwrap();
        assert!(left <= 75_001, "at most a quarter of the window longer");
        command(&server, &["DEL", &key]).await;

        let limiter = redis.limiter("short", &Settings::new(60, short), algorithm).unwrap();
        limiter.check("alice").await.unwrap();
    }
    wait_until("the server to be empty", PATIENT, async || {
        command(&server, &["DBSIZE"]).await == "0"
    })
    .await;
}

#[tokio::test]
async fn a_list_outlives_the_window_of_its_newest_call() {
    /// When its newest call came, and what is left of its life from there; on one clock, at once.
    const LIFE: &str = "local time, newest = redis.call('TIME'), redis.call('LINDEX', KEYS[1], -1)
        local now, left = time[1] * 1000000 + time[2], redis.call('PTTL', KEYS[1]) * 1000
        return string.format('%.0f %.0f', newest, now + left - newest)";
    let server = regatta_testkit::Redis::start().await.unwrap();
    let settings = Settings::new(10_000, Duration::from_secs(2));
    let limiter = patient(&server).limiter("life", &settings, Algorithm::SlidingWindow).unwrap();
    let mut first = None;
    // For half a window, so that calls of three of its quarters are among them.
    loop {
        assert!(limiter.check("alice").await.unwrap().allowed);
        let answer = command(&server, &["EVAL", LIFE, "1", "regatta:limits:life:w:=alice"]).await;
        let (newest, left) = answer.split_once(' ').unwrap();
        let [newest, left] = [newest, left].map(|micros| micros.parse::<u64>().unwrap());
        assert!(left >= 2_000_000, "{left} us after call {newest}");
        if newest - *first.get_or_insert(newest) > 1_000_000 {
            return;
        }
    }
}

#[tokio::test]
async fn a_server_out_of_memory_is_an_outage() {
    let server = regatta_testkit::Redis::start().await.unwrap();
    let redis = patient(&server);
    command(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let error = window(&redis, 5).check("alice").await.unwrap_err();
    assert!(matches!(error, Unavailable::Failed(_)), "{error}");
}

#[test]
fn an_option_out_of_range_is_named_and_no_password_is_shown() {
    let message = |options| Redis::try_new(options).unwrap_err().to_string();
    let valid = || Options::new("redis://u:secret@localhost");
    assert!(message(valid().with_timeout(Duration::ZERO)).contains("timeout is `0ns`"));
    assert!(message(valid().with_timeout(MINUTE)).contains("timeout is `60s`"));
    assert!(message(valid().with_connect_timeout(2 * MINUTE)).contains("connect_timeout"));
    assert!(message(valid().with_in_flight(0)).contains("in_flight is `0`"));
    let error = Redis::try_new(Options::new("http://u:secret@localhost")).unwrap_err();
    assert!(matches!(error, InvalidOptions::Url(_)));
    assert!(!format!("{error} {error:?}").contains("secret"));
    assert!(!format!("{:?}", Redis::try_new(valid()).unwrap()).contains("secret"));
}

fn patient(server: &regatta_testkit::Redis) -> Redis {
    Redis::try_new(Options::new(server.url()).with_timeout(PATIENT)).unwrap()
}

fn window(redis: &Redis, limit: u32) -> Arc<dyn SharedLimiter> {
    redis.limiter("test", &Settings::new(limit, MINUTE), Algorithm::SlidingWindow).unwrap()
}

/// Sends one command and answers its reply as text.
async fn command(server: &regatta_testkit::Redis, words: &[&str]) -> String {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    match command.query_async(&mut connection).await.unwrap() {
        redis::Value::Int(number) => number.to_string(),
        redis::Value::BulkString(text) => String::from_utf8(text).unwrap(),
        redis::Value::Okay | redis::Value::Nil => String::new(),
        other => format!("{other:?}"),
    }
}
