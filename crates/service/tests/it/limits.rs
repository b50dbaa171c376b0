//! What one client may take, and for how long.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::fixture::{PATIENCE, raw, read_answer, read_to_end, running};

#[tokio::test]
async fn a_client_that_trickles_its_header_is_closed() {
    let service = running("server: {header_read_timeout: 200ms}").await;
    let mut stream = TcpStream::connect(service.addr()).await.unwrap();
    let start = Instant::now();
    let trickle = async {
        stream.write_all(b"GET /hello HTTP/1.1\r\n").await.unwrap();
        loop {
            if stream.write_all(b"x-a: b\r\n").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, trickle).await.expect("is closed while it still sends");
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_client_that_never_speaks_is_closed() {
    let service = running("server: {header_read_timeout: 100ms}").await;
    let mut stream = TcpStream::connect(service.addr()).await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
    let half_a_preface = raw(&service, b"PRI * HTTP/2.0\r\n").await;
    assert_eq!(half_a_preface, "");
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_timeout_and_not_its_own() {
    let service = running("server: {header_read_timeout: 80ms, idle_timeout: 400ms}").await;
    let mut stream = TcpStream::connect(service.addr()).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(read_answer(&mut stream).await.ends_with("hello"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_handler_may_take_longer_than_a_header() {
    let service = running("server: {header_read_timeout: 40ms, idle_timeout: 40ms}").await;
    assert_eq!(service.get("/slow").await.text(), "slow");
}

#[tokio::test]
async fn over_the_cap_connections_wait_for_their_turn() {
    let service = running("server: {max_connections: 1}").await;
    let mut first = TcpStream::connect(service.addr()).await.unwrap();
    first.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(read_answer(&mut first).await.ends_with("hello"));
    let second = service.get("/hello");
    let mut second = std::pin::pin!(second);
    assert!(timeout(Duration::from_millis(200), second.as_mut()).await.is_err(), "has to wait");
    drop(first);
    assert_eq!(timeout(PATIENCE, second).await.unwrap().text(), "hello");
}

#[tokio::test]
async fn one_http2_connection_has_a_bounded_number_of_requests_at_once() {
    let service = running("server: {max_concurrent_streams: 7}").await;
    let mut stream = TcpStream::connect(service.addr()).await.unwrap();
    // Preface and an empty SETTINGS frame; the answer begins with the server's SETTINGS.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut settings = [0; 128];
    let read = tokio::io::AsyncReadExt::read(&mut stream, &mut settings);
    let count = timeout(PATIENCE, read).await.unwrap().unwrap();
    let max_concurrent_streams = [0, 3, 0, 0, 0, 7];
    let found = settings[..count].windows(6).any(|entry| entry == max_concurrent_streams);
    assert!(found, "{:?}", &settings[..count]);
}
