//! What comes back, and what is said when it is wrong.

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use regatta_client::Error;
use regatta_core::{Code, Origin, Problem};
use serde_json::json;

use crate::fleet::{Does, Fleet, MILLISECOND, options};

#[tokio::test]
async fn json_goes_out_and_comes_back() {
    let fleet = Fleet::new();
    let echo = |headers: http::HeaderMap, body: String| async move {
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["authorization"], "Bearer t0ken");
        assert_eq!(headers["x-tenant"], "7");
        ([("content-type", "application/json")], body)
    };
    fleet.serve_router(Router::new().route("/users", post(echo))).await;
    let request = fleet.client(options()).post("/users").bearer("t0ken").header("x-tenant", "7");
    let user: serde_json::Value =
        request.json(&json!({"name": "Ada"})).send().await.unwrap().json().await.unwrap();
    assert_eq!(user, json!({"name": "Ada"}));
}

#[tokio::test]
async fn a_query_is_encoded() {
    let fleet = Fleet::new();
    let echo = |uri: http::Uri| async move { uri.to_string() };
    fleet.serve_router(Router::new().route("/users", get(echo))).await;
    let request = fleet.client(options()).get("/users?page=2").query("name", "a&b=c");
    let text = request.send().await.unwrap().text().await.unwrap();
    assert_eq!(text, "/users?page=2&name=a%26b%3Dc");
}

#[tokio::test]
async fn an_error_status_says_what_its_problem_says() {
    let fleet = Fleet::new();
    let declined = || async {
        let problem = json!({"title": "Conflict", "detail": "over the limit", "code": "declined"});
        (http::StatusCode::CONFLICT, problem.to_string())
    };
    fleet.serve_router(Router::new().route("/pay", post(declined))).await;
    let answer = fleet.client(options()).post("/pay").send().await.unwrap();
    let error = answer.json::<serde_json::Value>().await.unwrap_err();
    let Error::Status { status, rejected, .. } = &error else { panic!("{error}") };
    assert_eq!((status.as_u16(), rejected.code.as_str()), (409, "declined"));
    assert_eq!(error.to_string(), "`user-service` answered 409 Conflict: over the limit");
    assert_eq!((error.origin(), error.is_retryable()), (Origin::Us, false));
}

#[tokio::test]
async fn an_error_status_with_any_body_is_an_error() {
    let fleet = Fleet::new();
    fleet.serve(Does::Answer(404)).await;
    let answer = fleet.client(options()).get("/").send().await.unwrap();
    let error = answer.error_for_status().await.unwrap_err();
    assert!(error.to_string().ends_with("404 Not Found: it does not say why"), "{error}");
}

#[tokio::test]
async fn json_of_another_shape_says_where_it_differs() {
    let fleet = Fleet::new();
    fleet.serve_router(Router::new().fallback(|| async { r#"{"id": "one"}"# })).await;
    let answer = fleet.client(options()).get("/").send().await.unwrap();
    let error = answer.json::<std::collections::HashMap<String, u32>>().await.unwrap_err();
    assert!(matches!(error, Error::Decode { .. }));
    let text = regatta_core::Chain(&error).to_string();
    assert!(text.contains("line 1"), "{text}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_in_memory() {
    let fleet = Fleet::new();
    fleet.serve_router(Router::new().fallback(|| async { "x".repeat(2_000) })).await;
    let mut options = options();
    options.max_body_bytes = 1_999;
    let answer = fleet.client(options.clone()).get("/").send().await.unwrap();
    let error = answer.bytes().await.unwrap_err();
    assert!(matches!(error, Error::BodyTooLarge { limit: 1_999, .. }), "{error}");
    options.max_body_bytes = 2_000;
    let answer = fleet.client(options).get("/").send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap().len(), 2_000);
}

#[tokio::test]
async fn a_body_that_never_ends_ends_at_the_deadline() {
    let fleet = Fleet::new();
    fleet.serve(Does::HangInBody).await;
    let request = fleet.client(options()).get("/").timeout(MILLISECOND * 100);
    let answer = request.send().await.unwrap();
    let error = answer.bytes().await.unwrap_err();
    let Error::Timeout { waited, .. } = error else { panic!("{error}") };
    assert!(waited >= MILLISECOND * 100);
}

#[tokio::test]
async fn a_body_cut_off_is_broken() {
    let fleet = Fleet::new();
    fleet.serve_bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let answer = fleet.client(options()).get("/").send().await.unwrap();
    assert!(matches!(answer.text().await, Err(Error::Broken { .. })));
}

#[tokio::test]
async fn a_mistake_in_the_request_is_said_before_anything_is_sent() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(200)).await;
    let users = fleet.client(options());
    let requests = [
        (users.get("users"), "`users` is not a path"),
        (users.get("/a b"), "`/a b` is not a path"),
        (users.get("/").header("a b", "c"), "`a b` is not a header name"),
        (users.get("/").header("x-secret", "hunter\n2"), "value of header `x-secret`"),
        (users.get("/").bearer("a\nb"), "bearer token"),
    ];
    for (request, text) in requests {
        let error = request.send().await.unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert!(!error.to_string().contains("hunter"), "{error}");
        assert_eq!((error.origin(), error.code()), (Origin::Us, Code::Internal));
    }
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn towards_the_callers_caller_an_error_names_the_service_and_nothing_else() {
    let fleet = Fleet::new();
    let dead = fleet.dead().await;
    let call = || async { fleet.client(options()).get("/").send().await.unwrap_err() };
    let error = call().await;
    let address = dead.instance.endpoint.to_string();
    assert!(error.to_string().contains(&address));
    let problem = Problem::from(&error);
    assert_eq!(problem.status, 503);
    assert!(problem.detail.contains("`user-service` is not available now"));
    assert!(!problem.detail.contains(&address));

    let status = tonic::Status::from(error);
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(!status.message().contains(&address));
    let source = std::error::Error::source(&status).unwrap();
    assert!(matches!(source.downcast_ref::<Error>(), Some(Error::Connect { .. })));
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_given_up_after_the_connect_timeout() {
    let fleet = Fleet::new();
    // A listener whose queue is full drops what else comes (backlog 1, never accepted).
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let connect =
        || tokio::time::timeout(MILLISECOND * 100, tokio::net::TcpStream::connect(address));
    let mut queued = Vec::new();
    while let Ok(stream) = connect().await {
        queued.push(stream.unwrap());
        assert!(queued.len() < 100, "the queue is never full");
    }
    fleet.register(&regatta_core::Instance::new(crate::fleet::name(), address.into())).await;
    let mut options = options();
    options.connect_timeout = MILLISECOND * 100;
    let good = fleet.serve(Does::Answer(200)).await;
    let users = fleet.client(options);
    for _ in 0..2 {
        assert_eq!(users.post("/users").send().await.unwrap().status(), 200);
    }
    assert_eq!(good.hits(), 2);
}

#[tokio::test]
async fn an_explicit_timeout_gives_each_try_its_share() {
    let fleet = Fleet::new();
    let hangs = fleet.serve(Does::Hang).await;
    let request = fleet.client(options()).get("/").timeout(Duration::from_millis(300));
    assert!(matches!(request.send().await, Err(Error::Timeout { .. })));
    // A third each: three tries of 100 ms, the last cut by the waits between.
    assert!(hangs.hits() >= 2, "{}", hangs.hits());
}
