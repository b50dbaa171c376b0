//! The cache in memory.

use std::time::Duration;

use bytes::Bytes;
use regatta_cache::{Cache, Key, MemoryCache, NewEntry, conformance};

#[tokio::test(start_paused = true)]
async fn the_cache_in_memory_conforms() {
    let cache = MemoryCache::default();
    conformance::all(&cache, &cache.clone()).await;
}

#[tokio::test]
async fn it_stays_within_its_bytes_and_says_how_many_it_has() {
    const MOST: usize = 1 << 20;
    let cache = MemoryCache::with_capacity(MOST);
    for number in 0..20_000 {
        let key = Key::try_new(format!("key-{number}")).unwrap();
        let json = Bytes::from(vec![b'1'; number % 300]);
        let entry = NewEntry { json, ttl: Duration::from_secs(60), tags: Vec::new() };
        cache.put(&key, &entry).await.unwrap();
        assert!(cache.usage().bytes <= MOST as u64);
    }
    let usage = cache.usage();
    assert!(usage.entries > 2000 && usage.bytes > MOST as u64 * 9 / 10, "{usage:?}");
    cache.clear();
    assert_eq!(cache.usage(), Default::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_old_value_comes_back_whatever_the_threads_do() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    // The "database": a number that only grows. A reader loads it and fills; a writer writes it and
    // invalidates. After an invalidation has returned no reader may find what was before it.
    let cache = MemoryCache::default();
    let key = Key::try_new("number").unwrap();
    let truth = Arc::new(AtomicU64::new(0));
    let told = Arc::new(AtomicU64::new(0));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (cache, key, truth, told) = (cache.clone(), key.clone(), truth.clone(), told.clone());
        readers.spawn(async move {
            for _ in 0..20_000 {
                let at_least = told.load(Ordering::SeqCst);
                let fill = cache.begin_unleased(&key);
                let loaded = truth.load(Ordering::SeqCst);
                let json = Bytes::from(loaded.to_string());
                let entry = NewEntry { json, ttl: Duration::from_secs(60), tags: Vec::new() };
                cache.end(&key, &fill, &entry);
                if let Some(json) = cache.find(&key) {
                    let found: u64 = std::str::from_utf8(&json).unwrap().parse().unwrap();
                    assert!(found >= at_least, "{found} came back after {at_least}");
                }
            }
        });
    }
    let what = regatta_cache::Invalidate::Keys(vec![key]);
    while !readers.is_empty() {
        let number = truth.fetch_add(1, Ordering::SeqCst) + 1;
        cache.drop_entries(&what);
        told.store(number, Ordering::SeqCst);
        while let Some(ended) = readers.try_join_next() {
            ended.unwrap();
        }
        tokio::task::yield_now().await;
    }
}
