//! The config center in memory, and what follows it over outages.

use std::sync::Arc;
use std::time::Duration;

use regatta_config::center::conformance::{self, Compact};
use regatta_config::center::{
    Change, Commit, ConfigCenter, Expected, Follower, Freshness, Heard, Known, MemoryCenter,
    Mirror, MirrorHandle, Rhythm, Which,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

struct Memory(MemoryCenter);

#[async_trait::async_trait]
impl Compact for Memory {
    async fn compact(&self, revision: u64) {
        self.0.compact(revision);
    }
}

#[tokio::test]
async fn the_center_in_memory_conforms() {
    let center = MemoryCenter::new();
    conformance::all(Arc::new(center.clone()), &Memory(center)).await;
}

#[tokio::test(start_paused = true)]
async fn no_change_is_lost_or_repeated_over_an_outage() {
    let center = MemoryCenter::new();
    let mut told = follow(&center, Rhythm::default());
    set(&center, "a", "1").await;
    assert_eq!(told.recv().await.unwrap(), "a=1");
    center.set_away(true);
    assert!(told.recv().await.unwrap().starts_with("away: "), "says so");
    center.set_away(false);
    for value in ["2", "3"] {
        set(&center, "a", value).await;
    }
    center.delete("/p/a", Expected::Any).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 3 {
        let next = told.recv().await.unwrap();
        heard.extend((!next.starts_with("away")).then_some(next));
    }
    assert_eq!(heard, ["a=2", "a=3", "a gone"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_stays_while_the_center_is_away() {
    let center = MemoryCenter::new();
    set(&center, "a", "1").await;
    let (_end, handle) = mirror(&center, Rhythm::default());
    until(&handle, |state| state == "fresh a=1").await;
    center.set_away(true);
    until(&handle, |state| state == "stale a=1").await;
    center.set_away(false);
    set(&center, "b", "1").await;
    until(&handle, |state| state == "fresh a=1 b=1").await;
}

#[tokio::test(start_paused = true)]
async fn a_wiped_center_is_noticed_although_its_revisions_begin_anew() {
    let center = MemoryCenter::new();
    set(&center, "a", "1").await;
    set(&center, "b", "1").await;
    let (_end, handle) = mirror(&center, Rhythm::default());
    until(&handle, |state| state == "fresh a=1 b=1").await;
    center.set_away(true);
    until(&handle, |state| state.starts_with("stale")).await;
    center.wipe();
    until(&handle, |state| state == "fresh").await;
    set(&center, "c", "1").await;
    until(&handle, |state| state == "fresh c=1").await;
}

/// The new center has come to the revision that was known: only its contents tell the difference.
#[tokio::test(start_paused = true)]
async fn a_wiped_center_that_has_grown_to_the_same_revision_is_noticed() {
    let center = MemoryCenter::new();
    set(&center, "a", "1").await;
    let (_end, handle) = mirror(&center, Rhythm::default());
    until(&handle, |state| state == "fresh a=1").await;
    center.set_away(true);
    until(&handle, |state| state.starts_with("stale")).await;
    center.wipe();
    set(&center, "b", "1").await;
    until(&handle, |state| state == "fresh b=1").await;
}

#[tokio::test(start_paused = true)]
async fn more_keys_than_are_kept_change_nothing_and_that_is_told() {
    let center = MemoryCenter::new();
    set(&center, "a", "1").await;
    let mut rhythm = Rhythm::default();
    rhythm.max_items = 2;
    let (_end, handle) = mirror(&center, rhythm);
    until(&handle, |state| state == "fresh a=1").await;
    let many = (0..3).fold(Commit::new(), |commit, i| commit.put(format!("/p/b{i}"), ""));
    center.commit(many).await.unwrap();
    until(&handle, |state| state == "stale a=1").await;
    let Freshness::Stale { reason } = handle.current().freshness.clone() else { panic!() };
    assert!(reason.contains("more than 2 keys") && reason.contains("`/p/`"), "{reason}");
    for i in 0..2 {
        center.delete(&format!("/p/b{i}"), Expected::Any).await.unwrap();
    }
    until(&handle, |state| state == "fresh a=1 b2=").await;
}

#[tokio::test(start_paused = true)]
async fn bytes_are_bounded_too() {
    let center = MemoryCenter::new();
    let mut rhythm = Rhythm::default();
    rhythm.max_bytes = 100;
    let (_end, handle) = mirror(&center, rhythm);
    until(&handle, |state| state == "fresh").await;
    set(&center, "a", &"x".repeat(200)).await;
    until(&handle, |state| state == "stale").await;
}

async fn set(center: &MemoryCenter, key: &str, value: &str) {
    center.set(&format!("/p/{key}"), value, Expected::Any).await.unwrap();
}

/// Follows `/p/`, and tells each change and each outage as a text.
fn follow(center: &MemoryCenter, rhythm: Rhythm) -> mpsc::UnboundedReceiver<String> {
    let follower = Follower::new(Arc::new(center.clone()), Which::Prefix("/p/".to_owned()), rhythm);
    let (tell, told) = mpsc::unbounded_channel();
    let name = |change: &Change| change.key().trim_start_matches("/p/").to_owned();
    let hear = move |_: &Known, heard: Heard| match heard {
        Heard::Away(reason) => drop(tell.send(format!("away: {reason}"))),
        Heard::Changes(changes) => {
            for change in changes {
                let _gone = tell.send(match change.value() {
                    Some(value) => format!("{}={value}", name(&change)),
                    None => format!("{} gone", name(&change)),
                });
            }
        }
    };
    TaskTracker::new().spawn(follower.run(CancellationToken::new(), hear));
    told
}

fn mirror(center: &MemoryCenter, rhythm: Rhythm) -> (tokio_util::sync::DropGuard, MirrorHandle) {
    let mirror = Mirror::new(Arc::new(center.clone()), "/p/", rhythm, Known::default());
    let (handle, drain) = (mirror.handle(), CancellationToken::new());
    TaskTracker::new().spawn(mirror.run(drain.clone()));
    (drain.drop_guard(), handle)
}

async fn until(handle: &MirrorHandle, is_there: impl Fn(&str) -> bool) {
    let shown = || {
        let view = handle.current();
        let freshness = match view.freshness {
            Freshness::Unknown => "unknown",
            Freshness::Fresh => "fresh",
            Freshness::Stale { .. } => "stale",
        };
        let item = |item: &regatta_config::center::Item| {
            format!(" {}={}", item.key.trim_start_matches("/p/"), item.value)
        };
        let items: String = view.items.values().map(item).collect();
        format!("{freshness}{items}")
    };
    let mut watched = handle.clone();
    let looking = async {
        while !is_there(&shown()) {
            watched.changed().await;
        }
    };
    let looked = tokio::time::timeout(Duration::from_secs(600), looking).await;
    assert!(looked.is_ok(), "in the end it is `{}`", shown());
}
