//! Python's clients against the embedded store and against a real etcd: a script each.

use std::path::Path;
use std::process::Command;

use regatta_testkit::{Etcd, etcdctl};
use tempfile::TempDir;

/// Runs a script with the packages of a virtual environment, which has to come to its end; the folder
/// that it wrote to.
async fn run(packages: &str, script: &str, endpoint: &str) -> TempDir {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../../target/venvs").join(packages).join("bin/python");
    assert!(python.exists(), "{packages} is not installed; run `cargo xtask test`");
    let folder = tempfile::tempdir().unwrap();
    let (host, port) = endpoint.split_once(':').unwrap();
    let mut command = Command::new(python);
    command.arg(root.join("tests/it/etcd").join(script)).args([host, port]).arg(folder.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.ends_with("all done\n"), "{said}{errors}");
    folder
}

/// The same for python-etcd3, which saves a snapshot at its end.
async fn run_etcd3(endpoint: &str) {
    let folder = run("etcd3", "client.py", endpoint).await;
    let file = folder.path().join("python.db");
    let status = move || etcdctl("unused", &["snapshot", "status", file.to_str().unwrap()]);
    let status = tokio::task::spawn_blocking(status).await.unwrap().unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_etcd3_works_with_the_embedded_store() {
    let server = super::server().await;
    run_etcd3(&server.etcd_endpoint()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_etcd3_works_with_a_real_etcd() {
    let etcd = Etcd::start().await.unwrap_or_else(|error| panic!("{error}"));
    run_etcd3(&etcd.endpoint()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd3gw_works_with_the_embedded_store() {
    let server = super::server().await;
    run("etcd3gw", "gateway_client.py", &server.etcd_endpoint()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd3gw_works_with_a_real_etcd() {
    let etcd = Etcd::start().await.unwrap_or_else(|error| panic!("{error}"));
    run("etcd3gw", "gateway_client.py", &etcd.endpoint()).await;
}
