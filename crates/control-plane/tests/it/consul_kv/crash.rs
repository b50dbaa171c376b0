//! Kills the process in the middle of changes of every kind, and looks what is there.

use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::survived::{self, Done, text};
use crate::api::Api;
use crate::crash::{before_kill, kills, start};

/// How many kinds of changes there are.
const KINDS: u64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_change_survives_kill_9_and_none_is_there_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = Arc::new(AtomicU64::new(1));
    let (mut done, mut index, mut count) = (Vec::new(), 0, 0);
    let (mut process, mut api) = started(folder.path());
    for round in 0..kills() {
        let tasks = TaskTracker::new();
        let kinds = 0..KINDS;
        let writers = kinds.map(|kind| tasks.spawn(write(api.clone(), kind, numbers.clone())));
        let writers: Vec<_> = writers.collect();
        tokio::time::sleep(before_kill(round)).await;
        process.kill().unwrap();
        process.wait().unwrap();
        let before = done.len();
        for writer in writers {
            done.extend(writer.await.unwrap());
        }
        (process, api) = started(folder.path());
        // Of what was there after the last kill, some; of what is new, all.
        let first = usize::try_from(round % 7).unwrap();
        let sample = done[..before].iter().skip(first).step_by((before / 50).max(1));
        survived::each(&api, sample.chain(&done[before..])).await;
        let shown;
        (count, shown) = survived::counted(&api, &done[before..], count).await;
        assert!(shown >= index, "index {shown} after {index}");
        index = shown;
    }
    survived::all(&api, &done).await;
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(done.len() > 100, "only {} acknowledged; the test shows too little", done.len());
    println!("{} acknowledged changes survived {} kills", done.len(), kills());
}

fn started(folder: &Path) -> (Child, Api) {
    let (process, address) = start(folder);
    (process, Api::new(&address.to_string()))
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
