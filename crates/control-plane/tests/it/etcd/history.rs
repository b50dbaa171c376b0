//! What watchers see over lost connections and killed servers: everything, once, in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::request_op::Request;
use regatta_proto::mvccpb::event::EventType;
use tokio_util::task::TaskTracker;

use super::client::{Client, Watcher, delete, put, range, text, watch};
use super::crash::start;
use crate::crash::kills;
use crate::server::LIMIT;

const WRITERS: usize = 3;
const WATCHERS: usize = 4;

/// What happened at a revision: each key with its value, or none for its end.
type History = BTreeMap<i64, Vec<(String, Option<String>)>>;

/// Where the server is now, and what was acknowledged.
#[derive(Default)]
struct World {
    endpoint: Mutex<String>,
    acknowledged: Mutex<History>,
    is_over: AtomicBool,
    /// Once known: the last revision.
    last: AtomicI64,
    cuts: AtomicI64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_reconnects_and_kills_no_event_is_lost_repeated_or_out_of_order() {
    let folder = tempfile::tempdir().unwrap();
    let world = Arc::<World>::default();
    let tasks = TaskTracker::new();
    let (mut process, endpoint) = start(folder.path());
    *world.endpoint.lock().unwrap() = endpoint;
    let watchers: Vec<_> =
        (0..WATCHERS).map(|number| tasks.spawn(follow(Arc::clone(&world), number))).collect();
    let writers: Vec<_> =
        (0..WRITERS).map(|number| tasks.spawn(write(Arc::clone(&world), number))).collect();
    for round in 0..kills() {
        tokio::time::sleep(Duration::from_millis(60 + 37 * round % 400)).await;
        // Its port may be another server's in a moment.
        world.endpoint.lock().unwrap().clear();
        process.kill().unwrap();
        process.wait().unwrap();
        let endpoint;
        (process, endpoint) = start(folder.path());
        *world.endpoint.lock().unwrap() = endpoint;
    }
    world.is_over.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    let client = connect(&world).await;
    let all = client.range(range("h/", "h0")).await;
    world.last.store(all.header.as_ref().unwrap().revision, Ordering::SeqCst);
    // Wakes who waits for the next event.
    client.put("h/end", "1").await;
    let mut histories = Vec::new();
    for watcher in watchers {
        histories.push(tokio::time::timeout(LIMIT, watcher).await.expect("it ends").unwrap());
    }

    let last = world.last.load(Ordering::SeqCst);
    let acknowledged = world.acknowledged.lock().unwrap();
    for history in &histories {
        let revisions: Vec<_> = history.keys().copied().collect();
        assert_eq!(revisions, (2..=last).collect::<Vec<_>>(), "no revision is lost");
        assert_eq!(history, &histories[0], "all saw the same");
        for (revision, changes) in acknowledged.iter() {
            assert_eq!(history.get(revision), Some(changes), "revision {revision}");
        }
    }
    let found: Vec<_> = all.kvs.iter().map(|kv| (text(&kv.key), text(&kv.value))).collect();
    assert_eq!(found, replayed(&histories[0]), "the history makes the state");
    let (cuts, writes) = (world.cuts.load(Ordering::SeqCst), acknowledged.len());
    assert!(writes > 50 && cuts > 20, "{writes} writes, {cuts} cuts; too little is shown");
    println!("{writes} acknowledged writes, {cuts} lost connections, {} kills", kills());
    process.kill().unwrap();
    process.wait().unwrap();
}

fn replayed(history: &History) -> Vec<(String, String)> {
    let mut state = BTreeMap::new();
    for (key, value) in history.values().flatten() {
        match value {
            Some(value) => _ = state.insert(key.clone(), value.clone()),
            None => _ = state.remove(key),
        }
    }
    state.into_iter().collect()
}

/// Connects to the server that is there, as soon as one is.
async fn connect(world: &World) -> Client {
    loop {
        let endpoint = world.endpoint.lock().unwrap().clone();
        if !endpoint.is_empty()
            && let Ok(client) = Client::try_connect(&endpoint).await
        {
            return client;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Puts, deletes and transactions; what is acknowledged is noted under its revision.
async fn write(world: Arc<World>, writer: usize) {
    let mut number = 0;
    'connected: while !world.is_over.load(Ordering::SeqCst) {
        let client = connect(&world).await;
        while !world.is_over.load(Ordering::SeqCst) {
            number += 1;
            let (one, other) = (format!("h/{writer}/{}", number % 7), format!("h/{writer}/twin"));
            let value = number.to_string();
            let (done, changes) = match number % 5 {
                0 => (client.try_delete(&one).await, vec![(one, None)]),
                1 => {
                    let puts = [(&one, &value), (&other, &value)];
                    let done = txn(&client, &puts).await;
                    (done, puts.map(|(key, value)| (key.clone(), Some(value.clone()))).to_vec())
                }
                _ => (client.try_put(&one, &value).await, vec![(one, Some(value))]),
            };
            match done {
                // A deletion of nothing makes no revision.
                Ok(None) => (),
                Ok(Some(revision)) => {
                    let twice = world.acknowledged.lock().unwrap().insert(revision, changes);
                    assert_eq!(twice, None, "revision {revision} was given twice");
                }
                Err(_gone) => continue 'connected,
            }
        }
    }
}

async fn txn(client: &Client, puts: &[(&String, &String)]) -> Result<Option<i64>, tonic::Status> {
    let success = puts
        .iter()
        .map(|(key, value)| pb::RequestOp { request: Some(Request::RequestPut(put(key, value))) });
    let txn = pb::TxnRequest { success: success.collect(), ..<_>::default() };
    let done = client.kv.clone().txn(txn).await?.into_inner();
    Ok(Some(done.header.unwrap().revision))
}

/// Follows from where it has come, over connections that last for some events only.
async fn follow(world: Arc<World>, watcher: usize) -> History {
    let mut history = History::new();
    let mut patience = watcher;
    loop {
        let last = world.last.load(Ordering::SeqCst);
        let seen = history.keys().next_back().copied().unwrap_or(1);
        if last != 0 && seen >= last {
            history.retain(|revision, _| *revision <= last);
            return history;
        }
        let client = connect(&world).await;
        let from = pb::WatchCreateRequest { start_revision: seen + 1, ..watch("h/", "h0") };
        let mut watcher = client.watcher();
        watcher.create(from).await;
        patience = patience * 5 % 23 + 3;
        read(&world, watcher, &mut history, patience).await;
        world.cuts.fetch_add(1, Ordering::SeqCst);
    }
}

/// Reads some answers, or until the connection is gone.
async fn read(world: &World, mut watcher: Watcher, history: &mut History, answers: usize) {
    for _ in 0..answers {
        // One who hears nothing for so long connects anew.
        let answer = tokio::time::timeout(Duration::from_secs(2), watcher.answer()).await;
        let Ok(Ok(Some(answer))) = answer else { return };
        assert!(!answer.canceled, "{answer:?}");
        let known = history.keys().next_back().copied().unwrap_or(1);
        let mut latest = known;
        for event in answer.events {
            let is_put = event.r#type() == EventType::Put;
            let kv = event.kv.unwrap();
            let revision = kv.mod_revision;
            assert!(revision > known, "revision {revision} again after {known}");
            assert!(revision >= latest, "revision {revision} after {latest}");
            latest = revision;
            let value = is_put.then(|| text(&kv.value));
            history.entry(revision).or_default().push((text(&kv.key), value));
        }
        // Nothing may come after the last. Whoever has not got there reads on: the first answer of
        // a connection has no events, so that one who left after it would never arrive.
        let last = world.last.load(Ordering::SeqCst);
        if last != 0 && history.keys().next_back().is_some_and(|seen| *seen >= last) {
            return;
        }
    }
}

impl Client {
    async fn try_put(&self, key: &str, value: &str) -> Result<Option<i64>, tonic::Status> {
        let done = self.kv.clone().put(put(key, value)).await?.into_inner();
        Ok(Some(done.header.unwrap().revision))
    }

    /// The revision of a deletion; none when there was nothing.
    async fn try_delete(&self, key: &str) -> Result<Option<i64>, tonic::Status> {
        let done = self.kv.clone().delete_range(delete(key, "")).await?.into_inner();
        Ok((done.deleted > 0).then(|| done.header.unwrap().revision))
    }
}
