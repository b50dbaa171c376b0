//! Waiting for keys: who is woken, and what index each query shows.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::api::Answer;
use crate::server::{LIMIT, Server};

/// Asks and waits; answered or not.
async fn held(server: &Arc<Server>, path: &str) -> tokio::task::JoinHandle<Answer> {
    let (own, path) = (Arc::clone(server), path.to_owned());
    TaskTracker::new().spawn(async move { own.get(&path).await })
}

async fn blocked(server: &Server, count: usize) {
    let line = format!("regatta_control_blocked_queries {count}\n");
    server.until_text("/metrics", |text| text.contains(&line)).await;
}

#[tokio::test]
async fn a_change_wakes_who_waits_for_the_key_or_its_prefix_and_nobody_else() {
    let server = Arc::new(Server::start().await);
    server.put_key("a/x", "1").await;
    server.put_key("b", "1").await;
    let index = async |path: &str| server.get(path).await.index();
    let paths = ["a/x", "a/?recurse", "a/?keys", "?recurse", "b", "b?recurse", "a/none"];
    let mut waiting = Vec::new();
    for path in paths {
        let path = format!("/v1/kv/{path}");
        let sign = if path.contains('?') { '&' } else { '?' };
        let known = index(&path).await;
        waiting.push(held(&server, &format!("{path}{sign}index={known}&wait=3s")).await);
    }
    blocked(&server, 7).await;
    let start = tokio::time::Instant::now();
    server.put_key("a/x", "2").await;
    let others = waiting.split_off(4);
    for answer in waiting {
        assert!(answer.await.unwrap().text.contains("a/x"));
    }
    assert!(start.elapsed() < Duration::from_secs(3), "woken, not timed out");
    blocked(&server, 3).await;
    for answer in others {
        answer.await.unwrap();
        assert!(start.elapsed() > Duration::from_secs(2), "nothing changed for it");
    }
}

#[tokio::test]
async fn a_deletion_wakes_and_its_index_stays() {
    let server = Arc::new(Server::start().await);
    server.put_key("a/x", "1").await;
    server.put_key("a/y", "1").await;
    let before = server.get("/v1/kv/a/?recurse").await.index();
    let waiting = held(&server, &format!("/v1/kv/a/?recurse&index={before}&wait=20s")).await;
    let single = held(&server, &format!("/v1/kv/a/y?index={before}&wait=20s")).await;
    blocked(&server, 2).await;
    server.delete("/v1/kv/a/y").await;
    let answer = waiting.await.unwrap();
    assert!(answer.index() > before && !answer.text.contains("a/y"));
    let gone = single.await.unwrap();
    assert_eq!((gone.status.as_u16(), gone.index()), (404, answer.index()));
    // Other keys do not move it.
    server.put_key("b", "1").await;
    assert_eq!(server.get("/v1/kv/a/?keys").await.index(), answer.index());
    assert_eq!(server.get("/v1/kv/a/y").await.index(), answer.index());
    server.delete("/v1/kv/a/?recurse").await;
    let empty = server.get("/v1/kv/a/?recurse").await;
    assert_eq!(empty.status, 404);
    assert!(empty.index() > answer.index());
}

#[tokio::test]
async fn a_key_that_does_not_exist_yet_can_be_waited_for() {
    let server = Arc::new(Server::start().await);
    let index = server.get("/v1/kv/new").await.index();
    let waiting = held(&server, &format!("/v1/kv/new?index={index}&wait=20s")).await;
    blocked(&server, 1).await;
    server.put_key("new", "here").await;
    let answer = waiting.await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.index() > index);
}

#[tokio::test]
async fn no_index_goes_backwards_over_changes_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a", "a/x", "a/?recurse", "?keys", "none"];
    let mut shown = [0; 5];
    for round in 0..3 {
        let server = Server::at(([127, 0, 0, 1], 0).into(), folder.path()).await;
        for (change, key) in ["a", "a/x", "b", "a", "a/x"].into_iter().enumerate() {
            match (change + round) % 3 {
                0 => _ = server.delete(&format!("/v1/kv/{key}?recurse")).await,
                _ => _ = server.put_key(key, &format!("{round} {change}")).await,
            }
            for (path, shown) in paths.iter().zip(&mut shown) {
                let index = server.get(&format!("/v1/kv/{path}")).await.index();
                assert!(index >= *shown && index > 0, "{path}: {index} after {shown}");
                *shown = index;
            }
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn a_wait_is_over_after_its_time() {
    let server = Server::start().await;
    server.put_key("a", "1").await;
    let index = server.get("/v1/kv/a").await.index();
    let start = tokio::time::Instant::now();
    let answer = server.get(&format!("/v1/kv/a?index={index}&wait=200ms")).await;
    assert_eq!((answer.status.as_u16(), answer.index()), (200, index));
    assert!(start.elapsed() >= Duration::from_millis(200) && start.elapsed() < LIMIT);
}
