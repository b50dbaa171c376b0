//! Cache-aside: loads once, keeps, invalidates, and never fails a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use regatta_cache::{Begin, Cache, CacheAside, Key, MemoryCache, Policy};
use regatta_telemetry::{Identity, Options, Telemetry};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::faulty::Faulty;

type Loaded = Result<String, &'static str>;

#[tokio::test(start_paused = true)]
async fn what_was_loaded_is_kept_for_its_time() {
    let cache = over(MemoryCache::default());
    let loads = Loads::default();
    for _ in 0..3 {
        assert_eq!(cache.entry("k").get_or_load(|| loads.answer("v")).await, Ok("v".to_owned()));
    }
    assert_eq!(loads.count(), 1);
    tokio::time::advance(Duration::from_secs(3600)).await;
    cache.entry("k").get_or_load(|| loads.answer("v")).await.unwrap();
    assert_eq!(loads.count(), 2);
    let brief = cache.entry("brief").ttl(Duration::from_secs(1));
    brief.get_or_load(|| loads.answer("v")).await.unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(cache.entry("brief").get::<String>().await, None);
}

#[tokio::test(start_paused = true)]
async fn of_many_who_ask_at_once_one_loads() {
    let cache = over(MemoryCache::default());
    let loads = Arc::new(Loads::default());
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (cache, loads) = (cache.clone(), loads.clone());
            let ask = async move { cache.entry("k").get_or_load(|| loads.slow("v")).await };
            TaskTracker::new().spawn(ask)
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok("v".to_owned()));
    }
    assert_eq!(loads.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_loading_that_fails_is_told_to_who_made_it_and_the_next_one_loads() {
    let cache = over(MemoryCache::default());
    let loads = Loads::default();
    let (one, two) = tokio::join!(
        cache.entry("k").get_or_load(async || {
            loads.slow("x").await.unwrap();
            Loaded::Err("the database is away")
        }),
        cache.entry("k").get_or_load(|| loads.answer("v")),
    );
    assert_eq!((one, two), (Err("the database is away"), Ok("v".to_owned())));
    assert_eq!(loads.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_loading_that_is_dropped_leaves_it_to_the_next_one() {
    let cache = over(MemoryCache::default());
    let loads = Loads::default();
    let never = cache.entry("k").get_or_load(std::future::pending::<Loaded>);
    let impatient = tokio::time::timeout(Duration::from_millis(10), never);
    let (dropped, next) =
        tokio::join!(impatient, cache.entry("k").get_or_load(|| loads.answer("v")));
    assert!(dropped.is_err());
    assert_eq!(next, Ok("v".to_owned()));
    assert_eq!(cache.entry("k").get::<String>().await.as_deref(), Some("v"), "it was kept");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_too_long_loads_by_itself() {
    let cache = over(MemoryCache::default());
    let loads = Loads::default();
    let never = cache.entry("k").get_or_load(std::future::pending::<Loaded>);
    let start = tokio::time::Instant::now();
    tokio::select! {
        // In order: the one that never ends begins the loading.
        biased;
        _ = never => panic!("it never loads"),
        next = async { cache.entry("k").get_or_load(|| loads.answer("v")).await } => {
            assert_eq!(next, Ok("v".to_owned()));
        }
    }
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_another_process_is_waited_for_and_then_not() {
    let memory = MemoryCache::default();
    let key = Key::try_new("k").unwrap();
    let begun = memory.begin(&key, Duration::from_secs(2)).await.unwrap();
    assert!(matches!(begun, Begin::Load(_)), "another process loads, and dies");
    let cache = over(memory);
    let start = tokio::time::Instant::now();
    let loads = Loads::default();
    cache.entry("k").get_or_load(|| loads.answer("v")).await.unwrap();
    assert_eq!((loads.count(), start.elapsed().as_secs()), (1, 2));
    assert_eq!(cache.entry("k").get::<String>().await.as_deref(), Some("v"));
}

#[tokio::test(start_paused = true)]
async fn what_was_loaded_before_an_invalidation_is_answered_and_not_kept() {
    let cache = over(MemoryCache::default());
    let written = Notify::new();
    let (old, ()) = tokio::join!(
        cache.entry("k").get_or_load(async || {
            written.notified().await;
            Loaded::Ok("old".to_owned())
        }),
        async {
            tokio::task::yield_now().await;
            assert!(cache.invalidate("k").await);
            written.notify_one();
        }
    );
    assert_eq!(old, Ok("old".to_owned()));
    let loads = Loads::default();
    assert_eq!(cache.entry("k").get_or_load(|| loads.answer("new")).await, Ok("new".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn who_asks_after_an_invalidation_does_not_share_a_loading_from_before() {
    let cache = over(MemoryCache::default());
    let (written, loads) = (Notify::new(), Loads::default());
    let (_, new) = tokio::join!(
        cache.entry("k").get_or_load(async || {
            written.notified().await;
            Loaded::Ok("old".to_owned())
        }),
        async {
            tokio::task::yield_now().await;
            cache.invalidate("k").await;
            let new = cache.entry("k").get_or_load(|| loads.answer("new")).await;
            written.notify_one();
            new
        }
    );
    assert_eq!(new, Ok("new".to_owned()));
    assert_eq!(cache.entry("k").get::<String>().await.as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn that_there_is_nothing_is_remembered_for_a_shorter_time() {
    let cache = over(MemoryCache::default());
    let loads = Loads::default();
    let find = async || {
        loads.answer("x").await.unwrap();
        Ok::<Option<String>, &str>(None)
    };
    for _ in 0..3 {
        assert_eq!(cache.entry("k").get_or_find(find).await, Ok(None));
    }
    assert_eq!(loads.count(), 1);
    tokio::time::advance(Duration::from_secs(30)).await;
    cache.entry("k").get_or_find(find).await.unwrap();
    assert_eq!(loads.count(), 2);
    // What was nothing for one is not a value for another.
    let value = cache.entry("k").get_or_load(|| loads.answer("v")).await;
    assert_eq!(value, Ok("v".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn tags_and_patterns_drop_what_they_name() {
    let cache = over(MemoryCache::default());
    for (key, tag) in [("user:1", "users"), ("user:2", "users"), ("order:1", "orders")] {
        assert!(cache.entry(key).tag(tag).put(&1).await);
    }
    assert!(cache.invalidate_tag("users").await);
    assert_eq!(cache.entry("user:1").get::<u32>().await, None);
    assert_eq!(cache.entry("order:1").get::<u32>().await, Some(1));
    assert!(cache.invalidate_pattern("order:*").await);
    assert_eq!(cache.entry("order:1").get::<u32>().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_away_fails_no_request_and_one_loads_for_all() {
    let faulty = Arc::new(Faulty::default());
    let (telemetry, cache) = measured(faulty.clone());
    faulty.set_away(true);
    let loads = Loads::default();
    let (one, two) = tokio::join!(
        cache.entry("k").get_or_load(|| loads.slow("v")),
        cache.entry("k").get_or_load(|| loads.slow("v")),
    );
    assert_eq!((one, two), (Ok("v".to_owned()), Ok("v".to_owned())));
    assert_eq!(loads.count(), 1);
    assert!(!cache.entry("k").put(&1).await);
    assert!(!cache.invalidate("k").await);
    assert!(cache.probe().await.is_err());
    assert_eq!(requests(&telemetry, "unavailable"), 2);

    faulty.set_away(false);
    cache.entry("k").get_or_load(|| loads.answer("w")).await.unwrap();
    assert_eq!(cache.entry("k").get::<String>().await.as_deref(), Some("w"));
    faulty.is_stale.store(true, Ordering::SeqCst);
    assert_eq!(cache.entry("k").get::<String>().await.as_deref(), Some("w"));
    for (outcome, count) in [("unavailable", 2), ("miss", 1), ("hit", 1), ("stale", 1)] {
        assert_eq!(requests(&telemetry, outcome), count, "{outcome}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_that_is_no_key_is_loaded_and_not_kept() {
    let cache = over(MemoryCache::default());
    let loads = Loads::default();
    for _ in 0..2 {
        let long = "k".repeat(1000);
        assert_eq!(cache.entry(long).get_or_load(|| loads.answer("v")).await, Ok("v".to_owned()));
        let tagged = cache.entry("k").tag("");
        assert_eq!(tagged.get_or_load(|| loads.answer("v")).await, Ok("v".to_owned()));
    }
    assert_eq!(loads.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_another_program_wrote_is_loaded_anew() {
    let cache = over(MemoryCache::default());
    cache.entry("k").put(&"not a number").await;
    let load = async || Ok::<u32, &str>(7);
    assert_eq!(cache.entry("k").get_or_load(load).await, Ok(7));
    assert_eq!(cache.entry("k").get::<u32>().await, Some(7));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_answered_and_not_kept() {
    let mut policy = Policy::default();
    policy.largest = 10;
    let backend = Arc::new(MemoryCache::default());
    let cache = CacheAside::try_new(backend, policy, &Telemetry::global()).unwrap();
    let loads = Loads::default();
    for _ in 0..2 {
        cache.entry("k").get_or_load(|| loads.answer("more than ten")).await.unwrap();
    }
    assert_eq!(loads.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_those_who_ask_at_once_for_what_is_too_large_one_loads() {
    let mut policy = Policy::default();
    policy.largest = 10;
    let backend = Arc::new(MemoryCache::default());
    let cache = CacheAside::try_new(backend, policy, &Telemetry::global()).unwrap();
    let loads = Loads::default();
    let ask = || cache.entry("k").get_or_load(|| loads.slow("more than ten"));
    let answers = tokio::join!(ask(), ask(), ask(), ask());
    let answers: [Loaded; 4] = answers.into();
    assert!(answers.iter().all(|answer| answer.as_deref() == Ok("more than ten")));
    assert_eq!(loads.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_given_up_makes_old_what_it_may_have_written() {
    let cache = over(MemoryCache::default());
    cache.entry("k").put(&1).await;
    cache.entry("page").tag("list").put(&1).await;
    let write = cache.write().key("k").tag("list");
    let handler = async {
        std::future::pending::<()>().await;
        write.done().await
    };
    tokio::time::timeout(Duration::from_secs(1), handler).await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(cache.entry("k").get::<i32>().await, None);
    assert_eq!(cache.entry("page").get::<i32>().await, None);
    // What was sent to the store when its caller went away may be carried out only now.
    cache.entry("k").put(&1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(cache.entry("k").get::<i32>().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_done_is_told_once() {
    let cache = over(MemoryCache::default());
    cache.entry("k").put(&1).await;
    assert!(cache.write().key("k").pattern("l*").done().await);
    assert_eq!(cache.entry("k").get::<i32>().await, None);
    cache.entry("k").put(&2).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(cache.entry("k").get::<i32>().await, Some(2));
}

#[tokio::test]
async fn a_setting_out_of_range_is_refused() {
    let mut policy = Policy::default();
    policy.jitter = 2.0;
    let backend = Arc::new(MemoryCache::default());
    let error = CacheAside::try_new(backend, policy, &Telemetry::global()).unwrap_err();
    assert_eq!(error.setting, "jitter");
}

/// Counts loadings.
#[derive(Default)]
struct Loads(AtomicU32);

impl Loads {
    async fn answer(&self, value: &str) -> Loaded {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(value.to_owned())
    }

    async fn slow(&self, value: &str) -> Loaded {
        let answer = self.answer(value).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

fn over(backend: impl Cache) -> CacheAside {
    measured(Arc::new(backend)).1
}

fn measured(backend: Arc<impl Cache>) -> (Telemetry, CacheAside) {
    let telemetry = Telemetry::init(Identity::new("test"), Options::quiet()).unwrap();
    let mut policy = Policy::default();
    policy.jitter = 0.0;
    let cache = CacheAside::try_new(backend, policy, &telemetry).unwrap();
    (telemetry, cache)
}

/// How many questions ended so.
fn requests(telemetry: &Telemetry, outcome: &str) -> u64 {
    let text = telemetry.metrics_text();
    let outcome = format!("outcome=\"{outcome}\"");
    let line = text
        .lines()
        .find(|line| line.starts_with("regatta_cache_requests") && line.contains(&outcome));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}
