//! What every cache must do; each backend's tests run all of it.
//!
//! The checks need no empty cache: each uses keys and tags of its own. `one` and `two` are the same
//! cache seen from two processes; of a cache within a process, twice the same.

#![allow(clippy::unwrap_used, reason = "checks panic on failure, as tests do")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::{Begin, Cache, Fill, Invalidate, Key, NewEntry, Pattern, Tag};

const LEASE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);
/// How long something may take that takes a moment.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs every check.
///
/// # Panics
///
/// When the cache does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: entries may be left behind.
pub async fn all(one: &dyn Cache, two: &dyn Cache) {
    keeps_what_it_is_given(one, two).await;
    an_entry_ends_with_its_time(one).await;
    a_fill_is_kept(one, two).await;
    one_of_those_who_begin_loads(one, two).await;
    a_fill_given_back_is_taken_by_the_next(one, two).await;
    a_lease_ends_by_itself(one, two).await;
    a_slow_fill_is_kept_also_after_its_lease(one, two).await;
    a_fill_from_before_an_invalidation_is_dropped(one, two).await;
    a_fill_after_an_invalidation_is_kept(one, two).await;
    a_fill_from_before_a_put_is_dropped(one, two).await;
    an_invalidation_lets_the_next_one_load_at_once(one, two).await;
    a_tag_drops_what_carries_it_and_nothing_else(one, two).await;
    a_pattern_drops_what_it_fits_and_nothing_else(one, two).await;
    characters_of_other_patterns_stand_for_themselves(one).await;
    many_entries_go_at_once(one, two).await;
    one.probe().await.unwrap();
}

async fn keeps_what_it_is_given(one: &dyn Cache, two: &dyn Cache) {
    let key = Names::new().key("a");
    assert_eq!(one.get(&key).await.unwrap(), None);
    for json in ["{\"name\":\"Ádá \\\" \\u0000 😀\"}", "null", "[]", "\"\""] {
        one.put(&key, &entry(json)).await.unwrap();
        for cache in [one, two] {
            holds(cache, &key, Some(json)).await;
        }
        assert!(!one.get(&key).await.unwrap().unwrap().is_stale);
    }
    drop_keys(two, &[&key]).await;
    for cache in [one, two] {
        holds(cache, &key, None).await;
    }
}

async fn an_entry_ends_with_its_time(cache: &dyn Cache) {
    let key = Names::new().key("short");
    let short = NewEntry { ttl: Duration::from_millis(50), ..entry("1") };
    cache.put(&key, &short).await.unwrap();
    holds(cache, &key, None).await;
    let Begin::Load(fill) = cache.begin(&key, LEASE).await.unwrap() else { panic!("is gone") };
    assert!(cache.fill(&key, fill, &short).await.unwrap());
    holds(cache, &key, None).await;
}

async fn a_fill_is_kept(one: &dyn Cache, two: &dyn Cache) {
    let key = Names::new().key("filled");
    let fill = begin(one, &key).await;
    assert!(one.fill(&key, fill, &entry("1")).await.unwrap());
    holds(one, &key, Some("1")).await;
    holds(two, &key, Some("1")).await;
    let found = two.begin(&key, LEASE).await.unwrap();
    assert!(matches!(&found, Begin::Found(found) if found.json == "1"), "{found:?}");
}

async fn one_of_those_who_begin_loads(one: &dyn Cache, two: &dyn Cache) {
    let key = Names::new().key("one");
    let fill = begin(one, &key).await;
    for other in [one, two] {
        let wait = other.begin(&key, LEASE).await.unwrap();
        let Begin::Wait(longest) = wait else { panic!("should wait, but {wait:?}") };
        assert!(!longest.is_zero() && longest <= LEASE, "{longest:?}");
    }
    assert!(one.fill(&key, fill, &entry("1")).await.unwrap());
    drop_keys(one, &[&key]).await;
    begin(two, &key).await;
}

async fn a_fill_given_back_is_taken_by_the_next(one: &dyn Cache, two: &dyn Cache) {
    let key = Names::new().key("given-back");
    let fill = begin(one, &key).await;
    one.abandon(&key, fill).await.unwrap();
    let next = begin(two, &key).await;
    // It is not the first one's to give back any more.
    one.abandon(&key, fill).await.unwrap();
    assert!(matches!(one.begin(&key, LEASE).await.unwrap(), Begin::Wait(_)));
    assert!(two.fill(&key, next, &entry("1")).await.unwrap());
}

async fn a_lease_ends_by_itself(one: &dyn Cache, two: &dyn Cache) {
    let key = Names::new().key("ends");
    let begun = one.begin(&key, Duration::from_millis(50)).await.unwrap();
    assert!(matches!(begun, Begin::Load(_)));
    let next = tokio::time::timeout(LIMIT, async {
        loop {
            match two.begin(&key, LEASE).await.unwrap() {
                Begin::Load(fill) => return fill,
                Begin::Wait(longest) => tokio::time::sleep(longest).await,
                Begin::Found(found) => panic!("nobody filled it: {found:?}"),
            }
        }
    });
    next.await.expect("the lease ends");
}

async fn a_slow_fill_is_kept_also_after_its_lease(one: &dyn Cache, two: &dyn Cache) {
    let key = Names::new().key("slow");
    let Begin::Load(slow) = one.begin(&key, Duration::from_millis(10)).await.unwrap() else {
        panic!("nobody else loads")
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(one.fill(&key, slow, &entry("1")).await.unwrap());
    holds(two, &key, Some("1")).await;
}

async fn a_fill_from_before_an_invalidation_is_dropped(one: &dyn Cache, two: &dyn Cache) {
    let names = Names::new();
    let key = names.key("x");
    for what in [
        Invalidate::Keys(vec![key.clone()]),
        Invalidate::Tag(names.tag()),
        Invalidate::Pattern(names.pattern("*")),
    ] {
        let fill = begin(one, &key).await;
        two.invalidate(&what).await.unwrap();
        let tagged = NewEntry { tags: vec![names.tag()], ..entry("old") };
        assert!(!one.fill(&key, fill, &tagged).await.unwrap(), "{what:?}");
        for cache in [one, two] {
            holds(cache, &key, None).await;
        }
    }
}

async fn a_fill_after_an_invalidation_is_kept(one: &dyn Cache, two: &dyn Cache) {
    let names = Names::new();
    let key = names.key("x");
    for what in [
        Invalidate::Keys(vec![key.clone()]),
        Invalidate::Tag(names.tag()),
        Invalidate::Pattern(names.pattern("*")),
    ] {
        two.invalidate(&what).await.unwrap();
        let fill = begin(one, &key).await;
        let tagged = NewEntry { tags: vec![names.tag()], ..entry("new") };
        assert!(one.fill(&key, fill, &tagged).await.unwrap(), "{what:?}");
        holds(two, &key, Some("new")).await;
        two.invalidate(&what).await.unwrap();
        holds(two, &key, None).await;
    }
}

async fn a_fill_from_before_a_put_is_dropped(one: &dyn Cache, two: &dyn Cache) {
    let key = Names::new().key("put");
    let fill = begin(one, &key).await;
    two.put(&key, &entry("new")).await.unwrap();
    assert!(!one.fill(&key, fill, &entry("old")).await.unwrap());
    for cache in [one, two] {
        holds(cache, &key, Some("new")).await;
    }
}

async fn an_invalidation_lets_the_next_one_load_at_once(one: &dyn Cache, two: &dyn Cache) {
    let key = Names::new().key("next");
    begin(one, &key).await;
    drop_keys(two, &[&key]).await;
    begin(two, &key).await;
}

async fn a_tag_drops_what_carries_it_and_nothing_else(one: &dyn Cache, two: &dyn Cache) {
    let (names, others) = (Names::new(), Names::new());
    let (filled, put, other) = (names.key("filled"), names.key("put"), names.key("other"));
    let tagged = NewEntry { tags: vec![others.tag(), names.tag()], ..entry("1") };
    let fill = begin(one, &filled).await;
    assert!(one.fill(&filled, fill, &tagged).await.unwrap());
    one.put(&put, &tagged).await.unwrap();
    one.put(&other, &NewEntry { tags: vec![others.tag()], ..entry("2") }).await.unwrap();
    for key in [&filled, &put, &other] {
        assert!(two.get(key).await.unwrap().is_some());
    }
    assert_eq!(two.invalidate(&Invalidate::Tag(names.tag())).await.unwrap(), 2);
    for cache in [one, two] {
        holds(cache, &filled, None).await;
        holds(cache, &put, None).await;
        holds(cache, &other, Some("2")).await;
    }
    assert_eq!(two.invalidate(&Invalidate::Tag(names.tag())).await.unwrap(), 0);
}

async fn a_pattern_drops_what_it_fits_and_nothing_else(one: &dyn Cache, two: &dyn Cache) {
    let names = Names::new();
    let (a, b, other) = (names.key("list:1"), names.key("list:2"), names.key("other"));
    for key in [&a, &b, &other] {
        one.put(key, &entry("1")).await.unwrap();
        holds(two, key, Some("1")).await;
    }
    let lists = Invalidate::Pattern(names.pattern("list:*"));
    assert_eq!(two.invalidate(&lists).await.unwrap(), 2);
    for cache in [one, two] {
        holds(cache, &a, None).await;
        holds(cache, &b, None).await;
        holds(cache, &other, Some("1")).await;
    }
}

async fn characters_of_other_patterns_stand_for_themselves(cache: &dyn Cache) {
    let names = Names::new();
    for (pattern, key, other) in
        [("a?*", "a?1", "ab1"), ("[ab]*", "[ab]1", "a1"), ("\\*", "\\1", "x1")]
    {
        let (key, other) = (names.key(key), names.key(other));
        cache.put(&key, &entry("1")).await.unwrap();
        cache.put(&other, &entry("1")).await.unwrap();
        let dropped = cache.invalidate(&Invalidate::Pattern(names.pattern(pattern))).await;
        assert_eq!(dropped.unwrap(), 1, "{pattern}");
        holds(cache, &key, None).await;
        holds(cache, &other, Some("1")).await;
    }
}

/// More than fit into one step of a backend.
async fn many_entries_go_at_once(one: &dyn Cache, two: &dyn Cache) {
    const MANY: usize = 1200;
    let names = Names::new();
    let keys: Vec<_> = (0..MANY).map(|number| names.key(&number.to_string())).collect();
    let by_tag = Invalidate::Tag(names.tag());
    let by_pattern = Invalidate::Pattern(names.pattern("*"));
    let by_key = Invalidate::Keys(keys.clone());
    for what in [by_tag, by_pattern, by_key] {
        for key in &keys {
            one.put(key, &NewEntry { tags: vec![names.tag()], ..entry("1") }).await.unwrap();
        }
        assert_eq!(two.invalidate(&what).await.unwrap(), MANY as u64);
        for key in &keys {
            assert_eq!(two.get(key).await.unwrap(), None);
        }
        holds(one, &keys[0], None).await;
    }
}

/// Waits until the cache holds this: a copy in another process goes with a message.
async fn holds(cache: &dyn Cache, key: &Key, json: Option<&str>) {
    let json = json.map(|json| Bytes::copy_from_slice(json.as_bytes()));
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        let found = cache.get(key).await.unwrap().map(|found| found.json);
        if found == json {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{key} is {found:?}, not {json:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn begin(cache: &dyn Cache, key: &Key) -> Fill {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        match cache.begin(key, LEASE).await.unwrap() {
            Begin::Load(fill) => return fill,
            // A copy in the process that a message has not reached yet.
            Begin::Found(_) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            other => panic!("should load, but {other:?}"),
        }
    }
}

async fn drop_keys(cache: &dyn Cache, keys: &[&Key]) {
    let keys = keys.iter().map(|key| (*key).clone()).collect();
    cache.invalidate(&Invalidate::Keys(keys)).await.unwrap();
}

fn entry(json: &str) -> NewEntry {
    NewEntry { json: Bytes::copy_from_slice(json.as_bytes()), ttl: HOUR, tags: Vec::new() }
}

/// Keys, a tag and patterns that no other check uses.
struct Names(String);

impl Names {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(format!("c{}n{number}", std::process::id()))
    }

    fn key(&self, name: &str) -> Key {
        Key::try_new(format!("{}:{name}", self.0)).unwrap()
    }

    fn tag(&self) -> Tag {
        Tag::try_new(format!("{}:tag", self.0)).unwrap()
    }

    fn pattern(&self, pattern: &str) -> Pattern {
        Pattern::try_new(format!("{}:{pattern}", self.0)).unwrap()
    }
}
