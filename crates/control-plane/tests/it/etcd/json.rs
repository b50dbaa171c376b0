//! The JSON gateway: the same requests at the embedded store and at a real etcd.

use std::time::Duration;

use regatta_testkit::Etcd;
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::server::{LIMIT, Server};

/// In this order; `a` is YQ==, `b` is Yg==, `x` is eA==.
const CALLS: &[(&str, &str)] = &[
    ("/v3/kv/put", r#"{"key":"YQ==","value":"eA=="}"#),
    ("/v3beta/kv/put", r#"{"key":"YQ==","value":"eQ==","prev_kv":true}"#),
    ("/v3/kv/put", r#"{"key":"Yg==","value":"eA==","prevKv":true,"lease":"0"}"#),
    ("/v3/kv/put", r#"{"key":"Yg==","lease":77}"#),
    ("/v3/kv/put", r#"{"key":"none","ignore_value":true}"#),
    ("/v3/kv/range", r#"{"key":"YQ=="}"#),
    ("/v3beta/kv/range", r#"{"key":"AA==","range_end":"AA==","limit":"1"}"#),
    (
        "/v3/kv/range",
        r#"{"key":"AA==","rangeEnd":"AA==","sort_order":"DESCEND","sortTarget":4,"keys_only":true}"#,
    ),
    ("/v3/kv/range", r#"{"key":"YQ==","count_only":true,"a_newer_field":[1]}"#),
    ("/v3/kv/range", r#"{"key":"YQ==","revision":2}"#),
    ("/v3/kv/range", r#"{"key":"YQ==","revision":"99"}"#),
    ("/v3/kv/range", r#"{"key":"YQ==","revision":null} and what is behind is not read"#),
    ("/v3/kv/range", r#"{"key":""}"#),
    ("/v3/kv/range", ""),
    (
        "/v3/kv/txn",
        r#"{"compare":[{"key":"YQ==","target":"VALUE","result":"NOT_EQUAL","value":"eA=="}],"success":[{"request_put":{"key":"Yw==","value":"eA=="}},{"request_range":{"key":"YQ=="}}]}"#,
    ),
    (
        "/v3/kv/txn",
        r#"{"compare":[{"key":"YQ==","target":"CREATE","create_revision":0}],"success":[],"failure":[{"requestDeleteRange":{"key":"Yw==","prev_kv":true}},{"request_txn":{}}]}"#,
    ),
    ("/v3/kv/txn", r#"{"success":[{}]}"#),
    ("/v3/kv/txn", "{}"),
    ("/v3/kv/deleterange", r#"{"key":"Yg==","prev_kv":true}"#),
    ("/v3/kv/deleterange", r#"{"key":"bm9uZQ=="}"#),
    ("/v3/lease/grant", r#"{"TTL":100,"ID":"7"}"#),
    ("/v3/lease/grant", r#"{"TTL":100,"ID":7}"#),
    ("/v3/kv/put", r#"{"key":"bGVhc2Vk","lease":7}"#),
    ("/v3/lease/keepalive", r#"{"ID":7}{"ID":"9"}"#),
    ("/v3/lease/timetolive", r#"{"ID":9,"keys":true}"#),
    ("/v3/lease/leases", "{}"),
    ("/v3/kv/lease/leases", ""),
    ("/v3/lease/revoke", r#"{"ID":7}"#),
    ("/v3/kv/lease/revoke", r#"{"ID":7}"#),
    ("/v3/kv/compaction", r#"{"revision":4}"#),
    ("/v3/kv/compaction", r#"{"revision":4}"#),
    ("/v3/kv/range", r#"{"key":"YQ==","revision":2}"#),
    ("/v3/maintenance/alarm", "{}"),
    ("/v3/maintenance/alarm", r#"{"action":"ACTIVATE","alarm":"NOSPACE"}"#),
    ("/v3/kv/put", r#"{"key":"YQ==","value":"eA=="}"#),
    ("/v3/maintenance/alarm", r#"{"action":2,"alarm":1}"#),
    ("/v3/maintenance/defragment", ""),
    ("/v3/maintenance/transfer-leadership", "{}"),
    ("/v3/cluster/member/remove", r#"{"ID":"1"}"#),
    ("/v3/auth/authenticate", r#"{"name":"a","password":"b"}"#),
    ("/v3/election/leader", r#"{"name":"ZQ=="}"#),
    ("/v3/election/proclaim", r#"{"value":"ZQ=="}"#),
    ("/v3/lease/grant", r#"{"TTL":100,"ID":"8"}"#),
    ("/v3/election/campaign", r#"{"name":"ZQ==","lease":8,"value":"eA=="}"#),
    ("/v3/election/leader", r#"{"name":"ZQ=="}"#),
    ("/v3/lock/lock", r#"{"name":"bA==","lease":8}"#),
    ("/v3/lock/unlock", r#"{"key":"bC84"}"#),
];

/// What is refused before it is a call; the words for it are Go's there.
const MALFORMED: &[(&str, &str)] = &[
    ("/v3/kv/range", "{"),
    ("/v3/kv/range", "[]"),
    ("/v3/kv/range", r#"{"key":"YQ"}"#),
    ("/v3/kv/range", r#"{"key":5}"#),
    ("/v3/kv/range", r#"{"key":"YQ==","limit":"x"}"#),
    ("/v3/kv/range", r#"{"key":"YQ==","keys_only":"true"}"#),
    ("/v3/kv/txn", r#"{"success":{}}"#),
    ("/v3/kv/nothing", "{}"),
];

/// Streams, and how many of their lines are looked at.
const STREAMS: &[(&str, &str, usize)] = &[
    ("/v3/watch", r#"{"create_request":{"key":"YQ==","start_revision":"1"}}"#, 2),
    (
        "/v3beta/watch",
        r#"{"createRequest":{"key":"AA==","range_end":"AA==","start_revision":1,"prev_kv":true}}"#,
        2,
    ),
    (
        "/v3/watch",
        r#"{"create_request":{"key":"YQ==","filters":["NOPUT"]}}{"cancel_request":{"watch_id":0}}"#,
        2,
    ),
    ("/v3/watch", r#"{"create_request":{"key":"Yg==","range_end":"YQ=="}}"#, 1),
    ("/v3/watch", r#"{"create_request":{"key":"YQ==","watch_id":5}}{"progress_request":{}}"#, 2),
    ("/v3/lease/keepalive", r#"{"ID":"9"}"#, 1),
];

#[tokio::test]
async fn calls_have_the_answers_of_a_real_etcd() {
    let (real, server) = (Etcd::start().await.unwrap(), super::server().await);
    let [real, ours] = [real.endpoint(), server.etcd_endpoint()].map(|at| Api::new(&at));
    // All differences at once: each says by itself which call it is.
    let mut differences = Vec::new();
    for (path, body) in CALLS {
        let [expected, answer] = [post(&real, path, body).await, post(&ours, path, body).await];
        let [expected, answer] = [&expected, &answer].map(|at| (at.status, lines(at)));
        if answer != expected {
            differences.push(format!("{path} {body}: {answer:?} instead of {expected:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    for (path, body) in MALFORMED {
        let [expected, answer] = [post(&real, path, body).await, post(&ours, path, body).await];
        assert_eq!(answer.status, expected.status, "{path} {body}: {}", answer.text);
    }
    // Numbers differ, names do not.
    for path in ["/v3/maintenance/status", "/v3/maintenance/hash", "/v3/cluster/member/list"] {
        let names = async |api| {
            let answer = post(api, path, "{}").await;
            answer.json().as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(names(&ours).await, names(&real).await, "{path}");
    }
}

#[tokio::test]
async fn streams_have_the_lines_of_a_real_etcd() {
    let (real, server) = (Etcd::start().await.unwrap(), super::server().await);
    let [real, ours] = [real.endpoint(), server.etcd_endpoint()].map(|at| Api::new(&at));
    for api in [&real, &ours] {
        post(api, "/v3/kv/put", r#"{"key":"YQ==","value":"eA=="}"#).await;
        post(api, "/v3/kv/put", r#"{"key":"YQ==","value":"eQ=="}"#).await;
        post(api, "/v3/kv/deleterange", r#"{"key":"YQ=="}"#).await;
    }
    for (path, body, count) in STREAMS {
        let (expected, answer) =
            (follow(&real, path, body, *count), follow(&ours, path, body, *count));
        assert_eq!(answer.await, expected.await, "{path} {body}");
    }
}

#[tokio::test]
async fn a_snapshot_is_the_one_that_grpc_has() {
    let server = super::server().await;
    let api = Api::new(&server.etcd_endpoint());
    let answer = post(&api, "/v3/maintenance/snapshot", "{}").await;
    let blobs: usize = lines(&answer)
        .iter()
        .map(|line| line["result"]["blob"].as_str().unwrap().trim_end_matches('=').len() * 3 / 4)
        .sum();
    assert_eq!(blobs % 512, 32, "a file of pages, and its checksum");
}

#[tokio::test]
async fn what_is_too_large_is_said_to_be_and_a_read_is_no_post() {
    let change = |settings: &mut regatta_control_plane::Settings| {
        settings.etcd.listen = Some(([127, 0, 0, 1], 0).into());
        settings.etcd.max_request_bytes = 1000;
    };
    let server = Server::with(change).await;
    let api = Api::new(&server.etcd_endpoint());
    let put = async |bytes: usize| {
        let body = json!({ "key": "YQ==", "value": "AAAA".repeat(bytes / 3) }).to_string();
        let answer = post(&api, "/v3/kv/put", &body).await;
        (answer.status.as_u16(), answer.json()["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(put(1500).await, (400, "etcdserver: request is too large".to_owned()));
    assert_eq!(put(800_000).await.0, 429);
    let (status, text) = put(1_500_000).await;
    assert!(status == 429 && text.contains("raise `etcd.max_request_bytes`"), "{text}");
    let whole = post(&api, "/v3/kv/range", "{}").await.text;
    let text = "etcdserver: key is not provided";
    assert_eq!(whole, format!(r#"{{"error":"{text}","message":"{text}","code":3}}"#));
    assert_eq!(api.get("/v3/kv/range").await.status, 405);
    assert_eq!(api.get("/v3/other").await.status, 404);
}

#[tokio::test]
async fn a_web_page_can_neither_write_nor_read_keys() {
    let server = super::server().await;
    let url = format!("http://{}/v3/kv/put", server.etcd_endpoint());
    for (name, value) in [("origin", "https://evil.dev"), ("host", "rebound.evil.dev:2379")] {
        let put = server.client.post(&url).header(name, value);
        let answer = put.body(r#"{"key":"YQ=="}"#).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{name}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["code"], 7, "{body}");
    }
}

async fn post(api: &Api, path: &str, body: &str) -> Answer {
    api.call(reqwest::Method::POST, path, body).await
}

/// Every message of an answer, without what is each server's own.
fn lines(answer: &Answer) -> Vec<Value> {
    let values = serde_json::Deserializer::from_str(&answer.text).into_iter::<Value>();
    values
        .map(|value| shown(value.unwrap_or_else(|error| panic!("{error}: {}", answer.text))))
        .collect()
}

fn shown(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        if let Some(header) = fields.get_mut("header").and_then(Value::as_object_mut) {
            header.retain(|name, _| name == "revision");
        }
        // etcd answers some calls without a header, and a cancellation without its revision.
        let is_bare =
            fields.contains_key("alarms") || fields.contains_key("canceled") || fields.len() == 1;
        if is_bare && fields.get("header").is_some() {
            fields.remove("header");
        }
        if let Some(result) = fields.remove("result") {
            fields.insert("result".to_owned(), shown(result));
        }
    }
    value
}

/// The first lines of a stream.
async fn follow(api: &Api, path: &str, body: &str, count: usize) -> Vec<Value> {
    let url = format!("http://{}{path}", api.address);
    let read = async {
        let mut response = api.client.post(url).body(body.to_owned()).send().await.unwrap();
        let mut text = String::new();
        while text.matches('\n').count() < count {
            let chunk = response.chunk().await.unwrap().expect("the stream goes on");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        text.lines().map(|line| shown(serde_json::from_str(line).unwrap())).collect()
    };
    let limit = LIMIT + Duration::from_secs(5);
    tokio::time::timeout(limit, read)
        .await
        .unwrap_or_else(|_| panic!("{path} {body}: no line came"))
}
