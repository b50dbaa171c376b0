//! Prometheus finds its targets by `consul_sd_configs`, from both servers.

use std::process::Command;

use regatta_testkit::{Process, bullseye, free_port};
use serde_json::Value;

use super::Target;
use crate::api::Api;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_finds_its_targets_in_the_control_plane() {
    let (_server, target) = super::embedded().await;
    suite(&target).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_finds_its_targets_in_a_real_consul() {
    let (_server, target) = super::real().await;
    suite(&target).await;
}

async fn suite(target: &Target) {
    let body = r#"{"name":"shop","id":"s1","address":"127.0.0.1","port":1,"tags":["blue"],
        "meta":{"team":"a"}}"#;
    target.done("/v1/agent/service/register", body).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prometheus.yml");
    let text = format!(
        "scrape_configs:\n\
         - job_name: all\n  \
           scrape_interval: 1h\n  \
           consul_sd_configs:\n  \
           - server: '{}'\n    \
             refresh_interval: 1s\n    \
             services: [shop]\n",
        target.address
    );
    std::fs::write(&file, text).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(bullseye("prometheus"));
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
    command.arg(format!("--web.listen-address={address}"));
    let _process = Process::spawn(command)
        .expect("prometheus is in `target/bullseye`; `cargo xtask test` gets it");
    let prometheus = Api::new(&address);
    regatta_testkit::wait_until("prometheus to answer", crate::server::LIMIT, async || {
        tokio::net::TcpStream::connect(&address).await.is_ok()
    })
    .await;
    let labels = |found: &Value| found["data"]["activeTargets"][0]["discoveredLabels"].clone();
    let path = "/api/v1/targets?state=active";
    let found = prometheus.until(path, |found| labels(found).is_object()).await;
    let labels = labels(&found);
    assert_eq!(labels["__address__"], "127.0.0.1:1");
    assert_eq!(labels["__meta_consul_service"], "shop");
    assert_eq!(labels["__meta_consul_service_id"], "s1");
    assert_eq!(labels["__meta_consul_tags"], ",blue,");
    assert_eq!(labels["__meta_consul_service_metadata_team"], "a");
    assert_eq!(labels["__meta_consul_node"], target.node);
    assert_eq!(labels["__meta_consul_dc"], "dc1");
    // A service that is gone is a target no more.
    target.done("/v1/agent/service/deregister/s1", "").await;
    prometheus
        .until(path, |found| found["data"]["activeTargets"].as_array().is_some_and(Vec::is_empty))
        .await;
}
