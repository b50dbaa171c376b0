//! The port for operators.

use std::net::SocketAddr;

use http::Request;
use regatta::testing::{Running, ask};
use regatta::{Config, Service};
use regatta_discovery::MemoryRegistry;
use serde_json::json;

use crate::fixture::{PATIENCE, routes, running};

/// A service that was called, and one that calls it and has an admin port.
async fn calling(yaml: &str) -> (Running, Running, SocketAddr) {
    let registry = MemoryRegistry::new();
    let called = Service::builder("called-service").quiet();
    let called = called.config(Config::builder().build().unwrap()).registry(registry.clone());
    let called = Running::start(called.build().await.unwrap().rest(routes())).await.unwrap();

    // The admin port is chosen by the system, and has to be known.
    let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let yaml = format!("admin: {{listen: '{admin}'}}\n{yaml}");
    let config = Config::builder().yaml("config.yaml", &yaml).build().unwrap();
    let caller = Service::builder("calling-service").config(config).quiet().registry(registry);
    let caller = caller.build().await.unwrap();
    let client = caller.client("called-service").unwrap();
    let call = move || {
        let client = client.clone();
        async move {
            match client.get("/hello").send().await {
                Ok(response) => response.status().as_u16().to_string(),
                Err(error) => error.to_string(),
            }
        }
    };
    let routes = axum::Router::new().route("/call", axum::routing::get(call));
    let caller = Running::start(caller.rest(routes)).await.unwrap();
    let reached = async {
        while caller.get("/call").await.text() != "200" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("the service is found");
    (called, caller, admin)
}

async fn put(admin: SocketAddr, path: &str, body: &str) -> regatta::testing::Answer {
    // As curl says it of what `-d` gives.
    let request = Request::put(path).header("content-type", "application/x-www-form-urlencoded");
    ask(admin, request.body(body.to_owned())).await
}

#[tokio::test]
async fn shows_the_instances_of_what_was_called() {
    let (called, _caller, admin) = calling("").await;
    let clusters = ask(admin, Request::get("/clusters").body(String::new())).await.json();
    assert_eq!(clusters[0]["service"], "called-service", "{clusters}");
    let instance = &clusters[0]["instances"][0];
    assert_eq!(instance["endpoint"], called.addr().to_string(), "{clusters}");
    assert_eq!(instance["breaker"], "closed", "{clusters}");
}

#[tokio::test]
async fn a_breaker_is_opened_and_given_back_by_hand() {
    let (_called, caller, admin) = calling("client: {tries: 1}").await;
    let path = "/clusters/called-service/breaker";
    assert_eq!(put(admin, path, r#"{"state": "forced_open"}"#).await.status(), 204);
    assert_ne!(caller.get("/call").await.text(), "200");
    let clusters = ask(admin, Request::get("/clusters").body(String::new())).await.json();
    assert_eq!(clusters[0]["instances"][0]["control"], "forced_open", "{clusters}");
    assert_eq!(put(admin, path, r#"{"state": "automatic"}"#).await.status(), 204);
    assert_eq!(caller.get("/call").await.text(), "200");

    let id = clusters[0]["instances"][0]["id"].as_str().unwrap();
    let path = format!("/clusters/called-service/{id}/breaker");
    assert_eq!(put(admin, &path, r#"{"state": "forced_open"}"#).await.status(), 204);
    assert_ne!(caller.get("/call").await.text(), "200");
    assert_eq!(put(admin, &path, r#"{"state": "forced_closed"}"#).await.status(), 204);
    assert_eq!(caller.get("/call").await.text(), "200");
}

#[tokio::test]
async fn what_is_not_there_or_no_state_is_told() {
    let (_called, _caller, admin) = calling("").await;
    let open = r#"{"state": "forced_open"}"#;
    for (path, body, status, part) in [
        ("/clusters/nobody/breaker", open, 404, "GET /clusters"),
        ("/clusters/called-service/nobody/breaker", open, 404, "GET /clusters"),
        ("/clusters/NOT_A_NAME/breaker", open, 400, "is not a service name"),
        ("/clusters/called-service/breaker", r#"{"state": "ajar"}"#, 400, "forced_open"),
        ("/clusters/called-service/breaker", "{}", 400, "state"),
        ("/nothing", open, 404, "not_found"),
    ] {
        let answer = put(admin, path, body).await;
        assert_eq!(answer.status(), status, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(answer.text().contains(part), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn shows_the_settings_with_their_origins_and_no_secret() {
    let yaml = "auth: {secret: 0123456789abcdef0123456789abcdef}\nclient: {tries: 2}";
    let (_called, _caller, admin) = calling(yaml).await;
    let shown = ask(admin, Request::get("/config").body(String::new())).await.json();
    let entry = |key: &str| {
        shown["values"].as_array().unwrap().iter().find(|it| it["key"] == key).unwrap().clone()
    };
    assert_eq!(entry("client.tries")["value"], "2");
    assert!(entry("client.tries")["origin"].as_str().unwrap().starts_with("config.yaml:3"));
    assert_eq!(entry("auth.secret")["value"], "***");
    assert_eq!(entry("server.linger")["origin"], "default");
    assert_eq!(shown["refused"], json!(null));
}

#[tokio::test]
async fn a_web_page_is_refused() {
    let (_called, _caller, admin) = calling("").await;
    let foreign = Request::get("/config").header("host", "evil.example").body(String::new());
    assert_eq!(ask(admin, foreign).await.status(), 403);
    let page = Request::get("/config").header("origin", "http://evil.example");
    assert_eq!(ask(admin, page.body(String::new())).await.status(), 403);
}

#[tokio::test]
async fn the_port_that_serves_has_none_of_it() {
    let service = running("").await;
    for path in ["/clusters", "/config"] {
        assert_eq!(service.get(path).await.status(), 404);
    }
}

#[tokio::test]
async fn a_taken_admin_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let yaml =
        format!("admin: {{listen: '{address}'}}\nserver: {{port: 0}}\nregistry: {{url: none}}");
    let service = crate::fixture::opened(&yaml).await;
    let printed = format!("{:?}", service.bind().await.unwrap_err());
    assert!(
        printed.contains(&address.to_string()) && printed.contains("ADMIN_LISTEN"),
        "{printed}"
    );
}

#[tokio::test]
async fn it_ends_with_the_service() {
    let (_called, caller, admin) = calling("server: {linger: 0s}").await;
    tokio::time::timeout(PATIENCE, caller.stop()).await.expect("stops");
    assert!(tokio::net::TcpStream::connect(admin).await.is_err());
}
