//! Requests that a web page causes in its reader's browser.

use crate::server::Server;

#[tokio::test]
async fn a_page_can_neither_write_nor_read_the_registry() {
    let server = Server::start().await;
    let url = |path: &str| format!("http://{}{path}", server.address);
    for (name, value) in [("origin", "https://evil.dev"), ("host", "rebound.evil.dev:8500")] {
        let register = server.client.put(url("/v1/agent/service/register"));
        let answer = register.header(name, value).body(r#"{"name":"evil"}"#).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{name}");
        let read = server.client.get(url("/v1/agent/services")).header(name, value);
        let answer = read.send().await.unwrap();
        assert_eq!(answer.status(), 403, "{name}");
        assert!(answer.text().await.unwrap().starts_with("Permission denied"), "{name}");
    }
    assert_eq!(server.get("/v1/agent/services").await.json(), serde_json::json!({}));
}

#[tokio::test]
async fn health_and_metrics_are_read_by_any_name() {
    let server = Server::start().await;
    for path in ["/health/live", "/health/ready", "/metrics"] {
        let url = format!("http://{}{path}", server.address);
        let answer = server.client.get(url).header("host", "registry.example.com").send().await;
        assert_eq!(answer.unwrap().status(), 200, "{path}");
    }
}
