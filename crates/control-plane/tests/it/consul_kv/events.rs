//! Events: fired, listed, waited for.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::clear;
use crate::consul::Target;
use crate::server::Server;

/// Every check of this file that a real Consul passes, too.
pub(crate) async fn suite(server: &Target) {
    clear(server).await;
    an_event_is_listed_by_its_name_and_its_index_is_its_id(server).await;
    clear(server).await;
    an_event_for_others_is_not_listed_here(server).await;
    clear(server).await;
    wrong_filters_and_too_large_payloads_are_refused(server).await;
}

async fn an_event_is_listed_by_its_name_and_its_index_is_its_id(server: &Target) {
    let empty = server.get("/v1/event/list").await;
    assert_eq!((empty.json(), empty.index()), (json!([]), 1));
    let fired = server.put("/v1/event/fire/deploy", "v2").await.json();
    assert_eq!((&fired["Name"], &fired["Payload"]), (&json!("deploy"), &json!("djI=")));
    assert_eq!((&fired["Version"], &fired["LTime"]), (&json!(1), &json!(0)));
    server.put("/v1/event/fire/other", "").await;
    listed(server, "other").await;
    let list = server.get("/v1/event/list?name=deploy").await;
    let (index, list) = (list.index(), list.json());
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["ID"], fired["ID"]);
    assert!(list[0]["LTime"].as_u64().unwrap() > 0);
    let id = fired["ID"].as_str().unwrap().replace('-', "");
    let halves = [&id[..16], &id[16..]].map(|half| u64::from_str_radix(half, 16).unwrap());
    assert_eq!(index, halves[0] ^ halves[1]);
    let all = server.get("/v1/event/list").await.json();
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(all[1]["Payload"], Value::Null);
}

#[tokio::test]
async fn who_knows_the_latest_is_woken_by_the_next() {
    let server = Arc::new(Server::start().await);
    server.put("/v1/event/fire/a", "").await;
    let index = server.get("/v1/event/list?name=a").await.index();
    let own = Arc::clone(&server);
    let path = format!("/v1/event/list?name=a&index={index}&wait=20s");
    let waiting = TaskTracker::new().spawn(async move { own.get(&path).await });
    let line = "regatta_control_blocked_queries 1\n";
    server.until_text("/metrics", |text| text.contains(line)).await;
    // One of another name does not.
    server.put("/v1/event/fire/b", "").await;
    server.put("/v1/event/fire/a", "new").await;
    let answer = waiting.await.unwrap();
    assert_ne!(answer.index(), index);
    assert_eq!(answer.json()[1]["Payload"], "bmV3");
    // Another index than the latest is answered at once.
    assert_eq!(server.get("/v1/event/list?index=7&wait=20s").await.status, 200);
}

async fn an_event_for_others_is_not_listed_here(server: &Target) {
    let body = r#"{"name":"web","tags":["v1"]}"#;
    server.done("/v1/agent/service/register", body).await;
    let own = format!("node={}", server.node);
    let events = [
        ("1", own.as_str(), true),
        ("2", "node=other", false),
        ("3", "service=web", true),
        ("4", "service=w.b", true),
        ("5", "service=db", false),
        ("6", "service=web&tag=v1", true),
        ("7", "service=web&tag=v2", false),
    ];
    for (name, query, _) in events {
        server.done(&format!("/v1/event/fire/{name}?{query}"), "").await;
    }
    server.done("/v1/event/fire/last", "").await;
    listed(server, "last").await;
    for (name, query, is_listed) in events {
        let listed = server.get(&format!("/v1/event/list?name={name}")).await.json();
        assert_eq!(listed.as_array().unwrap().len(), usize::from(is_listed), "{query}");
    }
}

async fn wrong_filters_and_too_large_payloads_are_refused(server: &Target) {
    assert_eq!(server.put("/v1/event/fire/a?node=(", "").await.status, 500);
    assert_eq!(server.put("/v1/event/fire/a?tag=x", "").await.status, 500);
    assert_eq!(server.put("/v1/event/fire/", "").await.status, 400);
    assert_eq!(server.put("/v1/event/fire/a", &"x".repeat(512)).await.status, 500);
    assert_eq!(server.put("/v1/event/fire/a", &"x".repeat(300)).await.status, 200);
}

/// Waits until an event of this name has come back: a real Consul gossips it first.
async fn listed(server: &Target, name: &str) {
    let path = format!("/v1/event/list?name={name}");
    server.until(&path, |list| list.as_array().is_some_and(|list| !list.is_empty())).await;
}
