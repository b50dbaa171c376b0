//! Kills the process for real, in the middle of writes of every kind, and counts.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use regatta_control_plane::{ControlPlane, Settings};
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::request_op::Request;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::{Client, put, range, text, watch};
use crate::crash::kills;

const FOLDER: &str = "REGATTA_TEST_STORE_FOLDER";
const LISTENING: &str = "listening on ";
/// Not a test of its own: what the killed process runs. Ends at once in an ordinary run.
#[tokio::test]
async fn killed_store() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let mut settings = Settings::default();
    settings.consul_listen = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.etcd.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    settings.data_dir = folder.into();
    let control_plane = ControlPlane::bind(settings).await.unwrap();
    println!("\n{LISTENING}{}", control_plane.etcd_addr().unwrap());
    control_plane.run(CancellationToken::new()).await;
}

/// What a writer was told is done.
struct Acknowledged {
    number: u64,
    revision: i64,
    kind: Kind,
}

enum Kind {
    Put,
    /// Two keys in one transaction.
    Txn,
    /// A key with a lease that was revoked again.
    Revoked,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_survives_kill_9_and_no_revision_is_lost_or_twice() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = Arc::new(AtomicU64::new(1));
    let (mut acknowledged, mut last_revision) = (Vec::new(), 1);
    for round in 0..kills() {
        let (mut process, endpoint) = start(folder.path());
        let tasks = TaskTracker::new();
        let writers: Vec<_> =
            (0..4).map(|_| tasks.spawn(write(endpoint.clone(), Arc::clone(&numbers)))).collect();
        tokio::time::sleep(Duration::from_millis(40 + 29 * round % 600)).await;
        process.kill().unwrap();
        process.wait().unwrap();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }

        let (mut process, endpoint) = start(folder.path());
        let client = Client::connect(&endpoint).await;
        let revision = client.revision().await;
        assert!(revision >= last_revision, "revision {revision} after {last_revision}");
        last_revision = revision;
        check(&client, &acknowledged).await;
        check_revisions(&client, revision).await;
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert!(
        acknowledged.len() > 100,
        "only {} acknowledged; too little is shown",
        acknowledged.len()
    );
    println!("{} acknowledged writes survived {} kills", acknowledged.len(), kills());
}

/// Writes until the server is gone; what it was told is done.
async fn write(endpoint: String, numbers: Arc<AtomicU64>) -> Vec<Acknowledged> {
    let client = Client::connect(&endpoint).await;
    let mut acknowledged = Vec::new();
    loop {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let kind = match number % 5 {
            0 => Kind::Txn,
            1 => Kind::Revoked,
            _ => Kind::Put,
        };
        let done = match kind {
            Kind::Put => client
                .kv
                .clone()
                .put(put(&key(number), "put"))
                .await
                .map(|done| done.into_inner().header),
            Kind::Txn => txn(&client, number).await,
            Kind::Revoked => revoked(&client, number).await,
        };
        let Ok(header) = done else { return acknowledged };
        acknowledged.push(Acknowledged { number, revision: header.unwrap().revision, kind });
    }
}

type Header = Result<Option<pb::ResponseHeader>, tonic::Status>;

async fn txn(client: &Client, number: u64) -> Header {
    let put = |key: String| pb::RequestOp { request: Some(Request::RequestPut(put(&key, "txn"))) };
    let success = vec![put(key(number)), put(format!("{}/twin", key(number)))];
    let done = client.kv.clone().txn(pb::TxnRequest { success, ..<_>::default() }).await?;
    Ok(done.into_inner().header)
}

async fn revoked(client: &Client, number: u64) -> Header {
    let id = i64::try_from(number).unwrap();
    let grant = pb::LeaseGrantRequest { id, ttl: 1000 };
    client.lease.clone().lease_grant(grant).await?;
    client.put_with(&key(number), id).await?;
    let done = client.lease.clone().lease_revoke(pb::LeaseRevokeRequest { id }).await?;
    Ok(done.into_inner().header)
}

fn key(number: u64) -> String {
    format!("crash/{number:08}")
}

async fn check(client: &Client, acknowledged: &[Acknowledged]) {
    let found = client.range(range("crash/", "crash0")).await.kvs;
    let found: std::collections::HashMap<_, _> =
        found.iter().map(|kv| (text(&kv.key), kv.mod_revision)).collect();
    for Acknowledged { number, revision, kind } in acknowledged {
        let (one, twin) = (key(*number), format!("{}/twin", key(*number)));
        let wanted = match kind {
            Kind::Put => [Some(revision), None],
            Kind::Txn => [Some(revision), Some(revision)],
            Kind::Revoked => [None, None],
        };
        assert_eq!([found.get(&one), found.get(&twin)], wanted, "{one}");
    }
    // Whole or absent, also what was not acknowledged.
    for (name, revision) in &found {
        if let Some(one) = name.strip_suffix("/twin") {
            assert_eq!(found.get(one), Some(revision), "{one} and its twin");
        }
    }
}

/// A watch from the beginning sees every revision, once.
async fn check_revisions(client: &Client, revision: i64) {
    let from = pb::WatchCreateRequest { start_revision: 1, ..watch("\0", "\0") };
    let mut watcher = client.watch(from).await;
    let mut last = 1;
    while last < revision {
        for event in watcher.next().await.events {
            let seen = event.kv.unwrap().mod_revision;
            assert!(seen == last || seen == last + 1, "revision {seen} after {last}");
            last = seen;
        }
    }
}

/// Runs `killed_store` above in a process of its own.
pub(super) fn start(folder: &Path) -> (Child, String) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "etcd::crash::killed_store", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let endpoint = lines
        .map(Result::unwrap)
        .find_map(|line| Some(line.strip_prefix(LISTENING)?.to_owned()))
        .expect("the process says where it listens");
    (process, endpoint)
}
