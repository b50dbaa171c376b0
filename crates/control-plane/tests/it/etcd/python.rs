//! python-etcd3 against the embedded store and against a real etcd: one script.

use std::path::Path;
use std::process::Command;

use regatta_testkit::{Etcd, etcdctl};

/// Runs the script, which has to come to its end.
async fn run(endpoint: &str) {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/venvs/etcd3/bin/python");
    assert!(python.exists(), "python-etcd3 is not installed; run `cargo xtask test`");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/etcd/client.py");
    let folder = tempfile::tempdir().unwrap();
    let (host, port) = endpoint.split_once(':').unwrap();
    let mut command = Command::new(python);
    command.arg(script).args([host, port]).arg(folder.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.ends_with("all done\n"), "{said}{errors}");
    let file = folder.path().join("python.db");
    let status = move || etcdctl("unused", &["snapshot", "status", file.to_str().unwrap()]);
    let status = tokio::task::spawn_blocking(status).await.unwrap().unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_etcd3_works_with_the_embedded_store() {
    let server = super::server().await;
    run(&server.etcd_endpoint()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_etcd3_works_with_a_real_etcd() {
    let etcd = Etcd::start().await.unwrap_or_else(|error| panic!("{error}"));
    run(&etcd.endpoint()).await;
}
