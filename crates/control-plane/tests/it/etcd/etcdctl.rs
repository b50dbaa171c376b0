//! etcd's own command line client against the embedded store.

use regatta_proto::etcdserverpb::request_op::Request;
use regatta_proto::etcdserverpb::{
    CompactionRequest, LeaseGrantRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest, RangeRequest,
    RequestOp, TxnRequest, WatchCreateRequest,
};
use regatta_testkit::{Etcd, etcdctl};
use tempfile::TempDir;
use tonic::Code;

use super::client::{Client, assert_refused, bytes, delete, put, range, text, watch};

/// Runs `etcdctl`, which has to succeed; what it prints.
async fn run(endpoint: &str, arguments: &[&str]) -> String {
    let (endpoint, owned) = (endpoint.to_owned(), arguments.join("\u{1}"));
    // It blocks, and the server it talks to is on this runtime.
    let run = move || {
        let arguments: Vec<_> = owned.split('\u{1}').collect();
        etcdctl(&endpoint, &arguments).unwrap_or_else(|error| panic!("{error}"))
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyday_commands_work() {
    let server = super::server().await;
    let endpoint = server.etcd_endpoint();
    let ctl = async |arguments: &[&str]| run(&endpoint, arguments).await;
    assert_eq!(ctl(&["put", "app/a", "1"]).await, "OK\n");
    assert_eq!(ctl(&["put", "app/b", "2"]).await, "OK\n");
    assert_eq!(ctl(&["get", "--prefix", "app/"]).await, "app/a\n1\napp/b\n2\n");
    assert_eq!(
        ctl(&["get", "--prefix", "app/", "--order", "DESCEND", "--keys-only"]).await,
        "app/b\n\napp/a\n\n"
    );
    assert_eq!(ctl(&["get", "app/a", "--rev", "2", "--print-value-only"]).await, "1\n");
    assert_eq!(ctl(&["del", "app/b", "--prev-kv"]).await, "1\napp/b\n2\n");
    let granted = ctl(&["lease", "grant", "100"]).await;
    let lease = granted.split_whitespace().nth(1).unwrap().to_owned();
    ctl(&["put", "leased", "x", "--lease", &lease]).await;
    assert!(ctl(&["lease", "timetolive", &lease, "--keys"]).await.contains("[leased]"));
    assert!(ctl(&["lease", "list"]).await.contains(&lease));
    assert!(ctl(&["lease", "keep-alive", "--once", &lease]).await.contains("TTL(100)"));
    ctl(&["lease", "revoke", &lease]).await;
    assert_eq!(ctl(&["get", "leased"]).await, "");
    assert!(ctl(&["compaction", "3"]).await.contains("compacted revision 3"));
    assert!(ctl(&["member", "list"]).await.contains("started"));
    // Said on the error output.
    ctl(&["endpoint", "health"]).await;
    assert!(ctl(&["endpoint", "status", "-w", "json"]).await.contains("\"version\":\"3."));
    ctl(&["endpoint", "hashkv"]).await;
    ctl(&["defrag"]).await;
    assert_eq!(ctl(&["alarm", "list"]).await, "");
    assert_eq!(ctl(&["lock", "mutex", "echo", "held"]).await, "held\n");
}

/// Calls for one member ended with PROTOCOL_ERROR: Go's client names the URL as the authority.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_for_one_member_take_its_url() {
    let server = super::server().await;
    let url = format!("http://{}", server.etcd_endpoint());
    let ctl = async |arguments: &[&str]| run(&url, arguments).await;
    ctl(&["put", "a", "1"]).await;
    assert!(ctl(&["endpoint", "status"]).await.starts_with(&url));
    assert!(ctl(&["endpoint", "status", "--cluster"]).await.starts_with(&url));
    assert!(ctl(&["endpoint", "hashkv", "--cluster"]).await.starts_with(&url));
    ctl(&["defrag", "--cluster"]).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("snapshot.db");
    ctl(&["snapshot", "save", file.to_str().unwrap()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_one_that_etcdctl_reads() {
    let server = super::server().await;
    let endpoint = server.etcd_endpoint();
    let client = Client::connect(&endpoint).await;
    for number in 0..300 {
        client.put(&format!("key/{number}"), &"x".repeat(number * 40)).await;
    }
    client.delete("key/7", "").await;
    client
        .put_with("key/8", {
            let request = LeaseGrantRequest { id: 0, ttl: 100 };
            client.lease.clone().lease_grant(request).await.unwrap().into_inner().id
        })
        .await
        .unwrap();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("snapshot.db");
    let file = file.to_str().unwrap();
    run(&endpoint, &["snapshot", "save", file]).await;
    let status = run(&endpoint, &["snapshot", "status", file, "-w", "json"]).await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["revision"], client.revision().await);
    assert!(status["totalKey"].as_u64().unwrap() > 302, "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_etcd_goes_on_from_a_snapshot_with_history_leases_and_deletions() {
    let server = super::server().await;
    let client = Client::connect(&server.etcd_endpoint()).await;
    client.put("moved/old", "before").await;
    client.kv.clone().compact(CompactionRequest { revision: 2, physical: true }).await.unwrap();
    let first = client.put("moved/a", "1").await;
    let second = client.put("moved/a", "2").await;
    client.put("moved/gone", "x").await;
    let deleted = client.delete("moved/gone", "").await.header.unwrap().revision;
    let grant = LeaseGrantRequest { id: 77, ttl: 500 };
    client.lease.clone().lease_grant(grant).await.unwrap();
    client.put_with("moved/leased", 77).await.unwrap();
    // One key put and deleted in one revision.
    let alone = |request| {
        let success = vec![RequestOp { request: Some(request) }];
        let nested = Request::RequestTxn(TxnRequest { success, ..<_>::default() });
        RequestOp { request: Some(nested) }
    };
    let success = vec![
        alone(Request::RequestPut(put("moved/both", "x"))),
        alone(Request::RequestDeleteRange(delete("moved/both", ""))),
    ];
    client.kv.clone().txn(TxnRequest { success, ..<_>::default() }).await.unwrap();

    let folder = TempDir::new().unwrap();
    let file = folder.path().join("snapshot.db");
    run(&server.etcd_endpoint(), &["snapshot", "save", file.to_str().unwrap()]).await;
    let real = Etcd::restored(&file).await.unwrap_or_else(|error| panic!("{error}"));
    let moved = Client::connect(&real.endpoint()).await;

    assert_eq!(moved.revision().await, client.revision().await);
    // Every version of every key, at every revision that is not compacted.
    for revision in first - 1..=client.revision().await {
        let at = || RangeRequest { revision, ..range("moved/", "moved0") };
        let (own, real) = (client.range(at()).await, moved.range(at()).await);
        assert_eq!((&own.kvs, own.count), (&real.kvs, real.count), "{revision}");
    }
    let at = RangeRequest { revision: first, ..range("moved/a", "") };
    let then = moved.range(at).await.kvs.remove(0);
    assert_eq!((text(&then.value), then.version), ("1".to_owned(), 1));
    assert_eq!(moved.range(range("moved/a", "")).await.kvs[0].mod_revision, second);
    let compacted =
        moved.kv.clone().range(RangeRequest { revision: 1, ..range("moved/a", "") }).await;
    let past = "etcdserver: mvcc: required revision has been compacted";
    assert_refused(compacted, Code::OutOfRange, past);
    // What happened can be watched, a deletion too.
    let from = WatchCreateRequest { start_revision: deleted, ..watch("moved/", "moved0") };
    let events = moved.watch(from).await.events(4).await;
    assert_eq!(events, ["-moved/gone", "+moved/leased=leased", "+moved/both=x", "-moved/both"]);
    let left = LeaseTimeToLiveRequest { id: 77, keys: true };
    let left = moved.lease.clone().lease_time_to_live(left).await.unwrap().into_inner();
    assert_eq!((left.granted_ttl, &left.keys[..]), (500, &[bytes("moved/leased")][..]));
    moved.lease.clone().lease_revoke(LeaseRevokeRequest { id: 77 }).await.unwrap();
    assert_eq!(moved.get("moved/leased").await, None);
    assert!(moved.put("moved/a", "3").await > client.revision().await);
}
