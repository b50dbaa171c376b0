//! The configuration file changes while the service runs.

use std::path::Path;
use std::time::Duration;

use http::Request;
use regatta::testing::{Running, ask};
use regatta::{Config, Service};
use regatta_config::Presence;
use tokio::time::timeout;

use crate::fixture::{PATIENCE, routes};

/// A service that calls one that hangs, with its settings in a file.
struct Reloading {
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
    admin: std::net::SocketAddr,
    service: Running,
    _hanging: Running,
}

const EVERY: &str = "config: {reload_every: 20ms}\n";

async fn reloading() -> Reloading {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let head = format!("{EVERY}admin: {{listen: '{admin}'}}\n");
    write(&path, &head, "client: {timeout: 30s, try_timeout: 30s}");
    let hanging = Service::builder("hanging-service").quiet();
    let hanging = hanging.config(Config::builder().build().unwrap()).build().await.unwrap();
    let hanging = Running::start(hanging.rest(routes())).await.unwrap();
    let registry: regatta_discovery::StaticRegistry =
        format!("static:hanging-service={}", hanging.addr()).parse().unwrap();
    let config = Config::builder().file(&path, Presence::Required).build().unwrap();
    let service = Service::builder("calling-service").config(config).quiet();
    let service = service.discover(registry).build().await.unwrap();
    let client = service.client("hanging-service").unwrap();
    let call = move || {
        let client = client.clone();
        async move {
            match client.get("/hang").send().await {
                Ok(response) => response.status().to_string(),
                Err(error) => error.to_string(),
            }
        }
    };
    let routes = axum::Router::new().route("/call", axum::routing::get(call));
    let service = Running::start(service.rest(routes)).await.unwrap();
    Reloading { _folder: folder, path, admin, service, _hanging: hanging }
}

fn write(path: &Path, head: &str, rest: &str) {
    // As editors and Kubernetes do: another file in the place of the old one.
    let next = path.with_extension("next");
    std::fs::write(&next, format!("{head}{rest}\n")).unwrap();
    std::fs::rename(&next, path).unwrap();
}

impl Reloading {
    fn write(&self, rest: &str) {
        let head = format!("{EVERY}admin: {{listen: '{}'}}\n", self.admin);
        write(&self.path, &head, rest);
    }

    async fn shown(&self) -> serde_json::Value {
        ask(self.admin, Request::get("/config").body(String::new())).await.json()
    }

    async fn until(&self, is_there: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let looking = async {
            loop {
                let shown = self.shown().await;
                if is_there(&shown) {
                    return shown;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, looking).await.expect("the change is seen")
    }
}

fn value(shown: &serde_json::Value, key: &str) -> serde_json::Value {
    let values = shown["values"].as_array().unwrap();
    values.iter().find(|entry| entry["key"] == key).unwrap()["value"].clone()
}

#[tokio::test]
async fn policies_of_calls_change_at_once() {
    let it = reloading().await;
    it.write("client: {services: {hanging-service: {timeout: 50ms}}}");
    let key = "client.services.hanging-service.timeout";
    it.until(|shown| shown.to_string().contains(key)).await;
    // With the timeout from before, this would outlast the patience of the test.
    assert!(!timeout(PATIENCE, it.service.get("/call")).await.unwrap().text().is_empty());
}

#[tokio::test]
async fn what_does_not_validate_is_refused_and_the_old_stays() {
    let it = reloading().await;
    it.write("client: {timeout: soon}");
    let shown = it.until(|shown| !shown["refused"].is_null()).await;
    assert!(shown["refused"].as_str().unwrap().contains("client.timeout"), "{shown}");
    assert_eq!(value(&shown, "client.timeout"), "30s");
    let told = async {
        loop {
            let health = it.service.get("/health").await.json();
            let error = &health["dependencies"]["configuration"]["error"];
            if error.as_str().is_some_and(|error| error.contains("client.timeout")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, told).await.expect("health says so");
    assert_eq!(it.service.get("/health/ready").await.status(), 200);

    it.write("client: {timeout: 29s}");
    let shown = it.until(|shown| shown["refused"].is_null()).await;
    assert_eq!(value(&shown, "client.timeout"), "29s");
}

#[tokio::test]
async fn a_file_that_is_gone_changes_nothing() {
    let it = reloading().await;
    std::fs::remove_file(&it.path).unwrap();
    let shown = it.until(|shown| !shown["refused"].is_null()).await;
    assert!(shown["refused"].as_str().unwrap().contains("does not exist"), "{shown}");
    assert_eq!(value(&shown, "client.timeout"), "30s");
}

#[tokio::test]
async fn other_settings_wait_for_the_next_start_and_that_is_told() {
    let it = reloading().await;
    it.write("client: {timeout: 28s, try_timeout: 28s}\nserver: {linger: 7s}");
    let shown = it.until(|shown| value(shown, "client.timeout") == "28s").await;
    assert_eq!(shown["at_next_start"], serde_json::json!(["server.linger"]));
    assert_eq!(value(&shown, "server.linger"), "1s");
}
