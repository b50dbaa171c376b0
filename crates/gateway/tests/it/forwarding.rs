//! What a service gets and what a client gets back.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::http2::{client, send};
use crate::support::{Wire, answering, answering_once, ask, echo, get, get_with, settings, start};

#[tokio::test]
async fn a_request_reaches_the_service_without_its_name_in_the_path() {
    let mut upstream = echo().await;
    let gateway = start(settings(), &[upstream.addr]).await;
    for (sent, got) in [
        ("/a/users/1?b=c%20d", "GET /users/1?b=c%20d HTTP/1.1"),
        ("/a", "GET / HTTP/1.1"),
        ("/a/", "GET / HTTP/1.1"),
        ("/a?x", "GET /?x HTTP/1.1"),
        ("/%61/%75sers", "GET /users HTTP/1.1"),
        ("http://other:80/a/users", "GET /users HTTP/1.1"),
    ] {
        assert_eq!(get(gateway.addr, sent).await.status, 200, "{sent}");
        assert_eq!(upstream.request().await.line, got, "{sent}");
    }
}

#[tokio::test]
async fn every_method_and_its_body_pass() {
    let mut upstream = echo().await;
    let gateway = start(settings(), &[upstream.addr]).await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
        let request =
            format!("{method} /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
        let answer = ask(gateway.addr, request).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"), "{method}");
        assert_eq!(upstream.request().await.line, format!("{method} /x HTTP/1.1"));
    }
}

#[tokio::test]
async fn status_and_header_fields_come_back_as_they_are() {
    let upstream = answering(
        "HTTP/1.1 418 I'm a teapot\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Odd:  two  \r\n\
         Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nhi",
    )
    .await;
    let gateway = start(settings(), &[upstream.addr]).await;
    let answer = get(gateway.addr, "/a/x").await;
    assert_eq!(answer.line, "HTTP/1.1 418 I'm a teapot");
    let cookies: Vec<_> =
        answer.fields.iter().filter(|(name, _)| name == "Set-Cookie").map(|(_, v)| v).collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!((answer.field("x-hop"), answer.field("keep-alive")), (None, None));
    assert_eq!(answer.text(), "hi");
}

#[tokio::test]
async fn an_answer_without_a_date_gets_that_of_its_coming() {
    let upstream = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let gateway = start(settings(), &[upstream.addr]).await;
    // In whole seconds, as the field is.
    let before = regatta_auth::now() - Duration::from_secs(1);
    for path in ["/a/x", "/nowhere", "/health/live"] {
        let answer = get(gateway.addr, path).await;
        let date = httpdate::parse_http_date(answer.field("date").unwrap()).unwrap();
        assert!(date >= before, "{path}");
    }
}

#[tokio::test]
async fn the_service_learns_who_asked_and_cannot_be_lied_to() {
    let mut upstream = echo().await;
    let gateway = start(settings(), &[upstream.addr]).await;
    let lies = "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-User-Id: 1\r\n\
                x_user_roles: admin\r\nX-Forwarded-Proto: https\r\nConnection: X-Mine\r\n\
                X-Mine: 1\r\nx-envoy-attempt-count: 9\r\n";
    get_with(gateway.addr, "/a/x", lies).await;
    let seen = upstream.request().await;
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.field("x-forwarded-host"), Some("shop"));
    assert_eq!(seen.field("forwarded"), Some("for=127.0.0.1;host=\"shop\";proto=http"));
    assert_eq!(seen.field("host"), Some("shop"));
    assert_eq!(seen.field("x-envoy-attempt-count"), Some("1"));
    for name in ["x-user-id", "x_user_roles", "x-mine", "connection"] {
        assert_eq!(seen.field(name), None, "{name}");
    }
    let lie = Request::get("http://shop/a/x").header("x-envoy-attempt-count", "9");
    let lie = lie.body(Full::<Bytes>::default()).unwrap();
    send(&mut client(gateway.addr).await, lie).await;
    let seen = upstream.request().await;
    assert_eq!(seen.field("x-envoy-attempt-count"), Some("1"), "over HTTP/2");
}

#[tokio::test]
async fn what_a_trusted_hop_says_is_extended() {
    let mut upstream = echo().await;
    let mut settings = settings();
    settings.trusted_hops = vec!["127.0.0.0/8".parse().unwrap()];
    let gateway = start(settings, &[upstream.addr]).await;
    let said = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n";
    get_with(gateway.addr, "/a/x", said).await;
    let seen = upstream.request().await;
    assert_eq!(seen.field("x-forwarded-for"), Some("203.0.113.7, 127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
}

#[tokio::test]
async fn ids_are_made_or_passed_on_and_the_request_id_comes_back() {
    let mut upstream = echo().await;
    let gateway = start(settings(), &[upstream.addr]).await;
    let answer = get(gateway.addr, "/a/x").await;
    let seen = upstream.request().await;
    assert_eq!(answer.field("x-request-id"), seen.field("x-request-id"));
    assert_eq!(seen.field("traceparent").map(str::len), Some(55));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let lines = format!("X-Request-Id: mine\r\ntraceparent: {trace}\r\ntracestate: v=1\r\n");
    let answer = get_with(gateway.addr, "/a/x", &lines).await;
    let seen = upstream.request().await;
    assert_eq!(answer.field("x-request-id"), Some("mine"));
    assert_eq!(seen.field("traceparent"), Some(trace));
    assert_eq!(seen.field("tracestate"), Some("v=1"));
    get_with(gateway.addr, "/a/x", "traceparent: junk\r\ntracestate: v=1\r\n").await;
    let seen = upstream.request().await;
    assert_eq!(seen.field("tracestate"), None, "it belongs to the trace it came with");
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let upstream = echo().await;
    let gateway = start(settings(), &[upstream.addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    for _ in 0..5 {
        wire.send("GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(wire.message().await.unwrap().status, 200);
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = echo().await;
    let gateway = start(settings(), &[upstream.addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    let post = |body: &str| {
        let length = body.len();
        format!("POST /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let nowhere = "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n";
    wire.send(format!("{}{}{nowhere}\r\n{}", post("one"), post("two"), post("three"))).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let answer = wire.message().await.unwrap();
        seen.push(if answer.status == 200 { answer.text() } else { answer.status.to_string() });
    }
    assert_eq!(seen, ["one", "two", "404", "three"]);
}

#[tokio::test]
async fn an_http_1_0_client_gets_an_answer_it_understands() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let upstream = answering(chunked).await;
    let gateway = start(settings(), &[upstream.addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.send("GET /a/x HTTP/1.0\r\n\r\n").await;
    let text = String::from_utf8(wire.rest().await).unwrap();
    assert!(!text.to_lowercase().contains("transfer-encoding"), "{text}");
    assert!(text.ends_with("\r\n\r\nabc"), "{text}");
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_chunked_for_the_client() {
    let upstream = answering_once("HTTP/1.1 200 OK\r\n\r\nuntil the end").await;
    let gateway = start(settings(), &[upstream.addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    for _ in 0..2 {
        wire.send("GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let answer = wire.message().await.unwrap();
        assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
        assert_eq!(answer.text(), "until the end");
    }
}

#[tokio::test]
async fn answers_without_a_body_end_with_their_head() {
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\nETag: \"a\"\r\n\r\n"),
    ] {
        let upstream = answering(answer).await;
        let gateway = start(settings(), &[upstream.addr]).await;
        let mut wire = Wire::connect(gateway.addr).await;
        for _ in 0..2 {
            wire.send(format!("{method} /a/x HTTP/1.1\r\nHost: h\r\n\r\n")).await;
            let head = wire.head().await.unwrap();
            let length = answer.contains("100").then_some("100");
            assert_eq!(head.field("content-length"), length, "{answer}");
        }
        assert_eq!(upstream.connections(), 1);
    }
}

#[tokio::test]
async fn an_interim_answer_is_not_the_answer() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
                 HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let service = answering(hints).await;
    let gateway = start(settings(), &[service.addr]).await;
    let answer = get(gateway.addr, "/a/x").await;
    assert_eq!((answer.line.as_str(), answer.text().as_str()), ("HTTP/1.1 200 OK", "ok"));
}

#[tokio::test]
async fn what_the_gateway_answers_to_head_has_no_body() {
    let service = echo().await;
    let gateway = start(settings(), &[service.addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.send("HEAD /nowhere HTTP/1.1\r\nHost: h\r\n\r\nGET /a/x HTTP/1.1\r\nHost: h\r\n\r\n")
        .await;
    assert_eq!(wire.head().await.unwrap().status, 404);
    assert_eq!(wire.message().await.unwrap().line, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_service_says_its_own_request_id_and_no_limit_but_the_gateways() {
    let service = answering(
        "HTTP/1.1 200 OK\r\nX-Request-Id: its\r\nX-RateLimit-Limit: 7\r\nRateLimit-Policy: 7\r\n\
         Content-Length: 0\r\n\r\n",
    )
    .await;
    let (unlimited, mut limited) = (settings(), settings());
    limited.rate_limit = Some(regatta_gateway::RateLimit::default());
    for (settings, limit) in [(unlimited, "7"), (limited, "60")] {
        let gateway = start(settings, &[service.addr]).await;
        let answer = get(gateway.addr, "/a/x").await;
        for (wanted, value) in [("x-request-id", "its"), ("x-ratelimit-limit", limit)] {
            let said = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            assert_eq!(said.map(|(_, value)| value).collect::<Vec<_>>(), [value], "{wanted}");
        }
    }
}
