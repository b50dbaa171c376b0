//! Hostile messages: what is refused never reaches a service.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::http2::{client, send};
use crate::support::{Message, Wire, answering, echo, get, nobody, settings, start, upstream};

#[tokio::test]
async fn nothing_ambiguous_reaches_a_service() {
    let mut upstream = echo().await;
    let gateway = start(settings(), &[upstream.addr]).await;
    let smuggled = "GET /a/smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    for (status, request) in [
        (
            400,
            format!(
                "POST /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
        ),
        (
            400,
            format!(
                "POST /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n{smuggled}"
            ),
        ),
        (
            400,
            format!(
                "POST /a/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n{smuggled}"
            ),
        ),
        (
            400,
            format!(
                "POST /a/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
        ),
        (
            400,
            format!(
                "POST /a/x HTTP/1.1\r\nHost: h\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
        ),
        (
            400,
            format!(
                "POST /a/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
        ),
        (
            400,
            format!(
                "POST /a/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;\na\r\nhello\r\n0\r\n\r\n{smuggled}"
            ),
        ),
        (
            400,
            format!(
                "POST /a/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\n\r\n{smuggled}"
            ),
        ),
        (
            400,
            format!(
                "POST /a/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{smuggled}"
            ),
        ),
        (
            400,
            format!(
                "GET /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: Content-Length\r\n\r\n{smuggled}"
            ),
        ),
        (400, "GET /a/x HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n".into()),
        (400, "GET /a/x HTTP/1.1\r\n\r\n".into()),
        (400, "GET /a/../b HTTP/1.1\r\nHost: h\r\n\r\n".into()),
        (400, "GET /a%2fadmin HTTP/1.1\r\nHost: h\r\n\r\n".into()),
        (400, "GET //a/x HTTP/1.1\r\nHost: h\r\n\r\n".into()),
        (400, "GET /a/x?b=<c> HTTP/1.1\r\nHost: h\r\n\r\n".into()),
        (414, format!("GET /a/{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(9000))),
        (431, format!("GET /a/x HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(40_000))),
        (431, format!("GET /a/x HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(120))),
        (413, "POST /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n".into()),
        (417, "POST /a/x HTTP/1.1\r\nHost: h\r\nExpect: gold\r\n\r\n".into()),
        (405, "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n".into()),
        (505, "GET /a/x HTTP/3.0\r\nHost: h\r\n\r\n".into()),
    ] {
        let mut wire = Wire::connect(gateway.addr).await;
        wire.send(&request).await;
        let answer = wire.message().await.unwrap_or_else(|| panic!("{request:?}"));
        assert_eq!(answer.status, status, "{request:?}");
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{request:?}");
        // RFC 9110, section 15.5.6.
        let served = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        assert_eq!(answer.field("allow"), (status == 405).then_some(served), "{request:?}");
        if !request.starts_with("GET /a/.") && !request.contains("%2f") && !request.contains("//a")
        {
            assert!(wire.rest().await.is_empty(), "a second answer to {request:?}");
        }
    }
    assert_eq!(get(gateway.addr, "/a/last").await.status, 200);
    let mut seen = Vec::new();
    loop {
        let request = upstream.request().await;
        seen.push(request.line.clone());
        if request.line.contains("/last") {
            break;
        }
    }
    assert!(!seen.iter().any(|line| line.contains("smuggled")), "{seen:?}");
}

#[tokio::test]
async fn what_http_2_lets_through_and_the_gateway_does_not_is_refused() {
    let mut service = echo().await;
    let gateway = start(settings(), &[service.addr]).await;
    let mut client = client(gateway.addr).await;
    let mut refused = async |authority: &str, fields: usize, status: u16| {
        let mut request = Request::get(format!("http://{authority}/a/x"));
        for _ in 0..fields {
            request = request.header("x", "y");
        }
        let request = request.body(Full::<Bytes>::default()).unwrap();
        assert_eq!(send(&mut client, request).await.status(), status, "{authority} {fields}");
    };
    refused("shop", 101, 431).await;
    refused("user@shop", 0, 400).await;
    assert_eq!(service.unseen(), 0);
    refused("shop", 100, 200).await;
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_not_the_next_request() {
    let gateway = start(settings(), &[nobody().await]).await;
    let smuggled = "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n";
    for (path, status) in [("/nowhere", 404), ("/health/live", 405), ("/a/x", 503)] {
        let length = smuggled.len() + 5;
        let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
        let mut wire = Wire::connect(gateway.addr).await;
        wire.send(format!("{head}begin")).await;
        assert_eq!(wire.message().await.unwrap().status, status, "{path}");
        wire.send(smuggled).await;
        assert!(wire.rest().await.is_empty(), "a second answer from {path}");
    }
}

#[tokio::test]
async fn a_chunked_body_is_framed_anew_and_what_follows_is_the_next_request() {
    let mut upstream = echo().await;
    let gateway = start(settings(), &[upstream.addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.send(
        "POST /a/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
         3;ext=\"1\"\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n\
         GET /a/y HTTP/1.1\r\nHost: h\r\n\r\n",
    )
    .await;
    assert_eq!(wire.message().await.unwrap().text(), "abcde");
    assert_eq!(wire.message().await.unwrap().status, 200);
    assert_eq!(upstream.request().await.line, "POST /x HTTP/1.1");
    assert_eq!(upstream.request().await.line, "GET /y HTTP/1.1");
}

#[tokio::test]
async fn a_service_that_answers_twice_does_not_answer_the_next_client() {
    let upstream = answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    )
    .await;
    let gateway = start(settings(), &[upstream.addr]).await;
    for _ in 0..4 {
        assert_eq!(get(gateway.addr, "/a/x").await.text(), "ok");
    }
    assert_eq!(upstream.connections(), 4, "none of them is used again");
}

#[tokio::test]
async fn garbage_from_a_service_is_a_bad_gateway() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let upstream = answering(garbage).await;
        let gateway = start(settings(), &[upstream.addr]).await;
        let answer = get(gateway.addr, "/a/x").await;
        assert_eq!(answer.status, 502, "{garbage:?}");
        assert_eq!(answer.json()["code"], "bad_upstream", "{garbage:?}");
    }
}

#[tokio::test]
async fn a_head_of_a_service_that_does_not_end_is_a_bad_gateway() {
    let long = |_, _: &Message| {
        let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "x".repeat(70_000));
        (format!("{head}Content-Length: 0\r\n\r\n").into_bytes(), false)
    };
    let service = upstream(Arc::new(long)).await;
    let gateway = start(settings(), &[service.addr]).await;
    let answer = get(gateway.addr, "/a/x").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (502, Some("bad_upstream")));
}

#[tokio::test]
async fn a_body_cut_off_by_the_service_is_cut_off_for_the_client() {
    for cut in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ] {
        let upstream = crate::support::answering_once(cut).await;
        let gateway = start(settings(), &[upstream.addr]).await;
        let mut wire = Wire::connect(gateway.addr).await;
        wire.send("GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let text = String::from_utf8(wire.rest().await).unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        assert!(text.contains("half") && !text.contains("\r\n0\r\n"), "{text}");
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_in_time_is_408_and_counted() {
    let mut settings = settings();
    settings.timeouts.header_read = std::time::Duration::from_millis(100);
    let gateway = start(settings, &[]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.send("GET /a/x HTTP/1.1\r\nHost:").await;
    let answer = wire.message().await.unwrap();
    assert_eq!((answer.status, answer.json()["code"].as_str()), (408, Some("head_too_slow")));
    assert!(wire.rest().await.is_empty());
    let counted = async {
        let line = "http_response_status_code=\"408\"} 1";
        while !get(gateway.admin, "/metrics").await.text().contains(line) {}
    };
    tokio::time::timeout(crate::support::LIMIT, counted).await.unwrap();
}
