//! Sessions and the locks they hold.

use serde_json::{Value, json};

use super::clear;
use crate::consul::Target;
use crate::server::Server;

/// The id of no session.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// Every check of this file that a real Consul passes, too.
pub(crate) async fn suite(server: &Target) {
    clear(server).await;
    a_session_is_listed_with_what_it_asked_for(server).await;
    clear(server).await;
    a_session_that_cannot_be_is_refused_with_500(server).await;
    clear(server).await;
    a_lock_has_one_holder_at_a_time_and_counts_them(server).await;
    clear(server).await;
    what_a_session_held_is_released_or_deleted_with_it_and_delayed(server).await;
    clear(server).await;
    a_session_ends_with_its_check_its_service_and_its_node(server).await;
}

async fn a_session_is_listed_with_what_it_asked_for(server: &Target) {
    assert_eq!(server.get("/v1/session/list").await.json(), json!([]));
    let body = r#"{"name":"n","ttl":"60s","behavior":"delete","lockdelay":"5s"}"#;
    let id = server.session(body).await;
    let list = server.get("/v1/session/list").await;
    let session = list.json()[0].clone();
    assert_eq!(session["ID"], json!(id));
    assert_eq!((&session["Name"], &session["TTL"]), (&json!("n"), &json!("60s")));
    assert_eq!((&session["Behavior"], &session["Node"]), (&json!("delete"), &json!(server.node)));
    assert_eq!(session["LockDelay"], json!(5_000_000_000_u64));
    assert_eq!(session["NodeChecks"], json!(["serfHealth"]));
    assert_eq!(session["CreateIndex"], list.index());
    assert_eq!(server.get(&format!("/v1/session/info/{id}")).await.json()[0], session);
    assert_eq!(server.get(&format!("/v1/session/node/{}", server.node)).await.json()[0], session);
    assert_eq!(server.get("/v1/session/node/other").await.json(), json!([]));
    assert_eq!(server.get(&format!("/v1/session/info/{NOBODY}")).await.json(), json!([]));
    let renewed = server.put(&format!("/v1/session/renew/{id}"), "").await;
    assert_eq!(renewed.json()[0], session);
    assert_eq!(server.put(&format!("/v1/session/renew/{NOBODY}"), "").await.status, 404);
    assert_eq!(server.put(&format!("/v1/session/destroy/{id}"), "").await.text, "true");
    assert_eq!(server.put(&format!("/v1/session/destroy/{id}"), "").await.text, "true");
    assert_eq!(server.get("/v1/session/list").await.json(), json!([]));
}

async fn a_session_that_cannot_be_is_refused_with_500(server: &Target) {
    for (body, text) in [
        (r#"{"TTL":"9s"}"#, "Invalid Session TTL '9000000000', must be between [10s=24h0m0s]"),
        (r#"{"TTL":"86401s"}"#, "Invalid Session TTL"),
        (r#"{"TTL":"soon"}"#, "invalid duration"),
        (r#"{"Behavior":"keep"}"#, "Invalid Behavior setting 'keep'"),
        (r#"{"Node":"none"}"#, "Missing node registration"),
        (r#"{"Checks":["none"]}"#, "Missing check 'none' registration"),
    ] {
        let answer = server.put("/v1/session/create", body).await;
        assert_eq!(answer.status, 500, "{body}");
        assert!(answer.text.contains(text), "{}", answer.text);
    }
    assert_eq!(server.put("/v1/session/create", "{").await.status, 400);
    assert_eq!(server.put("/v1/session/create?dc=other", "").await.status, 500);
    assert_eq!(server.put("/v1/session/destroy/", "").await.status, 400);
}

async fn a_lock_has_one_holder_at_a_time_and_counts_them(server: &Target) {
    let (one, two) = (server.session("").await, server.session("").await);
    assert!(server.put_key(&format!("lock?acquire={one}"), "one").await);
    assert!(!server.put_key(&format!("lock?acquire={two}"), "two").await);
    assert!(server.put_key(&format!("lock?acquire={one}"), "again").await);
    let pair = server.pair("lock").await;
    assert_eq!((&pair["Session"], &pair["LockIndex"]), (&json!(one), &json!(1)));
    assert!(!server.put_key(&format!("lock?release={two}"), "").await);
    assert!(server.put_key(&format!("lock?release={one}"), "free").await);
    let pair = server.pair("lock").await;
    assert_eq!((pair.get("Session"), &pair["LockIndex"]), (None, &json!(1)));
    // Given back by its holder: no delay.
    assert!(server.put_key(&format!("lock?acquire={two}"), "two").await);
    assert_eq!(server.pair("lock").await["LockIndex"], 2);
    let unknown = server.put(&format!("/v1/kv/lock?acquire={NOBODY}"), "").await;
    assert_eq!(unknown.status, 500);
    assert_eq!(unknown.text, format!("invalid session \"{NOBODY}\""));
    assert_eq!(server.put("/v1/kv/lock?acquire=", "").await.text, "missing session");
}

async fn what_a_session_held_is_released_or_deleted_with_it_and_delayed(server: &Target) {
    let keeps = server.session(r#"{"LockDelay":"30s"}"#).await;
    let deletes = server.session(r#"{"Behavior":"delete","LockDelay":"0s"}"#).await;
    let next = server.session("").await;
    server.put_key(&format!("kept?acquire={keeps}"), "v").await;
    server.put_key(&format!("deleted?acquire={deletes}"), "v").await;
    for id in [&keeps, &deletes] {
        server.done(&format!("/v1/session/destroy/{id}"), "").await;
    }
    let kept = server.pair("kept").await;
    assert_eq!((kept.get("Session"), &kept["Value"]), (None, &json!("dg==")));
    assert_eq!(server.get("/v1/kv/deleted").await.status, 404);
    assert!(!server.put_key(&format!("kept?acquire={next}"), "").await, "delayed");
    assert!(server.put_key(&format!("deleted?acquire={next}"), "").await, "not delayed");
    assert!(server.put_key("kept", "written").await, "a plain write is not delayed");
}

async fn a_session_ends_with_its_check_its_service_and_its_node(server: &Target) {
    let body = r#"{"name":"web","check":{"ttl":"1h","status":"passing"}}"#;
    server.done("/v1/agent/service/register", body).await;
    // A real agent tells its server a moment later.
    let passing = async || {
        server.until("/v1/health/checks/web", |checks| checks[0]["Status"] == "passing").await
    };
    let check = r#"{"Checks":["serfHealth","service:web"]}"#;
    let ended = async |id: &str| {
        server.until(&format!("/v1/session/info/{id}"), |list| *list == json!([])).await
    };
    passing().await;
    let id = server.session(check).await;
    server.put_key(&format!("lock?acquire={id}"), "").await;
    server.done("/v1/agent/check/fail/service:web", "").await;
    ended(&id).await;
    assert_eq!(server.pair("lock").await.get("Session"), None);
    assert_eq!(server.put("/v1/session/create", check).await.status, 500, "critical");
    server.done("/v1/agent/check/pass/service:web", "").await;
    passing().await;
    let id = server.session(check).await;
    server.done("/v1/agent/service/deregister/web", "").await;
    ended(&id).await;
    server.done("/v1/catalog/register", r#"{"Node":"far","Address":"10.0.0.9"}"#).await;
    let id = server.session(r#"{"Node":"far","Checks":[]}"#).await;
    server.done("/v1/catalog/deregister", r#"{"Node":"far"}"#).await;
    ended(&id).await;
}

#[tokio::test]
async fn sessions_and_locks_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::at(([127, 0, 0, 1], 0).into(), folder.path()).await;
    let id = server.session(r#"{"TTL":"10s"}"#).await;
    server.put_key(&format!("lock?acquire={id}"), "mine").await;
    let before: Value = server.pair("lock").await;
    server.stop().await;
    let server = Server::at(([127, 0, 0, 1], 0).into(), folder.path()).await;
    assert_eq!(server.pair("lock").await, before);
    let other = server.session("").await;
    assert!(!server.put_key(&format!("lock?acquire={other}"), "").await);
    assert!(server.put_key(&format!("lock?release={id}"), "").await);
}

#[tokio::test]
async fn an_end_by_time_wakes_who_waits_for_the_lock() {
    let server = Server::start().await;
    let id = server.session(r#"{"TTL":"10s","LockDelay":"0s"}"#).await;
    server.put_key(&format!("lock?acquire={id}"), "v").await;
    let index = server.get("/v1/kv/lock").await.index();
    let start = tokio::time::Instant::now();
    let answer = server.get(&format!("/v1/kv/lock?index={index}&wait=19s")).await;
    assert!(answer.index() > index, "ended within twice its TTL");
    assert!(start.elapsed().as_secs() >= 9, "not before its TTL");
    assert_eq!(answer.json()[0].get("Session"), None);
}

/// A real Consul 1.8.7 begins `LockIndex` anew here, against its own documentation; what refuses
/// lower ones could be passed by an old holder then.
#[tokio::test]
async fn a_plain_write_leaves_the_lock_and_its_count_as_they_are() {
    let server = Server::start().await;
    let id = server.session("").await;
    assert!(server.put_key(&format!("lock?acquire={id}"), "mine").await);
    assert!(server.put_key("lock", "written").await);
    let pair = server.pair("lock").await;
    assert_eq!((&pair["Session"], &pair["LockIndex"]), (&json!(id), &json!(1)));
}
