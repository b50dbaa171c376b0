//! WebSocket upgrades.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::support::{Message, Wire, echo, ok, settings, start, upstream};

const UPGRADE: &str = "GET /a/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n\
                       Upgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";

#[tokio::test]
async fn bytes_flow_both_ways_after_the_switch() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    tasks.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut wire = Wire { stream, read: Vec::new() };
        let request = wire.head().await.unwrap();
        assert_eq!(request.field("upgrade"), Some("websocket"));
        assert_eq!(request.field("sec-websocket-key"), Some("k"));
        wire.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: x\r\n\r\nfirst",
        )
        .await;
        let mut bytes = [0; 5];
        wire.stream.read_exact(&mut bytes).await.unwrap();
        wire.stream.write_all(&bytes).await.unwrap();
    });
    let gateway = start(settings(), &[addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.send(format!("{UPGRADE}hello")).await;
    let head = wire.head().await.unwrap();
    assert_eq!((head.status, head.field("sec-websocket-accept")), (101, Some("x")));
    assert_eq!(wire.rest().await, b"firsthello");
}

#[tokio::test]
async fn a_service_may_decline_and_the_connection_goes_on() {
    let service = upstream(Arc::new(|_, _: &Message| (ok(b"no"), false))).await;
    let gateway = start(settings(), &[service.addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    for _ in 0..2 {
        wire.send(UPGRADE).await;
        assert_eq!(wire.message().await.unwrap().text(), "no");
    }
}

#[tokio::test]
async fn other_upgrades_are_not_passed_on() {
    let mut service = echo().await;
    let gateway = start(settings(), &[service.addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.send("GET /a/x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n").await;
    assert_eq!(wire.message().await.unwrap().status, 200);
    let seen = service.request().await;
    assert_eq!((seen.field("upgrade"), seen.field("connection")), (None, None));
}
