//! What every answer has, and what every service serves.

use axum::routing::get;
use http::Request;
use regatta::auth::{Claims, Grant, Issuer, SigningKey, now};
use regatta::testing::Running;
use regatta::{Config, Secret, Service};
use serde_json::json;

use crate::fixture::{opened, running};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_request_id_is_echoed_or_made() {
    let service = running("").await;
    let request = Request::get("/hello").header("x-request-id", "my-id").body(String::new());
    assert_eq!(service.send(request).await.header("x-request-id"), "my-id");
    for path in ["/hello", "/nowhere", "/panic"] {
        assert!(!service.get(path).await.header("x-request-id").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_problem_names_the_callers_trace() {
    let service = running("").await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let request = Request::get("/nowhere").header("traceparent", parent).body(String::new());
    assert_eq!(service.send(request).await.json()["trace_id"], trace);
}

#[tokio::test]
async fn routes_ask_for_tokens_and_roles() {
    let yaml = format!("auth: {{secret: {SECRET}, issuer: dev}}");
    let service = opened(&yaml).await;
    let guard = service.auth().unwrap();
    let routes = axum::Router::new()
        .route("/me", get(async |claims: Claims| claims.user_id().to_owned()))
        .route_layer(guard.role("user"));
    let service = Running::start(service.rest(routes)).await.unwrap();
    let missing = service.get("/me").await;
    assert_eq!(
        (missing.status().as_u16(), &missing.json()["error"]),
        (401, &json!("Missing token"))
    );
    assert!(missing.header("www-authenticate").starts_with("Bearer"));

    let key = SigningKey::hs256(&Secret::new(SECRET)).unwrap();
    let issuer = Issuer::new(key).issuer("dev");
    let ask = async |role: &str| {
        let token = issuer.issue(&Grant::new("7").role(role), now()).unwrap();
        let request = Request::get("/me").header("authorization", format!("Bearer {token}"));
        service.send(request.body(String::new())).await
    };
    assert_eq!(ask("user").await.text(), "7");
    let other = ask("guest").await;
    assert_eq!(other.status(), 403);
    assert_eq!(other.json()["error"], "Insufficient permissions");
}

#[tokio::test]
async fn metrics_and_the_description_are_served() {
    let service = running("").await;
    service.get("/hello").await;
    service.get("/orders/1").await;
    let metrics = service.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    for name in ["http_server_request_duration_seconds", "process_memory_usage_bytes"] {
        assert!(metrics.text().contains(name), "{}", metrics.text());
    }
    assert!(metrics.text().contains(r#"http_route="/orders/{id}""#), "{}", metrics.text());
    let document = service.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "test-service");
}

#[tokio::test]
async fn an_outgoing_call_of_a_request_without_a_deadline_is_bounded_too() {
    let routes = axum::Router::new().route(
        "/deadline",
        get(async || {
            let deadline = regatta::Context::current().and_then(|context| context.deadline);
            deadline.is_some().to_string()
        }),
    );
    let service = Running::start(opened("").await.rest(routes)).await.unwrap();
    assert_eq!(service.get("/deadline").await.text(), "true");
}

#[tokio::test]
async fn an_error_that_comes_when_the_callers_time_is_over_is_that_it_is_over() {
    let routes = axum::Router::new().route(
        "/late",
        get(async || {
            let deadline = regatta::Context::current().and_then(|it| it.deadline).unwrap();
            tokio::time::sleep_until(deadline.instant().into()).await;
            Err::<(), _>(regatta::Problem::unavailable("another service is too slow"))
        }),
    );
    let service = Running::start(opened("").await.rest(routes)).await.unwrap();
    let request = Request::get("/late").header("x-envoy-expected-rq-timeout-ms", "30");
    let answer = service.send(request.body(String::new())).await;
    let answer = (answer.status().as_u16(), answer.json()["code"].clone());
    assert_eq!(answer, (504, json!("deadline_exceeded")));
}

#[tokio::test]
async fn the_settings_problems_are_told_all_at_once() {
    let yaml = "server:\n  port: many\nauth:\n  secret: short\nlog:\n  format: xml\nsrever: {}\n";
    let config = Config::builder().yaml("config.yaml", yaml).build().unwrap();
    let error = Service::builder("test-service").config(config).quiet().build().await.unwrap_err();
    let printed = format!("{error:?}");
    for part in ["server.port", "auth.secret", "log.format", "srever", "config.yaml:2"] {
        assert!(printed.contains(part), "{printed}");
    }
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let service = opened(&format!("server: {{port: {port}}}\nregistry: {{url: none}}")).await;
    let printed = format!("{:?}", service.bind().await.unwrap_err());
    assert!(
        printed.contains(&format!("127.0.0.1:{port}")) && printed.contains("PORT"),
        "{printed}"
    );
}
