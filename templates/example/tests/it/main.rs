//! The service, seen from its callers.

use regatta::testing::Running;
use regatta::{Config, Service};

use example_service::{Settings, assemble};

/// Runs the service on a free port with this configuration, in YAML.
async fn running(yaml: &str) -> Running {
    let config = Config::builder().yaml("config.yaml", yaml).build().expect("is YAML");
    let (service, settings) = Service::builder("example-service")
        .config(config)
        .quiet()
        .build_with::<Settings>()
        .await
        .expect("its settings are right");
    Running::start(assemble(service, &settings)).await.expect("there is a free port")
}

#[tokio::test]
async fn greets_by_name() {
    let service = running("hello: {greeting: Ahoy}").await;
    let answer = service.get("/hello/Ada").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json(), serde_json::json!({ "message": "Ahoy, Ada" }));
}

#[tokio::test]
async fn refuses_a_name_that_is_too_long() {
    let service = running("").await;
    let answer = service.get(&format!("/hello/{}", "a".repeat(101))).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json()["code"], "invalid_argument");
}
