//! How long a request weighs on its instance, and answers that break off.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::io::AsyncWriteExt;

use crate::http2::{client, send};
use crate::support::{LIMIT, Running, Wire, answering, answering_once, ask, get, settings, start};

const HALF: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";

#[tokio::test]
async fn a_request_is_in_flight_until_its_body_has_ended() {
    let service = answering(HALF).await;
    let gateway = start(settings(), &[service.addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.send("GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(wire.head().await.unwrap().status, 200);
    let mut client = client(gateway.addr).await;
    let streamed = send(&mut client, request()).await;
    assert_eq!((streamed.status().as_u16(), in_flight(&gateway).await), (200, 2));
    drop(streamed);
    until_in_flight(&gateway, 1).await;
}

#[tokio::test]
async fn a_websocket_is_in_flight_until_it_is_closed() {
    let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                    Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
    let service = answering(switched).await;
    let gateway = start(settings(), &[service.addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.send(
        "GET /a/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n",
    )
    .await;
    assert_eq!(wire.head().await.unwrap().status, 101);
    assert_eq!(in_flight(&gateway).await, 1);
    wire.stream.shutdown().await.unwrap();
    until_in_flight(&gateway, 0).await;
}

#[tokio::test]
async fn answers_that_begin_well_and_break_off_open_the_breaker() {
    for is_http2 in [false, true] {
        let mut service = answering_once(HALF).await;
        let gateway = start(settings(), &[service.addr]).await;
        let mut client = client(gateway.addr).await;
        for _ in 0..5 {
            if is_http2 {
                let answer = send(&mut client, request()).await;
                assert_eq!(answer.status(), 200);
                assert!(answer.into_body().collect().await.is_err());
            } else {
                let mut wire = Wire::connect(gateway.addr).await;
                wire.send("GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n").await;
                assert!(String::from_utf8(wire.rest().await).unwrap().ends_with("half"));
            }
        }
        assert_eq!(get(gateway.addr, "/a/x").await.status, 503);
        assert_eq!(service.unseen(), 5);
    }
}

#[tokio::test]
async fn an_answer_whose_framing_is_broken_is_a_failure() {
    let broken = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nno size\r\n";
    let service = answering(broken).await;
    let gateway = start(settings(), &[service.addr]).await;
    for _ in 0..5 {
        let mut wire = Wire::connect(gateway.addr).await;
        wire.send("GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n").await;
        wire.rest().await;
    }
    assert_eq!(get(gateway.addr, "/a/x").await.status, 503);
}

#[tokio::test]
async fn a_client_that_leaves_an_answer_says_nothing_about_the_instance() {
    let service = answering(HALF).await;
    let gateway = start(settings(), &[service.addr]).await;
    let mut client = client(gateway.addr).await;
    for _ in 0..6 {
        let answer = send(&mut client, request()).await;
        assert_eq!(answer.status(), 200);
        drop(answer);
        until_in_flight(&gateway, 0).await;
    }
}

fn request() -> Request<Full<Bytes>> {
    Request::get("http://shop/a/x").body(Full::default()).unwrap()
}

async fn in_flight(gateway: &Running) -> u64 {
    let clusters = "GET /clusters HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let clusters = ask(gateway.admin, clusters).await.json();
    clusters[0]["instances"][0]["in_flight"].as_u64().unwrap()
}

async fn until_in_flight(gateway: &Running, count: u64) {
    let settled = async {
        while in_flight(gateway).await != count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, settled).await.unwrap();
}
