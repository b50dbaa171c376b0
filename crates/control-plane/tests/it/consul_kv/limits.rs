//! What is too much is refused, with a word about it.

use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;

use crate::server::{LIMIT, Server};

#[tokio::test]
async fn a_value_may_have_512_kib_and_no_more_in_one_piece_or_in_chunks() {
    let server = Server::start().await;
    let most = 512 << 10;
    assert!(server.put_key("large", &"x".repeat(most)).await);
    for too_large in [most + 1, 4 << 20] {
        let answer = server.put("/v1/kv/large", &"y".repeat(too_large)).await;
        assert_eq!(answer.status, 413);
        assert!(answer.text.contains("max size: 524288 bytes"), "{}", answer.text);
    }
    assert_eq!(server.get("/v1/kv/large?raw").await.text.len(), most);
    let url = format!("http://{}/v1/kv/chunked", server.address);
    for (chunks, status) in [(8, 200), (9, 413)] {
        let chunk = Bytes::from(vec![b'z'; 64 << 10]);
        let chunks = std::iter::repeat_n(chunk, chunks);
        let frames = chunks.map(|chunk| Ok::<_, std::io::Error>(Frame::data(chunk)));
        let body = reqwest::Body::wrap(StreamBody::new(stream::iter(frames)));
        let sent = server.client.put(&url).body(body).timeout(LIMIT).send().await.unwrap();
        assert_eq!(sent.status(), status);
    }
    assert_eq!(server.get("/v1/kv/chunked?raw").await.text.len(), most);
}

#[tokio::test]
async fn keys_sessions_and_memory_have_limits_that_are_named() {
    let server = Server::with(|settings| {
        settings.kv.max_key_bytes = 8;
        settings.kv.max_sessions = 1;
        settings.kv.quota_bytes = 2000;
    })
    .await;
    assert!(server.put_key("12345678", "").await);
    let long = server.put("/v1/kv/123456789", "").await;
    assert_eq!(long.status, 400);
    assert!(long.text.contains("`kv.max_key_bytes`"), "{}", long.text);
    server.session("").await;
    let more = server.put("/v1/session/create", "").await;
    assert_eq!(more.status, 500);
    assert!(more.text.contains("`kv.max_sessions`"), "{}", more.text);
    assert!(server.put_key("a", &"x".repeat(1000)).await);
    let full = server.put("/v1/kv/b", &"x".repeat(1000)).await;
    assert_eq!(full.status, 500);
    assert!(full.text.contains("`kv.quota_bytes`"), "{}", full.text);
    // What makes room is possible, and then so is what was refused.
    server.delete("/v1/kv/a").await;
    assert!(server.put_key("b", &"x".repeat(1000)).await);
}

#[tokio::test]
async fn a_wait_longer_than_ten_minutes_counts_as_ten_and_one_without_a_unit_is_refused() {
    let server = Server::start().await;
    assert_eq!(server.get("/v1/kv/a?index=1&wait=5").await.status, 400);
    assert_eq!(server.get("/v1/kv/a?index=x").await.status, 400);
    let url = format!("http://{}/v1/kv/a?index=1&wait=99h", server.address);
    let held = server.client.get(url).timeout(Duration::from_millis(300)).send().await;
    assert!(held.unwrap_err().is_timeout(), "held");
}
