//! A small service to test the chassis with, and raw sockets to test it hard.

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use regatta::testing::Running;
use regatta::{Config, Json, Path, Query, Service};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    user_id: i32,
    items: Vec<Item>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Item {
    price: u32,
}

#[derive(Deserialize)]
struct Page {
    size: u8,
}

pub(crate) async fn opened(yaml: &str) -> Service {
    let config = Config::builder().yaml("config.yaml", yaml).build().unwrap();
    Service::builder("test-service").config(config).quiet().build().await.unwrap()
}

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/hello", get(async || "hello"))
        .route("/orders", post(async |Json(order): Json<Order>| Json(order)))
        .route("/orders/{id}", get(async |Path(id): Path<i32>| id.to_string()))
        .route("/pages", get(async |Query(page): Query<Page>| page.size.to_string()))
        .route("/bytes", post(async |body: bytes::Bytes| body.len().to_string()))
        .route("/axum", post(async |_: axum::Json<Order>| "taken"))
        .route("/panic", get(panics))
        .route("/slow", get(slow))
        .route("/hang", get(std::future::pending::<()>))
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(300)).await;
    "slow"
}

async fn panics() -> &'static str {
    panic!("the secret of this handler")
}

pub(crate) async fn running(yaml: &str) -> Running {
    Running::start(opened(yaml).await.rest(routes())).await.unwrap()
}

/// Writes these bytes and reads what comes until the connection is closed.
pub(crate) async fn raw(service: &Running, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(service.addr()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    read_to_end(&mut stream).await
}

/// What comes until the connection is closed, or reset.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _reset = tokio::time::timeout(PATIENCE, reading).await.expect("the connection is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads one answer with a `content-length` and leaves the connection open.
pub(crate) async fn read_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = async {
        loop {
            let mut chunk = [0; 4096];
            let count = stream.read(&mut chunk).await.unwrap_or(0);
            answer.extend_from_slice(&chunk[..count]);
            let text = String::from_utf8_lossy(&answer);
            if count == 0 || is_complete(&text) {
                return text.into_owned();
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("an answer comes")
}

fn is_complete(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    body.len() >= length.unwrap_or(0)
}
