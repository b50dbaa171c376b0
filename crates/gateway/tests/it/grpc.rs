//! How gRPC calls are judged: by their status, wherever it stands.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use regatta_gateway::Settings;
use regatta_traffic::fault::FailureOn;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::http2::{client, grpc, send};
use crate::support::{LIMIT, get, settings, start};

/// Where a service says how a call went.
#[derive(Clone, Copy, Debug)]
enum Says {
    InHead(&'static str),
    InTrailers(&'static str),
    AfterMessage(&'static str),
    Nowhere,
    NowhereAfterMessage,
    /// Has a head and no more.
    Later,
    /// As soon as the caller's own time is over.
    WhenTimeIsOver(&'static str),
    /// Answers with what it is sent, as it comes.
    Echo,
    /// Reads what it is sent, and says nothing.
    Never,
}

const PLACES: [fn(&'static str) -> Says; 3] = [Says::InHead, Says::InTrailers, Says::AfterMessage];

type Answer = Response<UnsyncBoxBody<Bytes, hyper::Error>>;

/// A service that answers so.
struct Service {
    addr: SocketAddr,
    hits: Arc<AtomicUsize>,
}

impl Service {
    async fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, hits) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let (count, tasks) = (Arc::clone(&hits), TaskTracker::new());
        tasks.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                let service = service_fn(move |request: Request<Incoming>| {
                    count.fetch_add(1, Ordering::SeqCst);
                    async move {
                        if let Says::Echo = says {
                            return Ok(echo(request));
                        }
                        let (head, body) = request.into_parts();
                        _ = body.collect().await;
                        if let Says::Never = says {
                            std::future::pending().await
                        }
                        Ok::<_, Infallible>(says.answer(&head))
                    }
                });
                tasks.spawn(
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { addr, hits }
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

impl Says {
    fn answer(self, head: &http::request::Parts) -> Answer {
        let response = Response::builder().header("content-type", "application/grpc");
        let message = || Frame::data(Bytes::from_static(&[0; 5]));
        let frames = match self {
            Self::InHead(status) => {
                let body =
                    Full::default().map_err(|never: Infallible| match never {}).boxed_unsync();
                return response.header("grpc-status", status).body(body).unwrap();
            }
            Self::InTrailers(status) => stream::iter(vec![trailers(status)]).boxed(),
            Self::AfterMessage(status) => stream::iter(vec![message(), trailers(status)]).boxed(),
            Self::Nowhere | Self::Never | Self::Echo => stream::iter(Vec::new()).boxed(),
            Self::Later => stream::pending().boxed(),
            Self::NowhereAfterMessage => stream::iter(vec![message()]).boxed(),
            Self::WhenTimeIsOver(status) => {
                let said = head.headers["grpc-timeout"].to_str().unwrap();
                let time = regatta_core::parse_grpc_timeout(said).unwrap();
                let end = stream::once(async move {
                    tokio::time::sleep(time).await;
                    trailers(status)
                });
                stream::iter([message()]).chain(end).boxed()
            }
        };
        let body = StreamBody::new(frames.map(Ok::<_, hyper::Error>));
        response.body(body.boxed_unsync()).unwrap()
    }
}

fn echo(request: Request<Incoming>) -> Answer {
    let response = Response::builder().header("content-type", "application/grpc");
    response.body(request.into_body().boxed_unsync()).unwrap()
}

fn trailers(status: &'static str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    Frame::trailers(trailers)
}

/// One instance, no retries and no ejection: five failures in a row open its breaker.
fn plain() -> Settings {
    let mut settings = settings();
    settings.traffic.retry.retries = 0;
    settings.traffic.cluster.outlier = None;
    settings
}

/// How many of ten calls come through to a service that answers so.
async fn let_through(settings: Settings, says: Says, timeout: Option<&str>) -> usize {
    let service = Service::start(says).await;
    let gateway = start(settings, &[service.addr]).await;
    let mut client = client(gateway.addr).await;
    for _ in 0..10 {
        let mut request = grpc("/a/p.S/X");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        let answer = send(&mut client, request.body(Full::default()).unwrap()).await;
        // To its end, or until it is cut off.
        _ = answer.into_body().collect().await;
    }
    service.hits()
}

#[tokio::test]
async fn a_failure_counts_wherever_its_status_stands() {
    for place in PLACES {
        assert_eq!(let_through(plain(), place("13"), None).await, 5, "{:?}", place("13"));
        for good in ["0", "5"] {
            assert_eq!(let_through(plain(), place(good), None).await, 10, "{:?}", place(good));
        }
    }
}

#[tokio::test]
async fn the_list_of_what_counts_holds_for_trailers_too() {
    for place in PLACES {
        for (words, expected) in [("5xx", 10), ("grpc:NOT_FOUND", 5)] {
            let mut settings = plain();
            settings.traffic.cluster.failure_on = FailureOn::new([words.parse().unwrap()]);
            let says = place("5");
            assert_eq!(let_through(settings, says, None).await, expected, "{words} {says:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_a_status_is_none_and_after_a_message_half_of_one() {
    for (says, word) in [(Says::Nowhere, "reset"), (Says::NowhereAfterMessage, "cut_off")] {
        for (words, expected) in [(word, 5), ("5xx", 10)] {
            let mut settings = plain();
            settings.traffic.cluster.failure_on = FailureOn::new([words.parse().unwrap()]);
            assert_eq!(let_through(settings, says, None).await, expected, "{words} {says:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_never_says_how_the_call_went_is_late() {
    for (words, expected) in [("timeout", 5), ("cut_off", 10)] {
        let mut settings = plain();
        settings.timeouts.tunnel_idle = std::time::Duration::from_millis(20);
        settings.traffic.cluster.failure_on = FailureOn::new([words.parse().unwrap()]);
        assert_eq!(let_through(settings, Says::Later, None).await, expected, "{words}");
    }
}

#[tokio::test]
async fn an_instance_whose_answers_end_badly_is_ejected() {
    let mut settings = settings();
    settings.traffic.cluster.breaker = None;
    let (bad, good) = (Service::start(Says::AfterMessage("14")).await, Says::InTrailers("0"));
    let good = [Service::start(good).await, Service::start(good).await];
    let gateway = start(settings, &[bad.addr, good[0].addr, good[1].addr]).await;
    let mut client = client(gateway.addr).await;
    for _ in 0..100 {
        let answer = send(&mut client, grpc("/a/p.S/X").body(Full::default()).unwrap()).await;
        answer.into_body().collect().await.unwrap();
    }
    assert_eq!(bad.hits(), 5);
    let metrics = get(gateway.admin, "/metrics").await.text();
    let line = "regatta_gateway_ejection_changes_total{service=\"a\",to=\"ejected\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn what_is_turned_away_in_the_head_goes_elsewhere_and_in_the_trailers_it_is_passed_on() {
    for (says, repeats) in [(Says::InHead("14"), true), (Says::InTrailers("14"), false)] {
        let (bad, good) = (Service::start(says).await, Service::start(Says::InHead("0")).await);
        let gateway = start(settings(), &[bad.addr, good.addr]).await;
        let mut client = client(gateway.addr).await;
        for _ in 0..8 {
            let before = bad.hits();
            let request = grpc("/a/p.S/X").body(Full::from("12345")).unwrap();
            let (head, body) = send(&mut client, request).await.into_parts();
            let ended = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
            let status = head.headers.get("grpc-status").or(ended.get("grpc-status")).unwrap();
            let is_passed_on = bad.hits() > before && !repeats;
            assert_eq!(status, if is_passed_on { "14" } else { "0" }, "{says:?}");
        }
        assert!(bad.hits() > 0);
        assert_eq!(good.hits() + if repeats { 0 } else { bad.hits() }, 8, "{says:?}");
    }
}

#[tokio::test]
async fn a_caller_whose_own_time_is_over_opens_no_breaker() {
    let when_over = Says::WhenTimeIsOver("4");
    assert_eq!(let_through(plain(), when_over, Some("200m")).await, 10);
    // As early as that it is the service's own doing.
    for place in PLACES {
        assert_eq!(let_through(plain(), place("4"), Some("60S")).await, 5);
        assert_eq!(let_through(plain(), place("4"), None).await, 5);
    }
}

#[tokio::test]
async fn metrics_have_the_status_of_grpc_calls() {
    for place in PLACES {
        let service = Service::start(place("5")).await;
        let gateway = start(plain(), &[service.addr]).await;
        let mut client = client(gateway.addr).await;
        for path in ["/a/p.S/X", "/nowhere.S/X"] {
            let answer = send(&mut client, grpc(path).body(Full::default()).unwrap()).await;
            answer.into_body().collect().await.unwrap();
        }
        let metrics = get(gateway.admin, "/metrics").await.text();
        for names in [
            "http_response_status_code=\"200\",rpc_response_status_code=\"NOT_FOUND\"} 1",
            "http_response_status_code=\"404\",rpc_response_status_code=\"UNIMPLEMENTED\"} 1",
        ] {
            let counted = |line: &str| line.contains("seconds_count") && line.ends_with(names);
            assert!(metrics.lines().any(counted), "{metrics}");
        }
    }
}

type Upload = StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, &'static str>>>;

/// Ten calls whose bodies come as streams: a message, and then this, when the service has the call or
/// has answered it; how many came through.
async fn uploads(
    settings: Settings,
    says: Says,
    then: fn() -> Result<Frame<Bytes>, &'static str>,
) -> usize {
    let service = Service::start(says).await;
    let gateway = start(settings, &[service.addr]).await;
    let stream = TcpStream::connect(gateway.addr).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    TaskTracker::new().spawn(connection);
    for call in 1..=10 {
        let (go_on, told) = tokio::sync::oneshot::channel::<()>();
        let then = async move {
            _ = told.await;
            then()
        };
        let frames = stream::iter([Ok(Frame::data(Bytes::from("12345")))]);
        let frames = frames.chain(stream::once(then)).chain(stream::pending());
        let body: Upload = StreamBody::new(frames.boxed());
        let answer = client.send_request(grpc("/a/up/load").body(body).unwrap());
        let ended = async {
            if let Says::Echo = says {
                let answer = answer.await.unwrap();
                go_on.send(()).unwrap();
                answer.into_body().collect().await.map(drop)
            } else {
                let has_come = async {
                    while service.hits() < call {
                        tokio::task::yield_now().await;
                    }
                    go_on.send(()).unwrap();
                };
                futures::join!(answer, has_come).0.map(drop)
            }
        };
        _ = tokio::time::timeout(LIMIT, ended).await.unwrap();
    }
    service.hits()
}

#[tokio::test]
async fn a_client_that_breaks_off_its_own_upload_says_nothing_about_the_instance() {
    for says in [Says::Never, Says::Echo] {
        let broken = || Err("expected by this test");
        assert_eq!(uploads(plain(), says, broken).await, 10, "{says:?}");
    }
}

#[tokio::test]
async fn an_upload_that_the_gateway_refuses_says_nothing_about_the_instance() {
    let mut settings = plain();
    settings.limits.body_bytes = 8;
    for says in [Says::Never, Says::Echo] {
        let more = || Ok(Frame::data(Bytes::from("67890")));
        assert_eq!(uploads(settings.clone(), says, more).await, 10, "{says:?}");
    }
}
