//! etcd's own command line client against the embedded store.

use regatta_testkit::etcdctl;
use tempfile::TempDir;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_one_that_etcdctl_reads_and_restores() {
    let server = super::server().await;
    let endpoint = server.etcd_endpoint();
    let client = super::Client::connect(&endpoint).await;
    for number in 0..300 {
        client.put(&format!("key/{number}"), &"x".repeat(number * 40)).await;
    }
    client.delete("key/7", "").await;
    client
        .put_with("key/8", {
            let request = regatta_proto::etcdserverpb::LeaseGrantRequest { id: 0, ttl: 100 };
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
    // Restoring checks the checksum and makes a data directory for a real etcd.
    let data = folder.path().join("restored");
    run(&endpoint, &["snapshot", "restore", file, "--data-dir", data.to_str().unwrap()]).await;
    assert!(data.join("member").is_dir());
}
