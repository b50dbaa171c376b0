//! Transactions: all or none.

use serde_json::{Value, json};

use super::clear;
use crate::api::Answer;
use crate::consul::Target;

/// Every check of this file that a real Consul passes, too.
pub(crate) async fn suite(server: &Target) {
    clear(server).await;
    every_verb_does_what_it_says_and_sees_those_before_it(server).await;
    clear(server).await;
    one_that_fails_undoes_all_and_every_failure_is_told(server).await;
    clear(server).await;
    reads_alone_tell_of_their_reader(server).await;
    clear(server).await;
    what_is_malformed_or_too_much_is_refused(server).await;
    clear(server).await;
    a_delayed_lock_is_refused_before_anything_is_tried(server).await;
}

/// Several operations as one request.
async fn txn(server: &Target, operations: &[Value]) -> Answer {
    let list: Vec<_> = operations.iter().map(|operation| json!({"KV": operation})).collect();
    server.put("/v1/txn", &Value::from(list).to_string()).await
}

async fn every_verb_does_what_it_says_and_sees_those_before_it(server: &Target) {
    let session = server.session("").await;
    let answer = txn(
        server,
        &[
            json!({"Verb": "check-not-exists", "Key": "t/a"}),
            json!({"Verb": "set", "Key": "t/a", "Value": "b25l", "Flags": 7}),
            json!({"Verb": "get", "Key": "t/a"}),
            json!({"Verb": "cas", "Key": "t/b", "Value": "dHdv", "Index": 0}),
            json!({"Verb": "lock", "Key": "t/lock", "Session": session}),
            json!({"Verb": "check-session", "Key": "t/lock", "Session": session}),
            json!({"Verb": "get-tree", "Key": "t/"}),
            json!({"Verb": "unlock", "Key": "t/lock", "Session": session}),
            json!({"Verb": "delete", "Key": "t/b"}),
        ],
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(answer["Errors"], Value::Null);
    let results = answer["Results"].as_array().unwrap();
    let shown: Vec<_> = results
        .iter()
        .map(|result| (result["KV"]["Key"].as_str().unwrap(), result["KV"]["Value"].clone()))
        .collect();
    let (one, two) = (json!("b25l"), json!("dHdv"));
    assert_eq!(
        shown,
        [
            ("t/a", Value::Null),
            ("t/a", one.clone()),
            ("t/b", Value::Null),
            ("t/lock", Value::Null),
            ("t/lock", Value::Null),
            ("t/a", one),
            ("t/b", two),
            ("t/lock", Value::Null),
            ("t/lock", Value::Null),
        ]
    );
    assert_eq!(results[0]["KV"]["Flags"], 7);
    let index = &results[0]["KV"]["ModifyIndex"];
    assert!(results.iter().all(|result| result["KV"]["ModifyIndex"] == *index), "one index");
    assert_eq!(server.get("/v1/kv/t/?keys").await.json(), json!(["t/a", "t/lock"]));

    let index = index.as_u64().unwrap();
    let answer = txn(
        server,
        &[
            json!({"Verb": "check-index", "Key": "t/a", "Index": index}),
            json!({"Verb": "delete-cas", "Key": "t/a", "Index": index}),
            json!({"Verb": "delete-tree", "Key": "t/"}),
        ],
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(server.get("/v1/kv/t/?keys").await.status, 404);
}

async fn one_that_fails_undoes_all_and_every_failure_is_told(server: &Target) {
    server.put_key("there", "v").await;
    let answer = txn(
        server,
        &[
            json!({"Verb": "set", "Key": "new", "Value": "eA=="}),
            json!({"Verb": "get", "Key": "none"}),
            json!({"Verb": "cas", "Key": "there", "Value": "eA==", "Index": 1}),
            json!({"Verb": "check-not-exists", "Key": "there"}),
            json!({"Verb": "check-index", "Key": "none", "Index": 1}),
            json!({"Verb": "delete-cas", "Key": "there", "Index": 1}),
            json!({"Verb": "lock", "Key": "there", "Session": "00000000-0000-0000-0000-000000000000"}),
            json!({"Verb": "sing", "Key": "there"}),
        ],
    )
    .await;
    assert_eq!(answer.status, 409);
    let answer = answer.json();
    assert_eq!(answer["Results"], Value::Null);
    let errors = answer["Errors"].as_array().unwrap().iter();
    let errors: Vec<_> = errors
        .map(|error| (error["OpIndex"].as_u64().unwrap(), error["What"].as_str().unwrap()))
        .collect();
    assert_eq!(
        errors,
        [
            (1, "key \"none\" doesn't exist"),
            (2, "failed to set key \"there\", index is stale"),
            (3, "key \"there\" exists"),
            (4, "failed to check index, key \"none\" doesn't exist"),
            (5, "failed to delete key \"there\", index is stale"),
            (6, "invalid session \"00000000-0000-0000-0000-000000000000\""),
            (7, "unknown KV verb \"sing\""),
        ]
    );
    assert_eq!(server.get("/v1/kv/new").await.status, 404);
}

async fn reads_alone_tell_of_their_reader(server: &Target) {
    server.put_key("a", "v").await;
    let answer = txn(server, &[json!({"Verb": "get", "Key": "a"})]).await;
    assert_eq!(answer.header("x-consul-knownleader"), "true");
    let answer = answer.json();
    assert_eq!(answer["KnownLeader"], true);
    for nothing in ["[]", "null", "[{}]"] {
        assert_eq!(server.put("/v1/txn", nothing).await.json()["Results"], json!([]));
    }
}

async fn what_is_malformed_or_too_much_is_refused(server: &Target) {
    for body in [
        "{",
        "{}",
        "[1]",
        r#"[{"KV":1}]"#,
        r#"[{"KV":{"Value":"%"}}]"#,
        r#"[{"X":{}}]"#,
        r#"[{"KV":{"X":1}}]"#,
    ] {
        assert_eq!(server.put("/v1/txn", body).await.status, 400, "{body}");
    }
    let many = vec![json!({"Verb": "set", "Key": "k", "Value": ""}); 65];
    let answer = txn(server, &many).await;
    assert_eq!(answer.status, 413);
    assert!(answer.text.contains("(65 > 64)"), "{}", answer.text);
    assert_eq!(txn(server, &many[..64]).await.status, 200);
    let answer = txn(server, &[json!({"Verb": "set", "Key": "", "Value": ""})]).await;
    assert_eq!(answer.json()["Errors"][0]["What"], "Must provide key");
}

async fn a_delayed_lock_is_refused_before_anything_is_tried(server: &Target) {
    let (gone, next) = (server.session("").await, server.session("").await);
    server.put_key(&format!("lock?acquire={gone}"), "").await;
    server.done(&format!("/v1/session/destroy/{gone}"), "").await;
    let answer = txn(
        server,
        &[
            json!({"Verb": "get", "Key": "none"}),
            json!({"Verb": "lock", "Key": "lock", "Session": next}),
        ],
    )
    .await;
    assert_eq!(answer.status, 409);
    let what = "failed to lock key \"lock\" due to lock delay";
    assert_eq!(answer.json()["Errors"], json!([{"OpIndex": 1, "What": what}]));
}
