//! What every config center must do; each backend's tests run all of it.
//!
//! The checks need no empty center: each uses keys of its own, told apart by a random number.

#![allow(clippy::unwrap_used, reason = "checks panic on failure, as tests do")]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{
    Center, CenterError, Change, Commit, ConfigCenter, Expected, Follow, Freshness, Known, Mirror,
    Query, Rhythm, Which,
};

/// How long anything may take to be seen.
const LIMIT: Duration = Duration::from_secs(20);

/// Forgets the past of a center, for the checks of what follows from that.
#[async_trait::async_trait]
pub trait Compact: Send + Sync {
    /// Compacts all before a revision.
    async fn compact(&self, revision: u64);
}

/// Runs every check.
///
/// # Panics
///
/// When the center does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: keys may be left behind.
pub async fn all(center: Arc<dyn ConfigCenter>, compact: &dyn Compact) {
    a_key_is_set_read_and_deleted(&*center).await;
    a_prefix_is_listed_in_order_and_bounded(&*center).await;
    of_two_who_saw_the_same_one_is_told(&*center).await;
    a_commit_happens_at_one_revision_or_not_at_all(&*center).await;
    the_past_can_be_read(&*center).await;
    a_follower_hears_the_past_and_then_the_present(&*center).await;
    a_follower_of_a_key_hears_only_of_that(&*center).await;
    a_history_is_complete(&*center).await;
    a_lease_ends_with_its_keys(&*center).await;
    a_lease_that_is_renewed_lives(&*center).await;
    a_callback_hears_changes_until_it_is_stopped(Arc::clone(&center)).await;
    a_mirror_holds_what_there_is(Arc::clone(&center)).await;
    what_is_compacted_is_told_and_read_anew(Arc::clone(&center), compact).await;
}

/// A key of R4's sketch: none when absent, then its value, then none again.
async fn a_key_is_set_read_and_deleted(center: &dyn ConfigCenter) {
    let key = unique("set");
    assert_eq!(center.get(&key).await.unwrap(), None);
    assert!(!center.delete(&key, Expected::Any).await.unwrap());
    let revision = center.set(&key, "grüße: {a: 1}", Expected::Any).await.unwrap();
    let item = center.get(&key).await.unwrap().unwrap();
    assert_eq!((&*item.key, &*item.value, item.revision), (&*key, "grüße: {a: 1}", revision));
    assert!(center.set(&key, "", Expected::Any).await.unwrap() > revision);
    assert_eq!(&*center.get(&key).await.unwrap().unwrap().value, "");
    assert!(center.delete(&key, Expected::Any).await.unwrap());
    assert_eq!(center.get(&key).await.unwrap(), None);
}

/// A listing is sorted, and a limit leaves the count true.
async fn a_prefix_is_listed_in_order_and_bounded(center: &dyn ConfigCenter) {
    let prefix = unique("list");
    for key in ["b", "a", "c"] {
        center.set(&format!("{prefix}/{key}"), key, Expected::Any).await.unwrap();
    }
    center.set(&format!("{prefix}0"), "beside", Expected::Any).await.unwrap();
    let all = center.list(&Query::prefix(format!("{prefix}/"))).await.unwrap();
    let values: Vec<_> = all.items.iter().map(|item| &*item.value).collect();
    assert_eq!((values, all.total), (vec!["a", "b", "c"], 3));
    assert!(all.items.iter().all(|item| item.revision <= all.revision));
    let two = center.list(&Query::prefix(format!("{prefix}/")).limit(2)).await.unwrap();
    assert_eq!((two.items.len(), two.total), (2, 3));
}

/// Optimistic writes: absent, and of a revision.
async fn of_two_who_saw_the_same_one_is_told(center: &dyn ConfigCenter) {
    let key = unique("expected");
    let first = center.set(&key, "1", Expected::Absent).await.unwrap();
    let late = center.set(&key, "x", Expected::Absent).await;
    assert!(matches!(late, Err(CenterError::Conflict { .. })), "{late:?}");
    let second = center.set(&key, "2", Expected::Revision(first)).await.unwrap();
    let late = center.set(&key, "x", Expected::Revision(first)).await;
    assert!(matches!(late, Err(CenterError::Conflict { .. })), "{late:?}");
    let late = center.delete(&key, Expected::Revision(first)).await;
    assert!(matches!(late, Err(CenterError::Conflict { .. })), "{late:?}");
    assert_eq!(&*center.get(&key).await.unwrap().unwrap().value, "2");
    assert!(center.delete(&key, Expected::Revision(second)).await.unwrap());
    let gone = center.set(&key, "x", Expected::Revision(second)).await;
    assert!(matches!(gone, Err(CenterError::Conflict { .. })), "{gone:?}");
}

/// Several keys in one commit.
async fn a_commit_happens_at_one_revision_or_not_at_all(center: &dyn ConfigCenter) {
    let (a, b, c) = (unique("commit-a"), unique("commit-b"), unique("commit-c"));
    center.set(&c, "old", Expected::Any).await.unwrap();
    let commit =
        Commit::new().expect(&*a, Expected::Absent).put(&*a, "1").put(&*b, "2").delete(&*c);
    let done = center.commit(commit.clone()).await.unwrap();
    assert_eq!(done.deleted, 1);
    for key in [&a, &b] {
        assert_eq!(center.get(key).await.unwrap().unwrap().revision, done.revision);
    }
    assert_eq!(center.get(&c).await.unwrap(), None);
    let again = center.commit(commit.put(unique("commit-d"), "3")).await;
    assert!(matches!(again, Err(CenterError::Conflict { .. })), "{again:?}");
    let twice = center.commit(Commit::new().put(&*a, "1").delete(&*a)).await;
    assert!(matches!(twice, Err(CenterError::Refused { .. })), "{twice:?}");
    let most =
        (0..Commit::MOST).fold(Commit::new(), |commit, i| commit.put(format!("{a}/{i}"), ""));
    center.commit(most).await.unwrap();
}

/// Reading at a revision.
async fn the_past_can_be_read(center: &dyn ConfigCenter) {
    let key = unique("past");
    let first = center.set(&key, "1", Expected::Any).await.unwrap();
    let second = center.set(&key, "2", Expected::Any).await.unwrap();
    center.delete(&key, Expected::Any).await.unwrap();
    for (revision, value) in [(first, "1"), (second, "2")] {
        let past = center.list(&Query::key(&*key).at(revision)).await.unwrap();
        assert_eq!((past.revision, &*past.items[0].value), (revision, value));
    }
    let future = center.list(&Query::key(&*key).at(second + 1_000_000)).await;
    assert!(matches!(future, Err(CenterError::Future { .. })), "{future:?}");
}

/// Each change once and in order, those of one commit together.
async fn a_follower_hears_the_past_and_then_the_present(center: &dyn ConfigCenter) {
    let prefix = unique("follow");
    let key = |name: &str| format!("{prefix}/{name}");
    let first = center.set(&key("a"), "1", Expected::Any).await.unwrap();
    center.delete(&key("a"), Expected::Any).await.unwrap();
    let mut follow = center.follow(&Which::Prefix(format!("{prefix}/")), first).await.unwrap();
    assert_eq!(next(&mut follow, 2).await, ["a=1", "a gone"]);
    center.set(&format!("{prefix}0"), "beside", Expected::Any).await.unwrap();
    let together = Commit::new().put(key("b"), "1").put(key("c"), "1");
    let revision = center.commit(together).await.unwrap().revision;
    let batch = tokio::time::timeout(LIMIT, follow.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((batch.revision, batch.changes.len()), (revision, 2));
    center.set(&key("b"), "2", Expected::Any).await.unwrap();
    assert_eq!(next(&mut follow, 1).await, ["b=2"]);
}

/// A key that another one begins with.
async fn a_follower_of_a_key_hears_only_of_that(center: &dyn ConfigCenter) {
    let key = unique("one");
    let first = center.set(&format!("{key}1"), "other", Expected::Any).await.unwrap();
    let mut follow = center.follow(&Which::Key(key.clone()), first).await.unwrap();
    center.set(&format!("{key}/x"), "other", Expected::Any).await.unwrap();
    center.set(&key, "1", Expected::Any).await.unwrap();
    let batch = tokio::time::timeout(LIMIT, follow.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(batch.changes[0].value().map(|value| &**value), Some("1"));
}

/// All that happened to a prefix, deletions included, or the last of it.
async fn a_history_is_complete(center: &dyn ConfigCenter) {
    let prefix = unique("history");
    let key = |name: &str| format!("{prefix}/{name}");
    center.set(&key("a"), "1", Expected::Any).await.unwrap();
    center.set(&key("a"), "2", Expected::Any).await.unwrap();
    center.set(&key("b"), "1", Expected::Any).await.unwrap();
    let last = center.commit(Commit::new().delete(key("a"))).await.unwrap().revision;
    let which = Which::Prefix(format!("{prefix}/"));
    let all = center.history(&which, 100).await.unwrap();
    assert_eq!(shown(&all.changes), ["a=1", "a=2", "b=1", "a gone"]);
    assert_eq!(all.changes[3].revision(), last);
    let some = center.history(&which, 2).await.unwrap();
    assert_eq!(shown(&some.changes), ["b=1", "a gone"]);
    assert_eq!(some.since, all.changes[1].revision() + 1);
    let none = center.history(&Which::Key(key("never")), 10).await.unwrap();
    assert_eq!(none.changes, []);
}

/// Keys of a lease that nobody renews, and of one that is revoked.
async fn a_lease_ends_with_its_keys(center: &dyn ConfigCenter) {
    let (short, ended) = (unique("lease-short"), unique("lease-ended"));
    let lease = center.grant(Duration::from_secs(1)).await.unwrap();
    center.commit(Commit::new().put_with(&*short, "", lease)).await.unwrap();
    let revoked = center.grant(Duration::from_secs(60)).await.unwrap();
    center.commit(Commit::new().put_with(&*ended, "", revoked)).await.unwrap();
    center.revoke(revoked).await.unwrap();
    assert_eq!(center.get(&ended).await.unwrap(), None);
    until("the key of the lease is gone", async || center.get(&short).await.unwrap().is_none())
        .await;
    let late = center.renew(lease).await;
    assert!(matches!(late, Err(CenterError::NoLease)), "{late:?}");
    let late = center.revoke(lease).await;
    assert!(matches!(late, Err(CenterError::NoLease)), "{late:?}");
    let late = center.commit(Commit::new().put_with(&*short, "", lease)).await;
    assert!(matches!(late, Err(CenterError::NoLease)), "{late:?}");
}

/// Renewals outlast the time that was granted.
async fn a_lease_that_is_renewed_lives(center: &dyn ConfigCenter) {
    let key = unique("lease-renewed");
    let lease = center.grant(Duration::from_secs(2)).await.unwrap();
    center.commit(Commit::new().put_with(&*key, "", lease)).await.unwrap();
    let other = center.grant(Duration::from_secs(2)).await.unwrap();
    let witness = unique("lease-witness");
    center.commit(Commit::new().put_with(&*witness, "", other)).await.unwrap();
    // The other one shows when the time is over.
    until("the time is over", async || {
        center.renew(lease).await.unwrap();
        center.get(&witness).await.unwrap().is_none()
    })
    .await;
    assert!(center.get(&key).await.unwrap().is_some());
    center.revoke(lease).await.unwrap();
}

/// R4's `watch_config` and `stop_watch`.
async fn a_callback_hears_changes_until_it_is_stopped(center: Arc<dyn ConfigCenter>) {
    let key = unique("callback");
    let (tasks, drain) = (TaskTracker::new(), CancellationToken::new());
    let center = Center::new(center, tasks.clone(), drain.clone());
    center.set(&key, "1").await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    center.watch(&key, move |change| drop(tell.send(change))).unwrap();
    let mut heard = async || {
        let change = tokio::time::timeout(LIMIT, told.recv()).await.unwrap();
        change.map(|change| change.value().map(|value| value.to_string()))
    };
    assert_eq!(heard().await, Some(Some("1".to_owned())));
    center.set(&key, "2").await.unwrap();
    assert_eq!(heard().await, Some(Some("2".to_owned())));
    center.delete(&key).await.unwrap();
    assert_eq!(heard().await, Some(None));
    center.stop_watch(&key);
    center.set(&key, "3").await.unwrap();
    assert_eq!(heard().await, None, "the callback is dropped and was not called");
    tasks.close();
    tokio::time::timeout(LIMIT, tasks.wait()).await.unwrap();
}

/// A mirror follows.
async fn a_mirror_holds_what_there_is(center: Arc<dyn ConfigCenter>) {
    let prefix = unique("mirror");
    let key = |name: &str| format!("{prefix}/{name}");
    center.set(&key("a"), "1", Expected::Any).await.unwrap();
    let mirror =
        Mirror::new(Arc::clone(&center), format!("{prefix}/"), Rhythm::default(), Known::default());
    let (handle, drain, tasks) = (mirror.handle(), CancellationToken::new(), TaskTracker::new());
    assert_eq!(handle.current().freshness, Freshness::Unknown);
    tasks.spawn(mirror.run(drain.clone()));
    let values = || {
        let view = handle.current();
        let values: Vec<_> = view.items.values().map(|item| item.value.to_string()).collect();
        (view.freshness.clone(), values.join(" "))
    };
    let fresh = |values: &str| (Freshness::Fresh, values.to_owned());
    until("the first state", async || values() == fresh("1")).await;
    center.set(&key("b"), "2", Expected::Any).await.unwrap();
    until("a change", async || values() == fresh("1 2")).await;
    center.delete(&key("a"), Expected::Any).await.unwrap();
    until("a deletion", async || values() == fresh("2")).await;
    drain.cancel();
    tasks.close();
    tokio::time::timeout(LIMIT, tasks.wait()).await.unwrap();
}

/// The past ends somewhere; who needs more is told, and a mirror that was away reads all.
async fn what_is_compacted_is_told_and_read_anew(
    center: Arc<dyn ConfigCenter>,
    compact: &dyn Compact,
) {
    let prefix = unique("compact");
    let key = |name: &str| format!("{prefix}/{name}");
    let old = center.set(&key("a"), "1", Expected::Any).await.unwrap();
    let known = center.list(&Query::prefix(format!("{prefix}/"))).await.unwrap();
    center.set(&key("a"), "2", Expected::Any).await.unwrap();
    center.delete(&key("a"), Expected::Any).await.unwrap();
    let last = center.set(&key("b"), "1", Expected::Any).await.unwrap();
    compact.compact(last).await;
    let past = center.list(&Query::key(key("a")).at(old)).await;
    assert!(matches!(past, Err(CenterError::Compacted { .. })), "{past:?}");
    let which = Which::Prefix(format!("{prefix}/"));
    let told = match center.follow(&which, old).await {
        Ok(mut follow) => tokio::time::timeout(LIMIT, follow.next()).await.unwrap().unwrap(),
        Err(error) => Err(error),
    };
    assert!(
        matches!(told, Err(CenterError::Compacted { oldest: Some(oldest), .. }) if oldest == last + 1),
        "{told:?}"
    );
    center.set(&key("c"), "1", Expected::Any).await.unwrap();
    let history = center.history(&which, 10).await.unwrap();
    assert_eq!((history.since, shown(&history.changes)), (last + 1, vec!["c=1".to_owned()]));

    let known = Known::from_items(known.items, known.revision);
    let mirror = Mirror::new(center, format!("{prefix}/"), Rhythm::default(), known);
    let (handle, drain, tasks) = (mirror.handle(), CancellationToken::new(), TaskTracker::new());
    assert!(handle.current().items.contains_key(&*key("a")), "what was known before");
    tasks.spawn(mirror.run(drain.clone()));
    until("the whole state", async || {
        let view = handle.current();
        view.freshness == Freshness::Fresh
            && !view.items.contains_key(&*key("a"))
            && view.items.contains_key(&*key("b"))
    })
    .await;
    drain.cancel();
    tasks.close();
    tokio::time::timeout(LIMIT, tasks.wait()).await.unwrap();
}

/// A key that no other check or run uses.
fn unique(name: &str) -> String {
    format!("/conformance/{name}-{:016x}", rand::random::<u64>())
}

/// So many changes, as `a=1` and `a gone`.
async fn next(follow: &mut Follow, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        let batch = tokio::time::timeout(LIMIT, follow.next()).await.unwrap().unwrap().unwrap();
        found.extend(shown(&batch.changes));
    }
    found
}

fn shown(changes: &[Change]) -> Vec<String> {
    let show = |change: &Change| {
        let name = change.key().rsplit('/').next().unwrap_or_default();
        match change.value() {
            Some(value) => format!("{name}={value}"),
            None => format!("{name} gone"),
        }
    };
    changes.iter().map(show).collect()
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let looked = tokio::time::timeout(LIMIT, looking).await;
    assert!(looked.is_ok(), "waited {LIMIT:?} for {what} in vain");
}
