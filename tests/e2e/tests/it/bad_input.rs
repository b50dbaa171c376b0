//! Bad input, and worse: each gets a clear answer, and the system goes on.

use regatta_e2e::{Answer, Caller, System};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_body_that_is_wrong_is_answered_with_what_is_wrong() {
    let system = System::start().unwrap();
    let caller = Caller::new(&system.url("gateway").unwrap()).unwrap();
    let caller = caller.with_token(&system.token("1", &["user"]).unwrap());
    let user = |body: Value| body.to_string();
    let bodies = [
        ("malformed", "{\"name\": ".to_owned(), 400),
        ("a wrong type", user(json!({"name": 1, "email": "a@example.com"})), 400),
        ("an unknown field", user(json!({"name": "A", "email": "a@example.com", "x": 1})), 400),
        ("a missing field", user(json!({"name": "A"})), 400),
        ("an empty name", user(json!({"name": " ", "email": "a@example.com"})), 400),
        ("a long name", user(json!({"name": "A".repeat(101), "email": "a@example.com"})), 400),
        ("no e-mail", user(json!({"name": "A", "email": "nobody"})), 400),
    ];
    for (what, body, status) in bodies {
        let request = caller.request(Method::POST, "/user-service/users").body(body);
        let answer = Answer::to(request.header("content-type", "application/json")).await.unwrap();
        assert_problem(&answer, status, what);
    }
    let request = caller.request(Method::POST, "/user-service/users").body("name=A");
    let answer = Answer::to(request.header("content-type", "text/plain")).await.unwrap();
    assert_problem(&answer, 415, "a wrong content type");
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_with_413() {
    let system = System::start().unwrap();
    let gateway = system.url("gateway").unwrap();
    let mut stream = TcpStream::connect(gateway.trim_start_matches("http://")).await.unwrap();
    let body = json!({"name": "A".repeat(3 << 20), "email": "a@example.com"}).to_string();
    let head = format!(
        "POST /user-service/users HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // All of it, before the answer is read, as a simple client does; it may be cut short.
    let _ = stream.write_all(body.as_bytes()).await;
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 413");
}

#[tokio::test]
async fn an_id_or_a_path_that_cannot_be_is_no_error_of_ours() {
    let system = System::start().unwrap();
    let caller = Caller::new(&system.url("gateway").unwrap()).unwrap();
    let caller = caller.with_token(&system.token("1", &["user"]).unwrap());
    for id in ["2147483648", "99999999999999999999", "-1", "0", "abc", "1.5", "%00"] {
        let answer = caller.get(&format!("/user-service/users/{id}")).await.unwrap();
        assert!([400, 404].contains(&answer.status), "{id}: {} {}", answer.status, answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{id}");
    }
    for path in ["/", "/nobody/here", "/user-service/nothing/here"] {
        let answer = caller.get(path).await.unwrap();
        assert_problem(&answer, 404, path);
    }
    let order = json!({"user_id": 2_147_483_648_u64, "amount": 1});
    let answer = caller.post("/order-service/orders", &order).await.unwrap();
    assert_problem(&answer, 400, "a user id out of range");
    for amount in [json!(-1), json!(0), json!("abc"), json!(1e300), json!(0.001), json!(null)] {
        let order = json!({"user_id": 1, "amount": amount});
        let answer = caller.post("/order-service/orders", &order).await.unwrap();
        assert_problem(&answer, 400, &order.to_string());
    }
}

#[tokio::test]
async fn a_token_that_is_not_ours_is_refused() {
    let system = System::start().unwrap();
    let gateway = system.url("gateway").unwrap();
    let service = system.url("user-service").unwrap();
    let token = system.token("1", &["user"]).unwrap();
    let (head, rest) = token.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    assert!(head.starts_with("eyJ"));
    // {"alg":"none","typ":"JWT"} with and without a signature.
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let forged = [
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{head}.{claims}."),
        format!("{head}.{claims}.{}", signature.chars().rev().collect::<String>()),
        "not-a-token".to_owned(),
        "a".repeat(20_000),
    ];
    for (base, path) in [(gateway, "/user-service/users/1"), (service, "/users/1")] {
        let anyone = Caller::new(&base).unwrap();
        let missing = anyone.get(path).await.unwrap();
        assert_problem(&missing, 401, "no token");
        assert!(missing.header("www-authenticate").starts_with("Bearer"));
        for token in &forged {
            let answer = anyone.clone().with_token(token).get(path).await.unwrap();
            // A header past the limit is refused before anyone looks at the token.
            assert!([401, 431].contains(&answer.status), "{}: {token}", answer.status);
        }
    }
}

#[tokio::test]
async fn a_client_over_its_rate_is_told_when_to_come_back() {
    let system = System::start().unwrap();
    let caller = Caller::new(&system.url("gateway").unwrap()).unwrap();
    let caller = caller.with_token(&system.token("1", &["user"]).unwrap());
    for left in (0..60).rev() {
        let answer = caller.get("/user-service/users/1").await.unwrap();
        assert_eq!(answer.status, 404, "{}", answer.text);
        assert_eq!(answer.header("x-ratelimit-limit"), "60");
        assert_eq!(answer.header("x-ratelimit-remaining"), left.to_string());
    }
    let refused = caller.get("/user-service/users/1").await.unwrap();
    assert_problem(&refused, 429, "the 61st call");
    assert_eq!(refused.json()["error"], "Rate limit exceeded");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(refused.json()["retry_after"], wait);
    let other = Caller::new(&system.url("gateway").unwrap()).unwrap();
    assert_eq!(other.get("/user-service/users/1").await.unwrap().status, 401);
}

#[tokio::test]
async fn garbage_and_slowness_on_a_connection_harm_nobody_else() {
    let system = System::start().unwrap();
    let gateway = system.url("gateway").unwrap();
    let service = system.url("user-service").unwrap();
    let mut slow = Vec::new();
    for base in [&gateway, &service] {
        let address = base.trim_start_matches("http://");
        for bytes in [&b"\x16\x03\x01\x02\x00"[..], b"GET / HTTP/9.9\r\n\r\n", b"\0\0\0\0\r\n\r\n"]
        {
            let mut garbage = TcpStream::connect(address).await.unwrap();
            garbage.write_all(bytes).await.unwrap();
            garbage.shutdown().await.unwrap();
            let mut answer = Vec::new();
            let read = garbage.read_to_end(&mut answer);
            // A reset is an answer too.
            let _ = tokio::time::timeout(Duration::from_secs(20), read).await.expect("is closed");
            let text = String::from_utf8_lossy(&answer);
            assert!(!text.starts_with("HTTP/1.1 2"), "{text}");
        }
        for _ in 0..50 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: ").await.unwrap();
            slow.push(stream);
        }
    }
    for base in [&gateway, &service] {
        let caller = Caller::new(base).unwrap();
        assert_eq!(caller.get("/health/live").await.unwrap().status, 200);
    }
}

pub(crate) fn assert_problem(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text);
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
    for member in ["type", "title", "status", "detail", "code", "error"] {
        assert!(!answer.json()[member].is_null(), "{what} has no `{member}`: {}", answer.text);
    }
    assert!(!answer.header("x-request-id").is_empty(), "{what} has no request id");
}
