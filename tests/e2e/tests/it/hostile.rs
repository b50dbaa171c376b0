//! Services that hang or answer garbage, and clients that dawdle: each meets an end.

use std::time::Duration;

use nix::sys::signal::Signal;
use regatta_e2e::{Caller, System, python};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bad_input::assert_problem;

/// Longer than any limit that these tests set, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers each request by what its path asks for, without caring for HTTP.
const WRECK: &str = r#"
import os, socket, threading

ANSWERS = {
    "/garbage": b"\x00\x01\x02 this is no HTTP\r\n\r\n",
    "/half": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "/twice": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "/endless": b"HTTP/1.1 200 OK\r\nX: " + b"a" * (1 << 20),
    "/nothing": b"",
    "/fine": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine",
}

def serve(connection):
    with connection:
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(4096)
            if not part:
                return
            head += part
        path = head.split()[1].decode()
        if path == "/hang":
            while connection.recv(4096):
                pass
            return
        try:
            connection.sendall(ANSWERS[path])
        except OSError:
            pass

listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=64)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

#[tokio::test]
async fn a_service_that_answers_garbage_is_a_bad_gateway_and_harms_nobody_else() {
    let system = wreck();
    let caller = Caller::new(&system.url("gateway").unwrap()).unwrap();
    for path in ["/garbage", "/twice", "/endless", "/nothing"] {
        let answer = caller.post(&format!("/wreck{path}"), &json!({})).await.unwrap();
        assert_problem(&answer, 502, path);
        let fine = caller.get("/wreck/fine").await.unwrap();
        assert_eq!((fine.status, fine.text.as_str()), (200, "fine"), "after {path}");
    }
    // The head was on its way already: the body that breaks off must not look whole.
    let half = caller.get("/wreck/half").await;
    assert!(half.is_err(), "{half:?}");
    assert_eq!(caller.get("/wreck/fine").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_service_that_hangs_is_a_gateway_timeout() {
    let system = wreck();
    let caller = Caller::new(&system.url("gateway").unwrap()).unwrap();
    let answer = caller.post("/wreck/hang", &json!({})).await.unwrap();
    assert_problem(&answer, 504, "a service that hangs");
    assert_eq!(caller.get("/wreck/fine").await.unwrap().status, 200);
}

#[tokio::test]
async fn an_order_is_answered_while_its_payment_hangs_and_money_that_comes_late_goes_back() {
    let change = |manifest: String| {
        let manifest = manifest.replace("per_client: 60/min", "per_client: none");
        let soon = "env: { SAGA__PAYMENT_WITHIN: 1s }\n    needs: [user";
        manifest.replace("needs: [user", soon)
    };
    let system = System::start_changed(change).unwrap();
    let caller = Caller::new(&system.url("gateway").unwrap()).unwrap();
    let caller = caller.with_token(&system.token("1", &["user"]).unwrap());
    let ada = json!({"name": "Ada", "email": "ada@example.com"});
    let user = caller.post("/user-service/users", &ada).await.unwrap().json()["user_id"].clone();
    let order = json!({"user_id": user, "amount": 5});

    system.signal("payment-service", Signal::SIGSTOP).unwrap();
    let placed = caller.post_once("/order-service/orders", "key", &order).await.unwrap();
    assert_eq!(placed.status, 201, "{}", placed.text);
    let path = format!("/order-service/orders/{}", placed.json()["order_id"]);
    let becomes = async |member: &str, value: &str| {
        let waiting = async {
            while caller.get(&path).await.unwrap().json()[member] != value {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let waited = tokio::time::timeout(2 * PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{member} does not become {value}"));
    };
    becomes("status", "cancelled").await;
    system.signal("payment-service", Signal::SIGCONT).unwrap();
    becomes("refund", "done").await;
    assert_eq!(caller.get(&path).await.unwrap().json()["status"], "cancelled");
}

#[tokio::test]
async fn a_client_that_dawdles_is_closed() {
    let system = System::start_changed(|manifest| {
        let limits = "gateway:\n  timeouts: { header_read: 1s, body_idle: 1s }";
        manifest.replace("gateway:", limits).replace(
            "    grpc: [userservice",
            "    env: { SERVER__HEADER_READ_TIMEOUT: 1s }\n    grpc: [userservice",
        )
    });
    let system = system.unwrap();
    let gateway = system.url("gateway").unwrap();
    let service = system.url("user-service").unwrap();
    let begun = "POST /user-service/users HTTP/1.1\r\nHost: shop\r\nContent-Type: \
                 application/json\r\nContent-Length: 100\r\n\r\n{\"name\": ";
    for (what, base, bytes) in [
        ("no byte at the gateway", &gateway, ""),
        ("half a head at the gateway", &gateway, "GET /health/live HTTP/1.1\r\nHost: "),
        ("half a body at the gateway", &gateway, begun),
        ("no byte at a service", &service, ""),
        ("half a head at a service", &service, "GET /health/live HTTP/1.1\r\nHost: "),
    ] {
        let mut stream = TcpStream::connect(base.trim_start_matches("http://")).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end too.
        let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(end.is_ok(), "{what} is still open after {PATIENCE:?}");
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.starts_with("HTTP/1.1 2"), "{what}: {text}");
    }
    let caller = Caller::new(&gateway).unwrap();
    let ada = json!({"name": "Ada", "email": "ada@example.com"});
    let answer = caller.send(Method::POST, "/user-service/users", &ada).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text);
}

/// A system of one service that speaks no proper HTTP, which has a second to answer.
fn wreck() -> System {
    let manifest = |folder: &std::path::Path| {
        std::fs::write(folder.join("wreck.py"), WRECK)?;
        let python = python()?;
        Ok(format!(
            "name: shop
services:
  wreck:
    run: {{ command: [{:?}, wreck.py] }}
    timeout: 1s
gateway:
  limits: {{ per_client: none }}
",
            python.display().to_string()
        ))
    };
    System::start_other(manifest).unwrap()
}
