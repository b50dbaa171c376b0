//! The operators' listener: clusters, breakers, health.

use crate::support::{answering, ask, echo, get, settings, start};

fn put(path: &str, body: &str) -> String {
    format!(
        "PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn seen_by_operator(address: std::net::SocketAddr) -> crate::support::Message {
    ask(address, "GET /clusters HTTP/1.1\r\nHost: localhost\r\n\r\n").await
}

#[tokio::test]
async fn a_web_page_learns_and_decides_nothing() {
    let gateway = start(settings(), &[]).await;
    let forced = put("/clusters/a/breaker", r#"{"state":"forced_open"}"#);
    for request in [
        forced.replace("127.0.0.1", "evil.example"),
        forced.replace("Content", "Origin: http://evil.example\r\nContent"),
        "GET /clusters HTTP/1.1\r\nHost: evil.example:9901\r\n\r\n".into(),
    ] {
        assert_eq!(ask(gateway.admin, &request).await.status, 403, "{request}");
    }
    assert_eq!(get(gateway.admin, "/metrics").await.status, 200, "is read by name");
    assert_eq!(seen_by_operator(gateway.admin).await.json()[0]["control"], "automatic");
}

#[tokio::test]
async fn an_operator_sees_every_instance_and_decides_about_breakers() {
    let (service, other) = (echo().await, echo().await);
    let gateway = start(settings(), &[service.addr, other.addr]).await;
    get(gateway.addr, "/a/x").await;
    let clusters = seen_by_operator(gateway.admin).await.json();
    assert_eq!(clusters[0]["service"], "a");
    let instances = clusters[0]["instances"].as_array().unwrap();
    assert_eq!(instances.len(), 2);
    assert_eq!(instances[0]["breaker"], "closed");
    let calls = |one: &serde_json::Value| one["counted"]["calls"].as_u64().unwrap();
    assert_eq!(instances.iter().map(calls).sum::<u64>(), 1);
    assert_eq!(calls(&clusters[0]), 1);
    assert!(instances[0]["counted"]["probe_in_ms"].is_null());

    let forced = r#"{"state":"forced_open"}"#;
    assert_eq!(ask(gateway.admin, put("/clusters/a/breaker", forced)).await.status, 204);
    let answer = get(gateway.addr, "/a/x").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("no_healthy_instance")));
    let automatic = r#"{"state":"automatic"}"#;
    assert_eq!(ask(gateway.admin, put("/clusters/a/breaker", automatic)).await.status, 204);
    assert_eq!(get(gateway.addr, "/a/x").await.status, 200);

    let path = format!("/clusters/a/{}/breaker", instances[0]["id"].as_str().unwrap());
    assert_eq!(ask(gateway.admin, put(&path, forced)).await.status, 204);
    let endpoint = instances[0]["endpoint"].as_str().unwrap();
    let (mut closed, mut open) = (service, other);
    if endpoint == closed.addr.to_string() {
        std::mem::swap(&mut closed, &mut open);
    }
    let before = open.unseen();
    for _ in 0..6 {
        assert_eq!(get(gateway.addr, "/a/x").await.status, 200);
    }
    assert_eq!((open.unseen(), before <= 2), (0, true));
    let clusters = seen_by_operator(gateway.admin).await.json();
    assert_eq!(clusters[0]["instances"][0]["control"], "forced_open", "{clusters}");
}

#[tokio::test]
async fn what_an_operator_says_wrong_is_told() {
    let gateway = start(settings(), &[]).await;
    for (path, body, status, part) in [
        ("/clusters/b/breaker", r#"{"state":"automatic"}"#, 404, "`b`"),
        ("/clusters/a/no-such/breaker", r#"{"state":"automatic"}"#, 404, "no-such"),
        ("/clusters/a/breaker", r#"{"state":"open"}"#, 400, "forced_open, forced_closed"),
        ("/clusters/a/breaker", "open", 400, "state"),
        ("/clusters/a", "{}", 404, "/breaker"),
    ] {
        let answer = ask(gateway.admin, put(path, body)).await;
        assert_eq!(answer.status, status, "{path} {body}");
        assert_eq!(answer.field("content-type"), Some("application/problem+json"));
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains(part), "{path} {body}: {detail}");
    }
}

#[tokio::test]
async fn health_says_what_the_gateway_needs_and_how_that_is() {
    let service = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let gateway = start(settings(), &[service.addr]).await;
    for address in [gateway.addr, gateway.admin] {
        let health = get(address, "/health").await;
        let body = health.json();
        assert_eq!((health.status, body["status"].as_str()), (200, Some("healthy")), "{body}");
        assert!(body["timestamp"].as_str().unwrap().ends_with('Z'));
        for load in ["cpu_usage", "memory_usage", "disk_usage"] {
            assert!(body["system"][load].is_number(), "{body}");
        }
        assert_eq!(body["dependencies"]["registry"]["status"], "healthy");
        assert_eq!(body["dependencies"]["a"]["usable_instances"], 1);
        assert!(body["dependencies"]["a"]["response_time"].is_number());
        assert!(body["version"].is_string());
    }
    let empty = start(settings(), &[]).await;
    let health = get(empty.addr, "/health").await;
    assert_eq!((health.status, health.json()["status"].as_str()), (503, Some("unhealthy")));
    assert_eq!(health.json()["dependencies"]["a"]["error"], "has no instance");
    assert_eq!(get(empty.addr, "/health/ready").await.status, 200, "that makes it not unready");
}
