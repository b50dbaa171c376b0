//! Users in a real Redis, before the database.

use std::process::Command;
use std::time::Duration;

use regatta::http::Method;
use regatta_testkit::{Redis, wait_until};
use serde_json::{Value, json};

use crate::running::UserService;

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_user_that_was_read_is_in_redis_and_gone_after_a_change() {
    let redis = Redis::start().await.unwrap();
    let service = UserService::start_with(&format!("cache: {{ url: '{}' }}\n", redis.url())).await;
    service.post("/users", &json!({ "name": "Ada", "email": "ada@example.org" })).await;
    wait_until("the user is kept", LIMIT, async || {
        service.get("/users/1").await;
        cli(&redis, "user-service:user:1") != Value::Null
    })
    .await;
    assert_eq!(cli(&redis, "user-service:user:1")["name"], "Ada");
    service.send(Method::PATCH, "/users/1", "user", r#"{"name":"Eve"}"#).await;
    assert_eq!(cli(&redis, "user-service:user:1"), Value::Null);
    assert_eq!(service.get("/users/1").await.json()["name"], "Eve");
}

#[tokio::test]
async fn lists_are_cleared_by_every_write_and_an_unknown_user_is_found_once_it_is_there() {
    let redis = Redis::start().await.unwrap();
    let service = UserService::start_with(&format!("redis: {{ url: '{}' }}\n", redis.url())).await;
    let names = async || {
        let page = service.send(Method::GET, "/admin/users", "admin", "").await.json();
        let users = page["users"].as_array().unwrap().clone();
        users.into_iter().map(|user| user["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        assert_eq!(service.get("/users/1").await.status(), 404);
        assert!(names().await.is_empty());
    }
    service.post("/users", &json!({ "name": "Ada", "email": "ada@example.org" })).await;
    assert_eq!(service.get("/users/1").await.status(), 200);
    assert_eq!(names().await, ["Ada"]);
    service.send(Method::PATCH, "/users/1", "user", r#"{"name":"Eve"}"#).await;
    assert_eq!(names().await, ["Eve"]);
    service.send(Method::DELETE, "/users/1", "user", "").await;
    assert!(names().await.is_empty());
    assert_eq!(service.get("/users/1").await.status(), 404);
}

#[tokio::test]
async fn without_its_redis_the_service_serves_and_says_so() {
    let mut redis = Redis::start().await.unwrap();
    let service = UserService::start_with(&format!("cache: {{ url: '{}' }}\n", redis.url())).await;
    service.post("/users", &json!({ "name": "Ada", "email": "ada@example.org" })).await;
    redis.stop();
    assert_eq!(service.get("/users/1").await.json()["name"], "Ada");
    let patch = service.send(Method::PATCH, "/users/1", "user", r#"{"name":"Eve"}"#).await;
    assert_eq!(patch.status(), 200);
    assert_eq!(service.get("/users/1").await.json()["name"], "Eve");
    wait_until("health tells of it", LIMIT, async || {
        let health = service.running.get("/health").await.json();
        health["dependencies"]["cache"]["status"] == "unhealthy"
    })
    .await;
    assert_eq!(service.running.get("/health/ready").await.status(), 200);
    let metrics = service.running.get("/metrics").await.text();
    assert!(metrics.contains("outcome=\"unavailable\""), "{metrics}");
    redis.resume().await.unwrap();
    wait_until("health is back", LIMIT, async || {
        let health = service.running.get("/health").await.json();
        health["dependencies"]["cache"]["status"] == "healthy"
    })
    .await;
    assert_eq!(service.get("/users/1").await.json()["name"], "Eve");
}

fn cli(redis: &Redis, key: &str) -> Value {
    let port = redis.port().to_string();
    let output = Command::new("redis-cli").args(["-p", &port, "GET", key]).output();
    let output = output.expect("redis-cli is there; run `apt-get install redis-tools`");
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}
