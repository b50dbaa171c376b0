//! Long bodies both ways, slow ones, and those that are refused.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::support::{LIMIT, Wire, ask, echo, settings, start};

#[tokio::test]
async fn a_long_body_goes_through_in_both_directions() {
    let service = echo().await;
    let gateway = start(settings(), &[service.addr]).await;
    let body = "0123456789abcdef".repeat(60_000);
    let mut wire = Wire::connect(gateway.addr).await;
    for _ in 0..2 {
        let length = body.len();
        wire.send(format!("PUT /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"))
            .await;
        wire.send(&body).await;
        assert!(wire.message().await.unwrap().body == body.as_bytes());
    }
    wire.send("POST /a/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for part in body.as_bytes().chunks(100_000) {
        wire.send(format!("{:x}\r\n", part.len())).await;
        wire.send(part).await;
        wire.send("\r\n").await;
    }
    wire.send("0\r\n\r\n").await;
    assert!(wire.message().await.unwrap().body == body.as_bytes());
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it() {
    let service = echo().await;
    let gateway = start(settings(), &[service.addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.send("POST /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(wire.head().await.unwrap().status, 100);
    wire.send("data").await;
    assert_eq!(wire.message().await.unwrap().text(), "data");
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_refused_on_the_way() {
    let service = echo().await;
    let mut settings = settings();
    settings.limits.body_bytes = 1000;
    let gateway = start(settings, &[service.addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.send("POST /a/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..3 {
        wire.send(format!("190\r\n{}\r\n", "x".repeat(400))).await;
    }
    assert_eq!(wire.message().await.unwrap().status, 413);
}

#[tokio::test]
async fn slow_clients_are_shown_out() {
    let service = echo().await;
    let mut settings = settings();
    settings.timeouts.header_read = Duration::from_millis(200);
    settings.timeouts.body_idle = Duration::from_millis(200);
    settings.timeouts.idle = Duration::from_millis(400);
    let gateway = start(settings, &[service.addr]).await;
    let mut silent = Wire::connect(gateway.addr).await;
    assert!(silent.rest().await.is_empty());
    let mut head = Wire::connect(gateway.addr).await;
    head.send("GET /a/x HTTP/1.1\r\nHo").await;
    assert_eq!(head.message().await.unwrap().status, 408);
    let mut body = Wire::connect(gateway.addr).await;
    body.send("POST /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nab").await;
    assert_eq!(body.message().await.unwrap().status, 408);
    let mut idle = Wire::connect(gateway.addr).await;
    idle.send("GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(idle.message().await.unwrap().status, 200);
    assert!(idle.rest().await.is_empty());
}

#[tokio::test]
async fn a_head_that_comes_drop_by_drop_has_no_more_time_than_any_other() {
    let mut settings = settings();
    settings.timeouts.header_read = Duration::from_millis(200);
    let gateway = start(settings, &[]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.send("GET /a/x HTTP/1.1\r\nX: ").await;
    let dripping = async {
        // A drop whenever there was no answer for a while.
        while tokio::time::timeout(Duration::from_millis(20), wire.more()).await.is_err() {
            _ = wire.stream.write_all(b"x").await;
        }
    };
    tokio::time::timeout(LIMIT, dripping).await.unwrap();
    assert_eq!(wire.message().await.unwrap().status, 408);
}

#[tokio::test]
async fn a_slow_upload_takes_nothing_of_the_services_time() {
    let service = echo().await;
    let mut settings = settings();
    settings.timeouts.request = Duration::from_millis(300);
    let gateway = start(settings, &[service.addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.send("POST /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nh").await;
    let early = tokio::time::timeout(Duration::from_millis(400), wire.more()).await;
    assert!(early.is_err(), "no answer before the body is whole");
    wire.send("i").await;
    assert_eq!(wire.message().await.unwrap().text(), "hi");
}

#[tokio::test]
async fn a_body_that_its_client_spoils_is_not_held_against_the_service() {
    let service = echo().await;
    let gateway = start(settings(), &[service.addr]).await;
    let chunked = "POST /a/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\
                   Expect: 100-continue\r\n\r\n";
    for _ in 0..10 {
        let mut wire = Wire::connect(gateway.addr).await;
        wire.send(chunked).await;
        assert_eq!(wire.head().await.unwrap().status, 100);
        wire.send("zz\r\n").await;
        assert_eq!(wire.message().await.unwrap().status, 400);
    }
    assert_eq!(ask(gateway.addr, "GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_comes_through() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 1024];
        _ = stream.read(&mut bytes).await;
        let answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
        stream.write_all(answer).await.unwrap();
        // Keeps the connection open, as a server would that discards the rest.
        while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    });
    let gateway = start(settings(), &[addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.send("POST /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nbegin").await;
    let answer = wire.message().await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    // What comes of the body after that is no request.
    wire.send("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(wire.rest().await.is_empty());
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_service_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let written = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&written);
    let tasks = TaskTracker::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 1024];
        _ = stream.read(&mut bytes).await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let block = vec![b'x'; 64 * 1024];
        while stream.write_all(&block).await.is_ok() {
            count.fetch_add(block.len(), std::sync::atomic::Ordering::SeqCst);
        }
    });
    let gateway = start(settings(), &[addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.send("GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(wire.head().await.unwrap().status, 200);
    // The kernel's buffers fill; then nothing moves although the service has a gigabyte.
    let settled = async {
        let mut before = usize::MAX;
        loop {
            let now = written.load(std::sync::atomic::Ordering::SeqCst);
            if now == before {
                return now;
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let held = tokio::time::timeout(LIMIT, settled).await.unwrap();
    assert!(held < 100_000_000, "{held}");
}
