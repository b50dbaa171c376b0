//! What one client may take, and for how long.

use std::time::Duration;

use axum::routing::get;
use futures::StreamExt;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use regatta::testing::Running;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::fixture::{PATIENCE, opened, raw, read_answer, read_to_end, running};

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

/// The bytes of a body were taken for the beginning of the next header, and the connection was
/// closed after the time for a header: often just when its client used it again.
#[tokio::test]
async fn after_an_upload_a_connection_is_idle_and_does_not_owe_a_header() {
    let service = running("server: {header_read_timeout: 80ms, idle_timeout: 20s}").await;
    let mut stream = TcpStream::connect(service.addr()).await.unwrap();
    for _ in 0..3 {
        let head = b"POST /bytes HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n";
        stream.write_all(head).await.unwrap();
        // On its way apart from the header, as larger bodies are.
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(b"body").await.unwrap();
        assert!(read_answer(&mut stream).await.ends_with('4'));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
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

#[tokio::test]
async fn an_idle_http2_connection_is_closed_although_it_answers_pings() {
    let yaml = "server: {idle_timeout: 200ms, http2_keep_alive: 20ms}";
    let service = running(yaml).await;
    let stream = TcpStream::connect(service.addr()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::task::spawn(connection);
    let start = Instant::now();
    // While it is used it stays, longer than the timeout.
    while start.elapsed() < Duration::from_millis(400) {
        let request = Request::get(format!("{}/hello", service.url()));
        let answer = sender.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap());
        assert_eq!(answer.await.unwrap().into_body().collect().await.unwrap().to_bytes(), "hello");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // GOAWAY without an error, then the end.
    timeout(PATIENCE, connection).await.unwrap().unwrap().unwrap();
}

/// Much more than the buffers of two sockets hold.
const LARGE: usize = 64 << 20;

/// A service with answers that are too large for the buffers on the way.
async fn serving_large(yaml: &str) -> Running {
    let chunk = bytes::Bytes::from(vec![b'x'; 64 << 10]);
    let all = bytes::Bytes::from(vec![b'x'; LARGE]);
    let stream = async move || {
        let chunks = futures::stream::repeat(chunk.clone()).map(Ok::<_, std::io::Error>);
        axum::body::Body::from_stream(chunks.take(LARGE / (64 << 10)))
    };
    let routes = axum::Router::new()
        .route("/stream", get(stream))
        .route("/sized", get(async move || all.clone()));
    Running::start(opened(yaml).await.rest(routes)).await.unwrap()
}

#[tokio::test]
async fn a_client_that_reads_nothing_of_its_answer_is_closed() {
    let service = serving_large("server: {write_timeout: 150ms}").await;
    for path in ["/stream", "/sized"] {
        let mut stream = TcpStream::connect(service.addr()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let first_byte = timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap();
        assert_eq!(first_byte, b'H');
        // Longer than the timeout and a look, whatever the machine does.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut rest = Vec::new();
        let _reset = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("is closed");
        assert!(rest.len() < LARGE, "{path}: all of it came");
    }
}

#[tokio::test]
async fn a_slow_download_goes_on_while_it_progresses() {
    let yaml = "server: {write_timeout: 400ms, idle_timeout: 400ms, header_read_timeout: 400ms}";
    let service = serving_large(yaml).await;
    for path in ["/stream", "/sized"] {
        let mut stream = TcpStream::connect(service.addr()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut read, mut buffer, start) = (0, vec![0; 1 << 20], Instant::now());
        // Slowly for three times the timeouts, then the rest.
        while start.elapsed() < Duration::from_millis(1200) {
            read += timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut rest = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(read + rest.len() > LARGE, "{path}: only {} bytes came", read + rest.len());
    }
}
