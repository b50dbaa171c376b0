//! What was acknowledged before a kill, and how it is looked for after it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use serde_json::{Value, json};

use crate::api::Api;

/// Questions at once.
const AT_ONCE: usize = 16;

/// What a writer was told is done.
#[derive(Clone, Debug)]
pub(super) enum Done {
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

/// Asks for each of them by itself, so that the cost does not grow with what is there.
pub(super) async fn each<'a>(api: &Api, done: impl Iterator<Item = &'a Done>) {
    let asked = done.map(|told| async move { assert!(is_there(api, told).await, "{told:?}") });
    futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect::<()>().await;
}

async fn is_there(api: &Api, told: &Done) -> bool {
    let key = async |key: String| {
        let answer = api.get(&format!("/v1/kv/{key}")).await;
        (answer.status == 200).then(|| answer.json()[0].clone())
    };
    let status = async |path: String| api.get(&path).await.status;
    let checks = async |name: String| api.get(&format!("/v1/health/checks/{name}")).await.json();
    match told {
        Done::Put(number) => {
            key(format!("put/{number}")).await.as_ref().map(text) == Some(number.to_string())
        }
        Done::Deleted(number) => key(format!("deleted/{number}")).await.is_none(),
        Done::Txn(number) => {
            let (a, b) =
                (key(format!("txn/{number}/a")).await, key(format!("txn/{number}/b")).await);
            a.zip(b).is_some_and(|(a, b)| a["ModifyIndex"] == b["ModifyIndex"])
        }
        Done::Counted(_) => true,
        Done::Locked(number, id) => {
            let pair = key(format!("lock/{number}")).await.unwrap_or_default();
            let session = api.get(&format!("/v1/session/info/{id}")).await.json();
            pair["Session"] == json!(id) && pair["LockIndex"] == 1 && session[0]["ID"] == json!(id)
        }
        Done::Lost(number) => {
            key(format!("lock/{number}")).await.is_some_and(|pair| pair.get("Session").is_none())
        }
        Done::Registered(number) => status(format!("/v1/agent/service/s{number}")).await == 200,
        Done::Reported(number) => {
            let found = checks(format!("r{number}")).await;
            let said = found[0]["Output"].as_str().unwrap_or_default();
            found[0]["Status"] == "passing" && said.parse() == Ok(*number)
        }
        Done::Checked(number) => checks(format!("k{number}")).await[0]["Status"] == "critical",
        Done::Unchecked(number) => {
            checks(format!("u{number}")).await == json!([])
                && status(format!("/v1/agent/service/u{number}")).await == 200
        }
        Done::Catalogued(number) => {
            let found = api.get(&format!("/v1/health/node/n{number}")).await.json();
            found[0]["Status"] == "passing" && found[0]["ServiceID"] == "db-1"
        }
        Done::Uncatalogued(number) => {
            api.get(&format!("/v1/catalog/node/n{number}")).await.json().is_null()
        }
    }
}

/// Looks whether the counter went on, since it was looked at last, by what was acknowledged and at
/// most the one step that was not answered; where it stands, and its index.
pub(super) async fn counted(api: &Api, done: &[Done], last: u64) -> (u64, u64) {
    let counted = done.iter().filter_map(|done| match done {
        Done::Counted(count) => Some(*count),
        _ => None,
    });
    let counted = counted.max().unwrap_or(0).max(last);
    let answer = api.get("/v1/kv/counter").await;
    let count = match answer.status.as_u16() {
        200 => text(&answer.json()[0]).parse().unwrap(),
        _ => 0,
    };
    assert!((counted..=counted + 1).contains(&count), "counted {counted}, found {count}");
    (count, answer.index())
}

/// Looks, in lists of everything, whether all of it is there, and nothing in part.
pub(super) async fn all(api: &Api, done: &[Done]) {
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
}

/// The node of an instance, and what its check of the catalog found. A registration is whole.
fn of_node(instance: &Value) -> (String, &str) {
    let status = instance["Checks"][0]["Status"].as_str().expect("an instance has its check");
    (instance["Node"]["Node"].as_str().expect("and its node").to_owned(), status)
}

/// A value as text.
pub(super) fn text(pair: &Value) -> String {
    let value = STANDARD.decode(pair["Value"].as_str().unwrap_or_default()).unwrap();
    String::from_utf8(value).unwrap()
}
