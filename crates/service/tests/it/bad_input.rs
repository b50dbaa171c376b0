//! What a client gets for a wrong request.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use regatta::testing::{Answer, Running};
use serde_json::json;

use crate::fixture::{raw, running};

fn assert_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status(), status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.text());
    let body = answer.json();
    assert_eq!((&body["status"], &body["code"]), (&json!(status), &json!(code)), "{body}");
    assert_eq!(body["trace_id"].as_str().unwrap_or_default().len(), 32, "{body}");
    for member in ["type", "title", "detail", "error"] {
        assert!(body[member].is_string(), "{body}");
    }
}

async fn post(service: &Running, path: &str, media: &str, body: &str) -> Answer {
    let request = Request::builder().method(Method::POST).uri(path).header("content-type", media);
    service.send(request.body(body.to_owned())).await
}

#[tokio::test]
async fn malformed_json_is_a_400_that_says_where() {
    let service = running("").await;
    let answer = post(&service, "/orders", "application/json", "{\"user_id\": 1,}").await;
    assert_problem(&answer, 400, "malformed_json");
    assert!(answer.json()["detail"].as_str().unwrap().contains("line 1"), "{}", answer.text());
}

#[tokio::test]
async fn a_wrong_type_is_a_400_that_names_the_field() {
    let service = running("").await;
    let body = json!({ "user_id": 1, "items": [{ "price": -1 }] });
    let answer = service.json(Method::POST, "/orders", &body).await;
    assert_problem(&answer, 400, "invalid_argument");
    assert!(answer.json()["detail"].as_str().unwrap().starts_with("`items[0].price`"));
    assert_eq!(answer.json()["errors"][0]["pointer"], "/items/0/price");
}

#[tokio::test]
async fn an_id_out_of_range_is_a_400() {
    let service = running("").await;
    let body = json!({ "user_id": 3_000_000_000_u32, "items": [] });
    assert_problem(&service.json(Method::POST, "/orders", &body).await, 400, "invalid_argument");
    for path in ["/orders/3000000000", "/orders/abc", "/orders/%FF"] {
        let answer = service.get(path).await;
        assert_problem(&answer, 400, "invalid_argument");
        assert!(answer.json()["detail"].as_str().unwrap().contains("`id`"), "{}", answer.text());
    }
}

#[tokio::test]
async fn an_unknown_field_is_a_400_where_the_author_denies_them() {
    let service = running("").await;
    let body = json!({ "user_id": 1, "items": [], "admin": true });
    let answer = service.json(Method::POST, "/orders", &body).await;
    assert_problem(&answer, 400, "invalid_argument");
    assert!(answer.text().contains("unknown field `admin`"), "{}", answer.text());
}

#[tokio::test]
async fn a_wrong_query_is_a_400_that_names_the_parameter() {
    let service = running("").await;
    for path in ["/pages", "/pages?size=", "/pages?size=300", "/pages?size=x"] {
        let answer = service.get(path).await;
        assert_problem(&answer, 400, "invalid_argument");
        assert!(answer.text().contains("size"), "{}", answer.text());
    }
}

#[tokio::test]
async fn another_content_type_or_none_is_a_415() {
    let service = running("").await;
    for media in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let answer = post(&service, "/orders", media, "{}").await;
        assert_problem(&answer, 415, "unsupported_media_type");
    }
    // A gRPC client at a REST path is told so in its own protocol.
    let grpc = post(&service, "/orders", "application/grpc", "").await;
    assert_eq!((grpc.status().as_u16(), grpc.header("grpc-status")), (200, "12"));
}

#[tokio::test]
async fn an_unknown_path_is_a_404_and_a_wrong_method_a_405_with_allow() {
    let service = running("").await;
    let unknown = service.get("/nowhere?token=secret").await;
    assert_problem(&unknown, 404, "not_found");
    assert!(unknown.text().contains("`/nowhere`") && !unknown.text().contains("secret"));
    let wrong = service.json(Method::DELETE, "/orders", &json!({})).await;
    assert_problem(&wrong, 405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), "POST");
}

#[tokio::test]
async fn rejections_of_axums_own_extractors_are_problems_too() {
    let service = running("").await;
    let answer = post(&service, "/axum", "application/json", "{").await;
    assert_problem(&answer, 400, "invalid_argument");
    assert_problem(
        &post(&service, "/axum", "text/plain", "{").await,
        415,
        "unsupported_media_type",
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_413_with_or_without_its_length() {
    let service = running("server: {max_body_bytes: 16KiB}").await;
    let body = "x".repeat(20_000);
    for path in ["/bytes", "/orders"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                            content-type: application/json\r\n"
        );
        let known = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        let chunked = format!(
            "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        for request in [known, chunked] {
            let answer = raw(&service, request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
            assert!(answer.contains("application/problem+json"), "{answer}");
            assert!(answer.contains("body_too_large"), "{answer}");
        }
    }
}

/// The whole body in one go, as reqwest and most clients send it.
#[tokio::test]
async fn a_body_over_the_limit_is_a_413_for_a_client_that_keeps_its_connection() {
    let service = running("server: {max_body_bytes: 64KiB}").await;
    // One round for the largest: seen here, hyper's client mostly gives up a connection whose answer
    // came before a large body had gone out.
    for (size, rounds) in [(65 << 10, 3), (1 << 20, 3), (8 << 20, 1)] {
        let stream = tokio::net::TcpStream::connect(service.addr()).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let connection = tokio::task::spawn(connection);
        for round in 0..rounds {
            sender.ready().await.unwrap_or_else(|error| panic!("{size}, {round}: {error}"));
            let request = Request::get("/hello").header("host", "a");
            let request = request.body(Full::new(Bytes::new())).unwrap();
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
            sender.ready().await.unwrap_or_else(|error| panic!("{size}, {round}: {error}"));
            let request = Request::post("/bytes").header("host", "a");
            let request = request.body(Full::new(Bytes::from(vec![b'x'; size]))).unwrap();
            let answer = sender.send_request(request).await;
            let answer = answer.unwrap_or_else(|error| panic!("{size}, {round}: {error}"));
            assert_eq!(answer.status(), 413);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(String::from_utf8_lossy(&body).contains("body_too_large"), "{body:?}");
        }
        connection.abort();
    }
}

/// A handler that does not read its body, as a guard does that asks for a token.
#[tokio::test]
async fn an_answer_that_does_not_read_the_body_arrives_and_the_connection_goes_on() {
    let routes = axum::Router::new().route("/refused", axum::routing::post(async || "no"));
    let service = Running::start(crate::fixture::opened("").await.rest(routes)).await.unwrap();
    let stream = tokio::net::TcpStream::connect(service.addr()).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let connection = tokio::task::spawn(connection);
    for _ in 0..3 {
        sender.ready().await.unwrap();
        let request = Request::post("/refused").header("host", "a");
        let request = request.body(Full::new(Bytes::from(vec![b'x'; 1 << 20]))).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "no");
    }
    connection.abort();
}

#[tokio::test]
async fn a_body_within_a_raised_limit_is_taken() {
    let service = running("server: {max_body_bytes: 4MiB}").await;
    let answer = post(&service, "/bytes", "text/plain", &"x".repeat(3 << 20)).await;
    assert_eq!(answer.text(), (3 << 20).to_string());
}

#[tokio::test]
async fn a_panic_is_a_500_that_tells_nothing_and_the_service_goes_on() {
    let service = running("").await;
    let answer = service.get("/panic").await;
    assert_problem(&answer, 500, "internal");
    assert!(!answer.text().contains("secret"), "{}", answer.text());
    assert_eq!(service.get("/hello").await.text(), "hello");
}

#[tokio::test]
async fn a_handler_that_hangs_is_a_504_at_the_services_timeout() {
    let service = running("server: {request_timeout: 50ms}").await;
    assert_problem(&service.get("/hang").await, 504, "deadline_exceeded");
}

#[tokio::test]
async fn the_callers_deadline_comes_first() {
    let service = running("").await;
    let request = Request::get("/hang").header("x-envoy-expected-rq-timeout-ms", "50");
    assert_problem(&service.send(request.body(String::new())).await, 504, "deadline_exceeded");
}

#[tokio::test]
async fn garbage_is_a_400_and_a_closed_connection() {
    let service = running("").await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /bytes HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /bytes HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    ] {
        let answer = raw(&service, garbage).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert_eq!(service.get("/hello").await.text(), "hello");
}

#[tokio::test]
async fn a_header_over_the_limit_is_a_431() {
    let service = running("server: {max_header_bytes: 8KiB}").await;
    let huge = format!("GET /hello HTTP/1.1\r\nhost: a\r\nx-a: {}\r\n\r\n", "a".repeat(10_000));
    let answer = raw(&service, huge.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}
