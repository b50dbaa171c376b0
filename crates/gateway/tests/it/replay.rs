//! Bodies that come after their head, and are sent again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use regatta_gateway::Settings;
use regatta_resilience::outlier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::support::{LIMIT, Message, Upstream, Wire, echo, settings, start, upstream};

const KEYED: &str = "POST /a/x HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k\r\n";
const PLAIN: &str = "POST /a/x HTTP/1.1\r\nHost: h\r\n";

/// Takes a whole request and closes without an answer.
async fn breaking() -> Upstream {
    upstream(Arc::new(|_, _: &Message| (Vec::new(), true))).await
}

/// Sends a head, waits until the gateway asks for the body, and sends that.
async fn send(address: SocketAddr, head: &str, framing: &str, body: &[&[u8]]) -> Message {
    let mut wire = Wire::connect(address).await;
    wire.send(format!("{head}{framing}\r\nExpect: 100-continue\r\n\r\n")).await;
    assert_eq!(wire.head().await.unwrap().status, 100);
    for part in body {
        // Whoever answers early may close before it has all.
        _ = wire.stream.write_all(part).await;
    }
    wire.message().await.unwrap()
}

#[tokio::test]
async fn a_keyed_post_whose_body_comes_after_its_head_survives_an_instance() {
    let (mut broken, mut service) = (breaking().await, echo().await);
    let gateway = start(settings(), &[broken.addr, service.addr]).await;
    for _ in 0..2 {
        let answer = send(gateway.addr, KEYED, "Content-Length: 4", &[b"da", b"ta"]).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "data"));
        let chunks: [&[u8]; 2] = [b"2\r\nda\r\n", b"2\r\nta\r\n0\r\n\r\n"];
        let answer = send(gateway.addr, KEYED, "Transfer-Encoding: chunked", &chunks).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "data"));
    }
    assert!(broken.unseen() >= 1);
    assert_eq!(service.unseen(), 4);
}

#[tokio::test]
async fn an_instance_that_dies_before_the_body_has_come_costs_no_keyed_post() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (dying, service) = (listener.local_addr().unwrap(), echo().await);
    TaskTracker::new().spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            Wire { stream, read: Vec::new() }.head().await;
        }
    });
    let gateway = start(settings(), &[dying, service.addr]).await;
    for _ in 0..2 {
        let answer = send(gateway.addr, KEYED, "Content-Length: 4", &[b"da", b"ta"]).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "data"));
    }
}

#[tokio::test]
async fn a_body_that_is_long_or_may_not_be_repeated_is_sent_once() {
    for (head, length) in [(PLAIN, 4), (KEYED, 64 * 1024 + 1)] {
        let mut broken = [breaking().await, breaking().await];
        let gateway = start(settings(), &[broken[0].addr, broken[1].addr]).await;
        let framing = format!("Content-Length: {length}");
        let answer = send(gateway.addr, head, &framing, &[&vec![b'a'; length]]).await;
        assert_eq!(answer.status, 502);
        assert_eq!(broken[0].unseen() + broken[1].unseen(), 1, "{length}");
        // Its length is not known before.
        let chunk = format!("{length:x}\r\n{}\r\n0\r\n\r\n", "a".repeat(length));
        let chunks = [chunk.as_bytes()];
        send(gateway.addr, head, "Transfer-Encoding: chunked", &chunks).await;
        assert_eq!(broken[0].unseen() + broken[1].unseen(), 1, "{length} in chunks");
    }
}

#[tokio::test]
async fn a_body_of_the_size_that_is_kept_comes_again() {
    let (broken, service) = (breaking().await, echo().await);
    let gateway = start(settings(), &[broken.addr, service.addr]).await;
    let body = vec![b'a'; 64 * 1024];
    for _ in 0..2 {
        let answer = send(gateway.addr, KEYED, "Content-Length: 65536", &[&body]).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == body);
    }
}

#[tokio::test]
async fn a_connection_that_has_half_a_body_is_not_used_again() {
    let down = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown";
    // Who is asked first is chance: the case is that the hasty one is.
    for _ in 0..64 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (hasty, mut broken) = (listener.local_addr().unwrap(), breaking().await);
        let ((asked, was_asked), (closed, was_closed)) = (oneshot::channel(), oneshot::channel());
        TaskTracker::new().spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut wire = Wire { stream, read: Vec::new() };
            asked.send(wire.head().await.unwrap()).unwrap();
            wire.stream.write_all(down).await.unwrap();
            _ = wire.stream.read_to_end(&mut Vec::new()).await;
            _ = closed.send(());
        });
        // Both are out after one failure, so that the answer of the hasty one stands.
        let gateway = start(fragile(), &[hasty, broken.addr]).await;
        let mut wire = Wire::connect(gateway.addr).await;
        wire.send(format!("{KEYED}Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")).await;
        assert_eq!(wire.head().await.unwrap().status, 100);
        // The body comes when the hasty one, if it was asked first, is given up.
        let other_is_asked = async {
            while broken.connections() == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(LIMIT, other_is_asked).await.expect("the other one is asked");
        wire.send("data").await;
        let answer = wire.message().await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (503, "down"));
        assert_eq!(broken.unseen(), 1);
        if was_asked.await.unwrap().field("x-envoy-attempt-count") == Some("1") {
            let closed = tokio::time::timeout(LIMIT, was_closed).await;
            return closed.expect("the gateway lets it go").unwrap();
        }
    }
    panic!("the hasty one was never asked first");
}

fn fragile() -> Settings {
    let mut settings = settings();
    settings.traffic.retry.retries = 3;
    let cluster = &mut settings.traffic.cluster;
    // Both may be out at the same time.
    let mut outlier = outlier::Settings::default();
    (outlier.consecutive_failures, outlier.success_rate) = (u32::MAX, None);
    (outlier.max_ejected_percent, outlier.panic_percent) = (100, 0);
    (cluster.service_breaker, cluster.outlier) = (None, Some(outlier));
    cluster.breaker.as_mut().unwrap().failure_threshold = 1;
    settings
}
