//! The health of a service, as orchestrators ask for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use regatta::testing::Running;
use regatta_discovery::{Discover, Freshness, InstanceSet, MemoryRegistry, Publisher, Watch};
use serde_json::json;

use crate::fixture::{PATIENCE, opened, routes};

#[tokio::test]
async fn a_service_without_dependencies_is_healthy_ready_and_alive() {
    let service = opened("").await.version("1.2.3").rest(routes());
    let service = Running::start(service).await.unwrap();
    let health = service.get("/health").await;
    assert_eq!(health.status(), 200);
    let body = health.json();
    assert_eq!((&body["status"], &body["version"]), (&json!("healthy"), &json!("1.2.3")));
    assert_eq!(body["dependencies"], json!({}));
    let mut members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["dependencies", "status", "system", "timestamp", "version"]);
    assert_eq!(service.get("/health/ready").await.json(), json!({ "status": "ready" }));
    assert_eq!(service.get("/health/live").await.json(), json!({ "status": "alive" }));
    for alias in ["/healthz", "/readyz", "/livez"] {
        assert_eq!(service.get(alias).await.status(), 200);
    }
}

#[tokio::test]
async fn a_critical_dependency_decides_readiness_and_never_liveness() {
    let is_up = Arc::new(AtomicBool::new(false));
    let probed = is_up.clone();
    let probe = move || {
        let up = probed.load(Ordering::Relaxed);
        async move { if up { Ok(()) } else { Err("the bank is closed") } }
    };
    let service = opened("").await.health("bank", probe);
    let service = Running::start(service).await.unwrap();
    let health = service.get("/health").await;
    assert_eq!(health.status(), 503);
    assert_eq!(health.json()["dependencies"]["bank"]["error"], "the bank is closed");
    let ready = service.get("/health/ready").await;
    assert_eq!((ready.status().as_u16(), ready.json()), (503, json!({ "status": "not ready" })));
    assert_eq!(service.get("/health/live").await.status(), 200);
    is_up.store(true, Ordering::Relaxed);
    let recovered = async {
        while service.get("/health/ready").await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, recovered).await.expect("is ready when the bank is back");
}

#[tokio::test]
async fn a_registry_without_word_of_those_it_calls_makes_it_unhealthy_and_leaves_it_ready() {
    let since = tokio::time::Instant::now().into_std();
    let fresh = InstanceSet::fresh(Vec::new());
    let publisher = Arc::new(Publisher::new(fresh.clone()));
    let config = regatta::Config::builder().build().unwrap();
    let service = regatta::Service::builder("test-service").config(config).quiet();
    let service = service.discover(Held(publisher.clone())).build().await.unwrap();
    let _orders = service.client("order-service").unwrap();
    let service = Running::start(service).await.unwrap();
    let health = service.get("/health").await;
    assert_eq!(health.json()["dependencies"]["discovery"]["status"], "healthy");
    publisher.publish(InstanceSet { freshness: Freshness::Stale { since }, ..fresh });
    let told = async {
        loop {
            let health = service.get("/health").await.json();
            let error = health["dependencies"]["discovery"]["error"].as_str();
            if let Some(error) = error {
                return error.to_owned();
            }
            tokio::task::yield_now().await;
        }
    };
    let error = tokio::time::timeout(PATIENCE, told).await.unwrap();
    assert!(error.contains("`order-service`"), "{error}");
    assert_eq!(service.get("/health/ready").await.status(), 200);
}

/// A registry whose publisher the test holds too.
#[derive(Debug)]
struct Held(Arc<Publisher>);

impl Discover for Held {
    fn watch(&self, _: &regatta_core::ServiceName) -> Watch {
        self.0.watch()
    }
}

#[tokio::test]
async fn a_registry_that_is_away_makes_it_unhealthy_and_leaves_it_ready() {
    let registry = MemoryRegistry::new();
    registry.set_away(true);
    let config = regatta::Config::builder().build().unwrap();
    let service = regatta::Service::builder("test-service").config(config).quiet();
    let service = service.registry(registry.clone()).build().await.unwrap();
    let service = Running::start(service).await.unwrap();
    let health = service.get("/health").await;
    assert_eq!(health.json()["dependencies"]["registry"]["status"], "unhealthy");
    assert_eq!(service.get("/health/ready").await.status(), 200);
}

#[tokio::test]
async fn the_database_is_a_critical_dependency() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/test.db", folder.path().display());
    let service = opened(&format!("database: {{url: '{url}'}}")).await;
    let database = service.database().unwrap();
    database.migrate(&[]).await.unwrap();
    let service = Running::start(service).await.unwrap();
    let health = service.get("/health").await.json();
    assert_eq!(health["dependencies"]["database"]["status"], "healthy", "{health}");
}

#[tokio::test]
async fn it_registers_with_its_real_port_and_a_check_and_deregisters_at_its_end() {
    let registry = MemoryRegistry::new();
    let yaml = "service: {version: v2, weight: 3, instance: me-1}\nserver: {linger: 0s}";
    let config = regatta::Config::builder().yaml("config.yaml", yaml).build().unwrap();
    let service = regatta::Service::builder("test-service").config(config).quiet();
    let service = service.registry(registry.clone()).build().await.unwrap();
    let service = Running::start(service).await.unwrap();
    let registered = async {
        while registry.registrations().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, registered).await.expect("registers");
    let registration = registry.registrations().remove(0);
    let instance = registration.instance;
    assert_eq!(instance.endpoint.as_socket_addr(), Some(service.addr()));
    assert_eq!((instance.id.as_str(), instance.weight), ("me-1", 3));
    assert_eq!(instance.version.as_deref(), Some("v2"));
    assert!(registration.check.is_some());
    service.stop().await;
    assert!(registry.registrations().is_empty());
}

#[tokio::test]
async fn told_that_somebody_else_registers_it_it_does_not() {
    let registry = MemoryRegistry::new();
    let yaml = "registry: {register: false}\nserver: {linger: 0s}";
    let config = regatta::Config::builder().yaml("config.yaml", yaml).build().unwrap();
    let service = regatta::Service::builder("test-service").config(config).quiet();
    let service = service.registry(registry.clone()).build().await.unwrap();
    let service = Running::start(service).await.unwrap();
    // It still finds the others there, so its health names the registry.
    assert_eq!(service.get("/health/ready").await.status(), 200);
    assert!(registry.registrations().is_empty());
    service.stop().await;
}

/// The database is away at the start; when it comes, it has a schema that does not fit.
#[tokio::test]
async fn a_schema_that_cannot_be_brought_up_to_date_keeps_it_unready_and_says_why() {
    use regatta::database::Migration;
    const BROKEN: Migration =
        Migration { version: 1, name: "broken", sqlite: "CREATE TABEL users", postgres: "" };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.db");
    // A folder in the place of the file: the database cannot be opened yet.
    std::fs::create_dir(&file).unwrap();
    let url = format!("sqlite://{}", file.display());
    let service = opened(&format!("database: {{url: '{url}'}}")).await;
    let database = service.database().unwrap();
    service.migrate(&database, &[BROKEN]).await.unwrap();
    let service = Running::start(service).await.unwrap();
    let schema =
        async || service.get("/health").await.json()["dependencies"]["schema"]["error"].to_string();
    assert!(schema().await.contains("waits for the database"), "{}", schema().await);
    std::fs::remove_dir(&file).unwrap();
    let told = async {
        loop {
            let reason = schema().await;
            if reason.contains("migration `1` failed") {
                return reason;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let reason = tokio::time::timeout(PATIENCE, told).await.expect("the reason is told");
    assert!(reason.contains("TABEL"), "{reason}");
    assert_eq!(service.get("/health/ready").await.status(), 503);
}
