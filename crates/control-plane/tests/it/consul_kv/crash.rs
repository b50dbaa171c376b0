//! Kills the process in the middle of changes of every kind, and looks what is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::crash::{before_kill, kills, start};

/// What a writer was told is done.
#[derive(Clone, Debug)]
enum Done {
    Put(u64),
    Deleted(u64),
    /// Two keys of one transaction.
    Txn(u64),
    /// How far a counter got by compare and set.
    Counted(u64),
    /// A lock with the session that holds it.
    Locked(u64, String),
    /// A lock whose session was destroyed.
    Lost(u64),
    Registered(u64),
    /// A check of the node that has passed, and said so with a number.
    Reported(u64),
    /// A check that was registered, and one that was registered and removed.
    Checked(u64),
    Unchecked(u64),
    /// A node of others with a service and a check.
    Catalogued(u64),
    /// One that went again.
    Uncatalogued(u64),
}

/// How many kinds of changes there are.
const KINDS: u64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_change_survives_kill_9_and_none_is_there_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = Arc::new(AtomicU64::new(1));
    let (mut done, mut index) = (Vec::new(), 0);
    for round in 0..kills() {
        let (mut process, address) = start(folder.path());
        let api = Api::new(&address.to_string());
        let tasks = TaskTracker::new();
        let kinds = 0..KINDS;
        let writers = kinds.map(|kind| tasks.spawn(write(api.clone(), kind, numbers.clone())));
        let writers: Vec<_> = writers.collect();
        tokio::time::sleep(before_kill(round)).await;
        process.kill().unwrap();
        process.wait().unwrap();
        for writer in writers {
            done.extend(writer.await.unwrap());
        }
        let (mut process, address) = start(folder.path());
        let shown = look(&Api::new(&address.to_string()), &done).await;
        assert!(shown >= index, "index {shown} after {index}");
        index = shown;
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert!(done.len() > 100, "only {} acknowledged; the test shows too little", done.len());
    println!("{} acknowledged changes survived {} kills", done.len(), kills());
}

/// Changes things of one kind until the server is gone; what it was told is done.
async fn write(api: Api, kind: u64, numbers: Arc<AtomicU64>) -> Vec<Done> {
    let mut done = Vec::new();
    loop {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let Some(told) = one(&api, kind, number).await else { return done };
        done.push(told);
    }
}

/// One change; none when the server did not answer.
async fn one(api: &Api, kind: u64, number: u64) -> Option<Done> {
    match kind {
        0 => {
            put(api, &format!("kv/put/{number}"), &number.to_string()).await?;
            Some(Done::Put(number))
        }
        1 => {
            put(api, &format!("kv/deleted/{number}"), "x").await?;
            let url = format!("http://{}/v1/kv/deleted/{number}", api.address);
            api.client.delete(url).send().await.ok()?.error_for_status().ok()?;
            Some(Done::Deleted(number))
        }
        2 => {
            let set = |part: &str| json!({"KV": {"Verb": "set", "Key": format!("txn/{number}/{part}"), "Value": "eA=="}});
            put(api, "txn", &json!([set("a"), set("b")]).to_string()).await?;
            Some(Done::Txn(number))
        }
        3 => {
            let url = format!("http://{}/v1/kv/counter", api.address);
            let pair = api.client.get(url).send().await.ok()?.text().await.ok()?;
            let pair = serde_json::from_str::<Value>(&pair).unwrap_or_default();
            let (count, index) = (text(&pair[0]).parse().unwrap_or(0_u64), &pair[0]["ModifyIndex"]);
            let next = (count + 1).to_string();
            let path = format!("kv/counter?cas={}", index.as_u64().unwrap_or(0));
            let is_set = put(api, &path, &next).await?;
            assert_eq!(is_set, "true", "nobody else counts");
            Some(Done::Counted(count + 1))
        }
        4 | 5 => {
            let created = put(api, "session/create", r#"{"LockDelay":"0s"}"#).await?;
            let created = serde_json::from_str::<Value>(&created).unwrap();
            let id = created["ID"].as_str().unwrap().to_owned();
            let path = format!("kv/lock/{number}?acquire={id}");
            assert_eq!(put(api, &path, "held").await?, "true");
            if kind == 4 {
                return Some(Done::Locked(number, id));
            }
            put(api, &format!("session/destroy/{id}"), "").await?;
            Some(Done::Lost(number))
        }
        6 => {
            let body = format!(r#"{{"name":"s{number}","port":1}}"#);
            put(api, "agent/service/register", &body).await?;
            Some(Done::Registered(number))
        }
        _ => registry(api, kind, number).await,
    }
}

/// One change of checks or of the catalog.
async fn registry(api: &Api, kind: u64, number: u64) -> Option<Done> {
    // Each has a service of its own: of one, or of a node, there may be 64 checks.
    let check = async |id: &str| {
        let body = json!({"Name": id, "Check": {"CheckID": format!("c-{id}"), "TTL": "1h"}});
        put(api, "agent/service/register", &body.to_string()).await
    };
    let catalog = async || {
        let node = format!("n{number}");
        let body = json!({
            "Node": node, "Address": "10.0.0.1",
            "Service": {"Service": "db", "ID": "db-1"},
            "Check": {"CheckID": "probe", "ServiceID": "db-1", "Status": "passing"},
        });
        put(api, "catalog/register", &body.to_string()).await
    };
    match kind {
        7 => {
            check(&format!("r{number}")).await?;
            put(api, &format!("agent/check/pass/c-r{number}?note={number}"), "").await?;
            Some(Done::Reported(number))
        }
        8 => {
            check(&format!("k{number}")).await?;
            Some(Done::Checked(number))
        }
        9 => {
            check(&format!("u{number}")).await?;
            put(api, &format!("agent/check/deregister/c-u{number}"), "").await?;
            Some(Done::Unchecked(number))
        }
        10 => {
            catalog().await?;
            Some(Done::Catalogued(number))
        }
        _ => {
            catalog().await?;
            put(api, "catalog/deregister", &json!({"Node": format!("n{number}")}).to_string())
                .await?;
            Some(Done::Uncatalogued(number))
        }
    }
}

async fn put(api: &Api, path: &str, body: &str) -> Option<String> {
    let url = format!("http://{}/v1/{path}", api.address);
    let answer = api.client.put(url).body(body.to_owned()).send().await.ok()?;
    let status = answer.status();
    let text = answer.text().await.ok()?;
    assert_eq!(status, 200, "{path}: {text}");
    Some(text)
}

/// Looks whether all of it is there, and nothing in part; the index of the keys.
async fn look(api: &Api, done: &[Done]) -> u64 {
    let answer = api.get("/v1/kv/?recurse").await;
    let listed = serde_json::from_str::<Vec<Value>>(&answer.text).unwrap_or_default();
    let by_key = |pair: Value| (pair["Key"].as_str().unwrap().to_owned(), pair);
    let pairs: BTreeMap<_, _> = listed.into_iter().map(by_key).collect();
    let services = api.get("/v1/agent/services").await.json();
    let checks = api.get("/v1/agent/checks").await.json();
    let instances = api.get("/v1/health/service/db").await.json();
    let nodes: BTreeMap<_, _> = instances.as_array().unwrap().iter().map(of_node).collect();
    let sessions = api.get("/v1/session/list").await.json();
    let holders: Vec<_> =
        sessions.as_array().unwrap().iter().map(|session| session["ID"].clone()).collect();
    let counted = done.iter().filter_map(|done| match done {
        Done::Counted(count) => Some(*count),
        _ => None,
    });
    let counted = counted.max().unwrap_or(0);
    let count = pairs.get("counter").map_or(0, |pair| text(pair).parse().unwrap());
    assert!((counted..=counted + 1).contains(&count), "counted {counted}, found {count}");
    for told in done {
        let is_there = match told {
            Done::Put(number) => {
                pairs.get(&format!("put/{number}")).map(text) == Some(number.to_string())
            }
            Done::Deleted(number) => !pairs.contains_key(&format!("deleted/{number}")),
            Done::Txn(number) => pairs.contains_key(&format!("txn/{number}/a")),
            Done::Counted(_) => true,
            Done::Locked(number, id) => {
                let pair = &pairs[&format!("lock/{number}")];
                pair["Session"] == json!(id) && pair["LockIndex"] == 1
            }
            Done::Lost(number) => pairs[&format!("lock/{number}")].get("Session").is_none(),
            Done::Registered(number) => services.get(format!("s{number}")).is_some(),
            Done::Reported(number) => {
                let check = &checks[format!("c-r{number}")];
                let said = check["Output"].as_str().unwrap_or_default();
                check["Status"] == "passing" && said.parse() == Ok(*number)
            }
            Done::Checked(number) => checks[format!("c-k{number}")]["Status"] == "critical",
            Done::Unchecked(number) => {
                checks.get(format!("c-u{number}")).is_none()
                    && services.get(format!("u{number}")).is_some()
            }
            Done::Catalogued(number) => nodes.get(&format!("n{number}")) == Some(&"passing"),
            Done::Uncatalogued(number) => !nodes.contains_key(&format!("n{number}")),
        };
        assert!(is_there, "{told:?}");
    }
    for (key, pair) in &pairs {
        if let Some(other) = key.strip_suffix("/a").filter(|key| key.starts_with("txn/")) {
            let other = &pairs[&format!("{other}/b")];
            assert_eq!(pair["ModifyIndex"], other["ModifyIndex"], "{key} in one piece");
        }
        // A lock and its session are one thing.
        if let Some(holder) = pair.get("Session") {
            assert!(holders.contains(holder), "{key} is held by a session that is not there");
        }
        assert!(pair["ModifyIndex"].as_u64().unwrap() <= answer.index(), "{key}");
    }
    let halves = |part: &str| {
        pairs.keys().filter(|key| key.starts_with("txn/") && key.ends_with(part)).count()
    };
    assert_eq!(halves("/a"), halves("/b"));
    answer.index()
}

/// The node of an instance, and what its check of the catalog found. A registration is whole.
fn of_node(instance: &Value) -> (String, &str) {
    let status = instance["Checks"][0]["Status"].as_str().expect("an instance has its check");
    (instance["Node"]["Node"].as_str().expect("and its node").to_owned(), status)
}

/// A value as text.
fn text(pair: &Value) -> String {
    let value = STANDARD.decode(pair["Value"].as_str().unwrap_or_default()).unwrap();
    String::from_utf8(value).unwrap()
}
