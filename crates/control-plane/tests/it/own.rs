//! What the control plane has beside Consul, and where it is stricter.

use std::io::{Read, Write};

use reqwest::Method;
use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn what_is_not_meant_is_refused_with_the_reason() {
    let server = Server::start().await;
    let big = format!(r#"{{"name":"{}"}}"#, "a".repeat(2 << 20));
    let register = "/v1/agent/service/register";
    for (method, path, body, status, words) in [
        (Method::PUT, register, big.as_str(), 413, "too large"),
        (Method::PUT, register, r#"{"name":"a","port":70000}"#, 400, "Port is a number"),
        (Method::PUT, register, r#"{"name":"consul"}"#, 400, "the control plane's own"),
        (Method::PUT, register, r#"{"name":"a","kind":"x"}"#, 400, "not supported"),
        (Method::PUT, "/v1/catalog/deregister", r#"{"node":"regatta"}"#, 500, "itself"),
    ] {
        let answer = server.call(method.clone(), path, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert!(answer.text.contains(words), "{method} {path}: {}", answer.text);
        assert!(answer.header("content-type").starts_with("text/plain"), "{method} {path}");
    }
}

#[tokio::test]
async fn what_it_says_of_itself_nobody_else_changes() {
    let server = Server::start().await;
    let session = server.put("/v1/session/create", "").await.json()["ID"].clone();
    let own = r#""Node":"regatta","SkipNodeUpdate":true"#;
    let removal = "/v1/catalog/deregister";
    for (path, body) in [
        (
            "/v1/agent/service/register",
            r#"{"Name":"a","Check":{"CheckID":"serfHealth","TTL":"1h"}}"#.to_owned(),
        ),
        ("/v1/agent/check/register", r#"{"Name":"a","ID":"serfHealth","TTL":"1h"}"#.to_owned()),
        ("/v1/catalog/register", format!(r#"{{{own},"Check":{{"CheckID":"serfHealth"}}}}"#)),
        ("/v1/catalog/register", format!(r#"{{{own},"Service":{{"Service":"consul"}}}}"#)),
        (removal, r#"{"Node":"regatta","ServiceID":"consul"}"#.to_owned()),
        (removal, r#"{"Node":"regatta","CheckID":"serfHealth"}"#.to_owned()),
    ] {
        let answer = server.put(path, &body).await;
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text);
        assert!(answer.text.contains("the control plane's own"), "{}", answer.text);
    }
    // Nor as something of the agent's, which the service is not.
    let check = r#"{"Name":"a","ServiceID":"consul","TTL":"1h"}"#;
    assert_eq!(server.put("/v1/agent/check/register", check).await.status, 500);
    let maintenance = "/v1/agent/service/maintenance/consul?enable=true";
    assert_eq!(server.put(maintenance, "").await.status, 404);
    for path in ["/v1/agent/service/deregister/consul", "/v1/agent/check/deregister/serfHealth"] {
        server.done(path, "").await;
    }
    let found = server.get("/v1/health/service/consul?passing").await.json();
    assert_eq!(found[0]["Checks"][0]["CheckID"], "serfHealth");
    assert_eq!(server.get("/v1/session/list").await.json()[0]["ID"], session);
}

#[tokio::test]
async fn its_own_health_and_metrics_are_beside_consuls_paths() {
    let server = Server::start().await;
    assert_eq!(server.get("/health/live").await.json(), json!({"status": "alive"}));
    assert_eq!(server.get("/health/ready").await.json(), json!({"status": "ready"}));
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("regatta_control_services 1\n"), "{metrics}");
    assert!(metrics.contains("regatta_control_nodes 1\n"), "{metrics}");
    assert!(metrics.contains("regatta_control_sessions_expired_total 0\n"), "{metrics}");
}

#[tokio::test]
async fn a_client_that_sends_no_content_type_and_chunks_is_understood() {
    let server = Server::start().await;
    let address = server.address;
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let head = "PUT /v1/agent/service/register HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        let body = "e\r\n{\"name\":\"chip\"\r\n1\r\n}\r\n0\r\n\r\n";
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.passing("chip").await, ["chip"]);
}

#[tokio::test]
async fn one_service_too_many_is_refused_with_the_setting_to_raise() {
    let server = Server::with(|settings| settings.max_services = 2).await;
    server.done("/v1/agent/service/register", r#"{"name":"a"}"#).await;
    let answer = server.put("/v1/agent/service/register", r#"{"name":"b"}"#).await;
    assert_eq!(answer.status, 500);
    assert!(answer.text.contains("max_services"), "{}", answer.text);
    server.done("/v1/agent/service/register", r#"{"name":"a","port":1}"#).await;
}

#[tokio::test]
async fn services_without_an_address_are_found_at_the_one_that_is_advertised() {
    let server = Server::with(|settings| {
        settings.advertise = Some([10, 0, 0, 7].into());
    })
    .await;
    server.done("/v1/agent/service/register", r#"{"name":"a"}"#).await;
    let found = server.get("/v1/catalog/service/a").await.json();
    assert_eq!(found[0]["Address"], "10.0.0.7");
    let own = server.get("/v1/agent/self").await.json();
    assert_eq!(own["Member"]["Addr"], "10.0.0.7");
}

#[tokio::test]
async fn a_registered_output_is_cut_as_a_reported_one_is() {
    let server = Server::start().await;
    let output = "x".repeat(5000);
    let check = json!({"CheckID": "c", "TTL": "1h", "Output": output});
    let body = json!({"Name": "a", "Check": check}).to_string();
    server.done("/v1/agent/service/register", &body).await;
    let shown = async || {
        let checks = server.get("/v1/agent/checks").await.json();
        checks["c"]["Output"].as_str().unwrap().len()
    };
    assert_eq!(shown().await, 4096);
    let update = json!({"Status": "passing", "Output": output}).to_string();
    server.done("/v1/agent/check/update/c", &update).await;
    assert_eq!(shown().await, 4096);
}
