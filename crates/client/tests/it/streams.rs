//! Bodies that are read and sent as they come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{get, put};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use regatta_client::Error;
use regatta_core::Origin;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::fleet::{Does, Fleet, MILLISECOND, options};
use crate::memory::Memory;

type Item = Result<Bytes, std::io::Error>;

const SECOND: Duration = Duration::from_secs(1);

/// Items of one byte, one every so often.
fn trickle(items: usize, every: Duration) -> impl futures::Stream<Item = Item> + Send + 'static {
    stream::iter(0..items).then(move |_| async move {
        sleep(every).await;
        Ok(Bytes::from_static(b"x"))
    })
}

/// Answers with how many bytes came, how they were framed, and by when it was to answer.
async fn measure(headers: HeaderMap, request: Request) -> String {
    let field = |name| headers.get(name).map_or("none", |value| value.to_str().unwrap()).to_owned();
    let (length, coding) = (field("content-length"), field("transfer-encoding"));
    let is_limited = headers.contains_key("x-envoy-expected-rq-timeout-ms");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    format!("{} {length} {coding} {is_limited}", body.len())
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_on_is_not_sent_on() {
    let made = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&made);
    let endless = move || {
        let count = Arc::clone(&count);
        let pieces = stream::repeat_with(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Item::Ok(Bytes::from(vec![0; 64 << 10]))
        });
        std::future::ready(Body::from_stream(pieces.take(1_000)))
    };
    let server = Memory::new(Router::new().route("/", get(endless)));
    let (client, _registry) = server.client(1, options()).await;
    let users = client.service("user-service").unwrap();
    let mut body = users.get("/").send().await.unwrap().bytes_stream();
    body.next().await.unwrap().unwrap();
    sleep(SECOND).await;
    let before = made.load(Ordering::SeqCst);
    assert!(before < 50, "{before} pieces of 64 KiB");
    let rest = body.try_fold(0, |sum, piece| std::future::ready(Ok(sum + piece.len()))).await;
    assert!(rest.unwrap() > 900 * (64 << 10), "and what is read on is sent on");
    assert_eq!(made.load(Ordering::SeqCst), 1_000);
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_cancelled_and_its_place_is_free() {
    let fleet = Fleet::new();
    let (held, mut gone) = mpsc::channel::<()>(1);
    let endless = move || {
        let held = held.clone();
        let pieces = stream::unfold(held, |held| async {
            sleep(MILLISECOND).await;
            Some((Item::Ok(Bytes::from_static(b"x")), held))
        });
        std::future::ready(Body::from_stream(pieces))
    };
    fleet.serve_router(Router::new().route("/", get(endless))).await;
    let client = crate::fleet::client(&fleet.registry, options());
    let users = client.service("user-service").unwrap();
    let mut answer = users.get("/").send().await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "x");
    assert_eq!(client.clusters()[0].instances[0].in_flight, 1);
    drop(answer);
    assert_eq!(client.clusters()[0].instances[0].in_flight, 0);
    // The route holds one sender; the stream's own is gone with it.
    let waited = async {
        while gone.sender_strong_count() > 1 {
            sleep(MILLISECOND).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waited).await.unwrap();
    gone.close();
}

#[tokio::test]
async fn a_body_has_its_trailers_and_a_stream_only_its_bytes() {
    let fleet = Fleet::new();
    let frames = || async {
        let mut trailers = HeaderMap::new();
        trailers.insert(HeaderName::from_static("x-checksum"), HeaderValue::from_static("7"));
        let frames = [Frame::data(Bytes::from_static(b"hello")), Frame::trailers(trailers)];
        let body = StreamBody::new(stream::iter(frames.map(Ok::<_, std::io::Error>)));
        ([("trailer", "x-checksum")], Body::new(body))
    };
    fleet.serve_router(Router::new().route("/", get(frames))).await;
    let users = fleet.client(options());
    let answer = users.get("/").header("te", "trailers").send().await.unwrap();
    let body = answer.into_body();
    assert_eq!(body.service().as_str(), "user-service");
    let collected = body.collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-checksum"], "7");
    assert_eq!(collected.to_bytes(), "hello");
    let answer = users.get("/").header("te", "trailers").send().await.unwrap();
    let bytes: Vec<Bytes> = answer.bytes_stream().try_collect().await.unwrap();
    assert_eq!(bytes.concat(), b"hello");
}

#[tokio::test]
async fn the_deadline_of_a_call_ends_its_stream_and_a_cut_off_one_is_broken() {
    let fleet = Fleet::new();
    let hanging = fleet.serve(Does::HangInBody).await;
    let mut short = options();
    short.timeout = MILLISECOND * 50;
    let mut body = fleet.client(short).get("/").send().await.unwrap().bytes_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), "begin");
    let error = body.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(error.is_retryable() && error.was_sent() && error.origin() == Origin::Upstream);
    fleet.remove(&hanging).await;
    fleet.serve_bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let mut answer = fleet.client(options()).get("/").send().await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "half");
    let error = answer.chunk().await.unwrap_err();
    assert!(matches!(error, Error::Broken { .. }) && error.is_retryable(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_streamed_answer_may_last_as_long_as_it_moves() {
    let slow = |every: u64| {
        move || std::future::ready(Body::from_stream(trickle(5, Duration::from_secs(every))))
    };
    let routes = Router::new().route("/moves", get(slow(20))).route("/rests", get(slow(31)));
    let server = Memory::new(routes);
    let (client, _registry) = server.client(1, options()).await;
    let users = client.service("user-service").unwrap();
    let error = users.get("/moves").send().await.unwrap().text().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "the time of the call is over: {error}");
    let begun = Instant::now();
    let answer = users.get("/moves").streamed().send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "xxxxx");
    assert_eq!(begun.elapsed().as_secs(), 100);
    let begun = Instant::now();
    let answer = users.get("/rests").streamed().send().await.unwrap();
    assert!(matches!(answer.text().await.unwrap_err(), Error::Timeout { .. }));
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn a_stream_is_sent_in_chunks_and_a_body_of_known_length_with_it() {
    let fleet = Fleet::new();
    fleet.serve_router(Router::new().route("/", put(measure))).await;
    let users = fleet.client(options());
    let pieces = stream::iter((0..100).map(|_| Item::Ok(Bytes::from(vec![7; 1 << 10]))));
    let answer = users.put("/").stream(pieces).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "102400 none chunked true");
    let body = Full::new(Bytes::from_static(b"hello"));
    let answer = users.put("/").http_body(body).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "5 5 none true");
}

#[tokio::test]
async fn a_stream_goes_elsewhere_unsent_and_is_never_repeated_once_it_was_sent() {
    let fleet = Fleet::new();
    let (busy, _dead) = (fleet.serve(Does::Answer(503)).await, fleet.dead().await);
    let users = fleet.client(options());
    for round in 1..=4 {
        let answer = users.put("/").stream(trickle(3, MILLISECOND)).send().await.unwrap();
        assert_eq!(answer.status(), 503, "the answer stands");
        assert_eq!(busy.hits(), round);
    }
}

#[tokio::test]
async fn a_stream_that_fails_is_the_callers_own_fault_and_not_the_instances() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(200)).await;
    let users = fleet.client(options());
    for _ in 0..10 {
        let pieces = [Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("disk is away"))];
        let error = users.post("/").stream(stream::iter(pieces)).send().await.unwrap_err();
        assert!(matches!(error, Error::RequestBody { .. }), "{error}");
        assert_eq!((error.origin(), error.is_retryable()), (Origin::Us, false));
        assert!(error.was_sent());
        let chain = regatta_core::Chain(&error).to_string();
        assert!(chain.contains("disk is away"), "{chain}");
    }
    assert!(server.hits() <= 10, "nothing is repeated");
    assert_eq!(users.get("/").send().await.unwrap().status(), 200, "its breaker is closed");
}

#[tokio::test]
async fn a_call_that_is_dropped_reads_no_more_of_its_stream() {
    let fleet = Fleet::new();
    fleet.serve(Does::Answer(200)).await;
    let (held, mut gone) = mpsc::channel::<()>(1);
    let endless = stream::unfold(held, |held| async {
        sleep(MILLISECOND).await;
        Some((Item::Ok(Bytes::from_static(b"x")), held))
    });
    let call = fleet.client(options()).post("/").stream(endless).send();
    assert!(tokio::time::timeout(MILLISECOND * 50, call).await.is_err());
    assert!(tokio::time::timeout(SECOND * 10, gone.recv()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_ends_that_and_its_connection() {
    let fleet = Fleet::new();
    let refuse = || async { (StatusCode::PAYLOAD_TOO_LARGE, "too large") };
    let server = fleet.serve_router(Router::new().fallback(refuse)).await;
    let users = fleet.client(options());
    for round in 1..=3 {
        let (waits, mut gone) = unfinished();
        let answer = users.post("/").stream(waits).send().await.unwrap();
        assert_eq!(answer.status(), 413);
        assert_eq!(answer.text().await.unwrap(), "too large");
        assert!(tokio::time::timeout(SECOND * 10, gone.recv()).await.unwrap().is_none());
        assert_eq!(server.hits(), round);
    }
}

#[tokio::test]
async fn an_answer_that_is_read_or_dropped_ends_the_request_though_the_service_reads_on() {
    let fleet = Fleet::new();
    let server = fleet.serve_bytes_early(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let users = fleet.client(options());
    for round in 1..=6 {
        let (waits, mut gone) = unfinished();
        let mut answer = users.post("/").stream(waits).send().await.unwrap();
        if round % 2 == 0 {
            assert_eq!(answer.chunk().await.unwrap().unwrap(), "ok");
            assert!(answer.chunk().await.unwrap().is_none());
            assert!(tokio::time::timeout(SECOND * 10, gone.recv()).await.unwrap().is_none());
        }
        drop(answer);
        assert!(tokio::time::timeout(SECOND * 10, gone.recv()).await.unwrap().is_none());
        assert_eq!(server.hits(), round, "each has a connection of its own");
    }
}

/// A body that begins and does not end, and a receiver that learns when it is dropped.
fn unfinished() -> (impl futures::Stream<Item = Item> + Send + 'static, mpsc::Receiver<()>) {
    let (held, gone) = mpsc::channel::<()>(1);
    let begin = stream::once(async { Item::Ok(Bytes::from_static(b"begin")) });
    let rest = stream::once(async move {
        let _held = held;
        std::future::pending::<Item>().await
    });
    (begin.chain(rest), gone)
}

#[tokio::test(start_paused = true)]
async fn a_streamed_request_may_last_as_long_as_it_moves_and_nobody_is_told_when_it_must_end() {
    let server = Memory::new(Router::new().route("/", put(measure)));
    let (client, _registry) = server.client(1, options()).await;
    let users = client.service("user-service").unwrap();
    let send = |every, streamed: bool| {
        let request = users.put("/").stream(trickle(5, every));
        let request = if streamed { request.streamed() } else { request };
        request.timeout(SECOND * 14).send()
    };
    let error = send(SECOND * 20, false).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "the time of the call is over: {error}");
    let answer = send(SECOND * 20, true).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "5 none chunked false");
    let begun = Instant::now();
    let error = send(SECOND * 31, true).await.unwrap_err();
    let chain = regatta_core::Chain(&error).to_string();
    assert!(chain.contains("gave nothing for 30s") && error.origin() == Origin::Us, "{chain}");
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_takes_no_more_of_a_streamed_request_is_too_late() {
    let takes_nothing = |request: Request| async {
        let _request = request;
        std::future::pending::<()>().await
    };
    let server = Memory::new(Router::new().route("/", put(takes_nothing)));
    let (client, _registry) = server.client(1, options()).await;
    let users = client.service("user-service").unwrap();
    let endless = stream::repeat_with(|| Item::Ok(Bytes::from(vec![0; 64 << 10])));
    let begun = Instant::now();
    let error = users.put("/").stream(endless).streamed().send().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn the_time_for_an_answer_begins_with_the_end_of_a_streamed_request() {
    let never = |request: Request| async {
        request.into_body().collect().await.unwrap();
        std::future::pending::<()>().await;
    };
    let server = Memory::new(Router::new().route("/", put(never)));
    let (client, _registry) = server.client(1, options()).await;
    let users = client.service("user-service").unwrap();
    let begun = Instant::now();
    let call = users.put("/").stream(trickle(2, SECOND * 20)).streamed().timeout(SECOND * 4);
    assert!(matches!(call.send().await.unwrap_err(), Error::Timeout { .. }));
    assert_eq!(begun.elapsed().as_secs(), 44);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_request_that_is_served_ends_a_streamed_call() {
    let slow = || std::future::ready(Body::from_stream(trickle(5, SECOND * 20)));
    let server = Memory::new(Router::new().route("/", put(measure).get(slow)));
    let (client, _registry) = server.client(1, options()).await;
    let users = client.service("user-service").unwrap();
    let sent = async { users.put("/").stream(trickle(5, SECOND * 20)).streamed().send().await };
    let read = async {
        let answer = users.get("/").streamed().send().await?;
        answer.text().await
    };
    let begun = Instant::now();
    let error = within(SECOND * 50, sent).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 50);
    let error = within(SECOND * 50, read).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 100);
}

/// As a call that is made for a request whose caller waits so long.
async fn within<T>(time: Duration, call: impl Future<Output = T>) -> T {
    let mut context = regatta_core::Context::default();
    context.deadline = Some(regatta_core::Deadline::after(Instant::now().into_std(), time));
    Arc::new(context).scope(call).await
}

#[tokio::test]
async fn a_stream_that_fails_under_an_answer_is_the_callers_own_fault_too() {
    let fleet = Fleet::new();
    let echo = |request: Request| {
        std::future::ready(Body::from_stream(request.into_body().into_data_stream()))
    };
    fleet.serve_router(Router::new().route("/", put(echo))).await;
    let users = fleet.client(options());
    for _ in 0..10 {
        let (sender, receiver) = mpsc::channel::<Item>(1);
        let pieces = stream::unfold(receiver, |mut receiver| async {
            Some((receiver.recv().await?, receiver))
        });
        sender.send(Ok(Bytes::from_static(b"half"))).await.unwrap();
        let mut answer = users.put("/").stream(pieces).send().await.unwrap();
        assert_eq!(answer.chunk().await.unwrap().unwrap(), "half");
        sender.send(Err(std::io::Error::other("disk is away"))).await.unwrap();
        let error = answer.chunk().await.unwrap_err();
        assert!(matches!(error, Error::RequestBody { .. }), "{error}");
        assert_eq!(error.origin(), Origin::Us);
    }
    let empty = stream::empty::<Item>();
    let answer = users.put("/").stream(empty).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "", "its breaker is closed");
}
