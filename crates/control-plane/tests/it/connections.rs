//! Connections that are slow, silent or idle.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{LIMIT, Server};

/// What comes until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is an end, too.
    let _ended = tokio::time::timeout(LIMIT, stream.read_to_end(&mut text)).await.unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

async fn said(server: &Server, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn half_a_body_is_given_up_whatever_the_call() {
    let server = Server::with(|settings| {
        settings.body_read_timeout = Duration::from_millis(50);
    })
    .await;
    for path in [
        "agent/service/register",
        "agent/check/register",
        "agent/check/update/a",
        "catalog/register",
        "catalog/deregister",
        "kv/a",
        "txn",
        "session/create",
        "event/fire/a",
    ] {
        let head =
            format!("PUT /v1/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{{");
        let answer = rest(&mut said(&server, &head).await).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{path}: {answer}");
        assert!(answer.contains("send it again"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn half_a_body_is_given_up_also_before_rights_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.yaml");
    std::fs::write(&file, "anonymous: { service: { \"\": write } }\n").unwrap();
    let server = Server::with(|settings| {
        settings.access = Some(file);
        settings.body_read_timeout = Duration::from_millis(50);
    })
    .await;
    let head =
        "PUT /v1/agent/service/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{";
    let answer = rest(&mut said(&server, head).await).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_say_what_it_wants_is_closed_and_an_idle_one_is_kept() {
    let server = Server::with(|settings| {
        settings.header_read_timeout = Duration::from_millis(100);
    })
    .await;
    let request = "GET /v1/status/leader HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut idle = said(&server, request).await;
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    for begun in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nHo"] {
        assert_eq!(rest(&mut said(&server, begun).await).await, "", "{begun:?}");
    }
    // By now it was idle for longer than a head may take.
    let last = request.replace("Host", "Connection: close\r\nHost");
    idle.write_all(last.as_bytes()).await.unwrap();
    assert!(rest(&mut idle).await.contains("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let server = Server::with(|settings| {
        settings.idle_timeout = Duration::from_millis(50);
    })
    .await;
    let mut idle = said(&server, "GET /v1/status/leader HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(rest(&mut idle).await.starts_with("HTTP/1.1 200"));
}
