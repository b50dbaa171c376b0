//! Blocking queries: who is woken, when, and that no index goes backwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::task::TaskTracker;

use crate::server::{LIMIT, Server};

#[tokio::test]
async fn a_change_wakes_every_watcher_of_its_service_and_no_other() {
    let server = Arc::new(Server::start().await);
    server.done("/v1/agent/service/register", r#"{"name":"one"}"#).await;
    server.done("/v1/agent/service/register", r#"{"name":"two"}"#).await;
    let index = server.get("/v1/health/service/one").await.index();
    let other = server.get("/v1/health/service/two").await.index();
    let tasks = TaskTracker::new();
    let watchers: Vec<_> = (0..50)
        .map(|_| {
            let server = Arc::clone(&server);
            let path = format!("/v1/health/service/one?passing&index={index}&wait=20s");
            tasks.spawn(async move { server.get(&path).await })
        })
        .collect();
    let bystander = {
        let server = Arc::clone(&server);
        let path = format!("/v1/health/service/two?index={other}&wait=3s");
        tasks.spawn(async move { (server.get(&path).await.index(), now()) })
    };
    blocked(&server, 51).await;
    let changed = now();
    server.done("/v1/agent/service/deregister/one", "").await;
    for watcher in watchers {
        let answer = watcher.await.unwrap();
        assert!(answer.index() > index);
        assert_eq!(answer.text, "[]");
    }
    assert!(changed.elapsed() < Duration::from_secs(3), "woken, not timed out");
    let (shown, answered) = bystander.await.unwrap();
    assert_eq!(shown, other, "nothing changed for it");
    assert!(answered.duration_since(changed) > Duration::from_secs(1));
}

#[tokio::test]
async fn a_query_behind_the_index_is_answered_at_once_and_one_at_it_waits() {
    let server = Server::start().await;
    server.done("/v1/agent/service/register", r#"{"name":"one"}"#).await;
    let index = server.get("/v1/health/service/one").await.index();
    let start = now();
    server.get(&format!("/v1/health/service/one?index={}&wait=10s", index - 1)).await;
    assert!(start.elapsed() < Duration::from_secs(5));
    let start = now();
    let answer = server.get(&format!("/v1/health/service/one?index={index}&wait=200ms")).await;
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert_eq!(answer.index(), index);
}

#[tokio::test]
async fn a_change_of_health_wakes_and_a_repeated_registration_does_not() {
    let server = Arc::new(Server::start().await);
    let body = r#"{"name":"one","check":{"ttl":"1h"}}"#;
    server.done("/v1/agent/service/register", body).await;
    let index = server.get("/v1/health/service/one").await.index();
    server.done("/v1/agent/service/register", body).await;
    assert_eq!(server.get("/v1/health/service/one").await.index(), index);
    server.done("/v1/agent/check/pass/service:one", "").await;
    let passed = server.get("/v1/health/service/one").await.index();
    assert!(passed > index);
    server.done("/v1/agent/check/pass/service:one?note=again", "").await;
    assert_eq!(server.get("/v1/health/service/one").await.index(), passed, "a note is no news");
}

#[tokio::test]
async fn no_index_goes_backwards_while_services_come_and_go_and_the_server_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let mut shown = vec![0; 6];
    for _ in 0..3 {
        let server = Server::at(([127, 0, 0, 1], 0).into(), folder.path()).await;
        for round in 0..4 {
            for name in ["a", "b", "c"] {
                let body = format!(r#"{{"name":"{name}","port":{round}}}"#);
                server.done("/v1/agent/service/register", &body).await;
                look(&server, &mut shown).await;
                if round % 2 == 1 {
                    server.done(&format!("/v1/agent/service/deregister/{name}"), "").await;
                    look(&server, &mut shown).await;
                }
            }
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn more_blocking_queries_than_allowed_are_refused_and_places_are_freed() {
    let server = Arc::new(Server::with(|settings| settings.max_blocked_queries = 1).await);
    let index = server.get("/v1/catalog/services").await.index();
    let path = format!("/v1/catalog/services?index={index}&wait=20s");
    let (held, waiting) = (Arc::clone(&server), path.clone());
    let held = TaskTracker::new().spawn(async move { held.get(&waiting).await });
    blocked(&server, 1).await;
    let refused = server.get(&path).await;
    assert_eq!(refused.status, 429);
    assert!(refused.text.contains("max_blocked_queries"), "{}", refused.text);
    // The client goes away; its place is free again.
    held.abort();
    blocked(&server, 0).await;
    let short = format!("/v1/catalog/services?index={index}&wait=1ms");
    assert_eq!(server.get(&short).await.status, 200);
}

async fn look(server: &Server, shown: &mut [u64]) {
    let paths = [
        "/v1/health/service/a",
        "/v1/health/service/b",
        "/v1/health/service/none",
        "/v1/catalog/services",
        "/v1/catalog/node/regatta",
        "/v1/health/state/any",
    ];
    for (path, shown) in paths.iter().zip(shown) {
        let index = server.get(path).await.index();
        assert!(index >= *shown && index > 0, "{path}: {index} after {shown}");
        *shown = index;
    }
}

/// Waits until so many queries are held.
async fn blocked(server: &Server, count: usize) {
    let line = format!("regatta_control_blocked_queries {count}\n");
    let wait = async {
        while !server.get("/metrics").await.text.contains(&line) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap();
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
