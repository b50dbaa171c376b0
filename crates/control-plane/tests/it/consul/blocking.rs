//! Blocking queries: what wakes them, and which index they show.

use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::Target;

pub(super) async fn suite(target: &Target) {
    reads_show_an_index(target).await;
    a_query_waits_for_the_change_it_asks_for(target).await;
    a_query_without_a_change_ends_with_its_time(target).await;
    a_change_of_health_wakes(target).await;
    a_change_of_a_nodes_metadata_wakes_who_lists_services_by_them(target).await;
}

async fn a_change_of_a_nodes_metadata_wakes_who_lists_services_by_them(target: &Target) {
    let register = async |rack: &str| {
        let body = format!(
            r#"{{"Node":"racked","Address":"10.0.0.9","NodeMeta":{{"rack":"{rack}"}},
                "Service":{{"Service":"db"}}}}"#
        );
        target.done("/v1/catalog/register", &body).await;
    };
    register("r1").await;
    let path = "/v1/catalog/services?node-meta=rack:r2";
    let before = target.get(path).await;
    assert_eq!(before.json(), serde_json::json!({}));
    let (api, query) = (target.api.clone(), format!("{path}&index={}&wait=20s", before.index()));
    let waiting = TaskTracker::new().spawn(async move { api.get(&query).await });
    register("r2").await;
    assert!(waiting.await.unwrap().index() > before.index());
    target.until(path, |names| *names == serde_json::json!({"db": []})).await;
    target.done("/v1/catalog/deregister", r#"{"Node":"racked"}"#).await;
}

async fn reads_show_an_index(target: &Target) {
    let node = format!("/v1/catalog/node/{}", target.node);
    for path in [
        "/v1/catalog/nodes",
        "/v1/catalog/services",
        "/v1/catalog/service/none",
        &node,
        "/v1/health/service/none",
        "/v1/health/checks/none",
        "/v1/health/state/any",
        "/v1/health/node/none",
    ] {
        let answer = target.get(path).await;
        assert!(answer.index() > 0, "{path}");
        assert_eq!(answer.header("x-consul-knownleader"), "true", "{path}");
        assert_eq!(answer.header("x-consul-lastcontact"), "0", "{path}");
    }
}

async fn a_query_waits_for_the_change_it_asks_for(target: &Target) {
    for path in ["/v1/health/service/one", "/v1/catalog/service/one", "/v1/catalog/services"] {
        let index = target.get(path).await.index();
        let (api, query) = (target.api.clone(), format!("{path}?index={index}&wait=20s"));
        let waiting = TaskTracker::new().spawn(async move { api.get(&query).await });
        target.done("/v1/agent/service/register", r#"{"name":"one"}"#).await;
        let answer = waiting.await.unwrap();
        assert!(answer.index() > index, "{path}");
        target.done("/v1/agent/service/deregister/one", "").await;
        target.until("/v1/health/service/one", |found| found[0].is_null()).await;
        assert!(target.get(path).await.index() >= answer.index(), "{path} went backwards");
    }
}

async fn a_query_without_a_change_ends_with_its_time(target: &Target) {
    let index = target.get("/v1/catalog/nodes").await.index();
    for wait in ["20ms", "0.1s", "100ms"] {
        let start = tokio::time::Instant::now();
        let answer = target.get(&format!("/v1/catalog/nodes?index={index}&wait={wait}")).await;
        assert_eq!(answer.index(), index);
        assert!(start.elapsed() >= Duration::from_millis(20));
    }
    let start = tokio::time::Instant::now();
    target.get("/v1/catalog/nodes?index=1&wait=20s").await;
    assert!(start.elapsed() < Duration::from_secs(10), "an older index is answered at once");
}

async fn a_change_of_health_wakes(target: &Target) {
    let body = r#"{"name":"sick","check":{"ttl":"1h","status":"passing"}}"#;
    target.done("/v1/agent/service/register", body).await;
    target.until("/v1/health/service/sick?passing", |found| found[0].is_object()).await;
    let index = target.get("/v1/health/service/sick?passing").await.index();
    let path = format!("/v1/health/service/sick?passing&index={index}&wait=20s");
    let api = target.api.clone();
    let waiting = TaskTracker::new().spawn(async move { api.get(&path).await });
    target.done("/v1/agent/check/fail/service:sick", "").await;
    let answer = waiting.await.unwrap();
    assert!(answer.index() > index);
    assert_eq!(answer.text.trim(), "[]");
    target.done("/v1/agent/service/deregister/sick", "").await;
}
