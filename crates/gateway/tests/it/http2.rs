//! HTTP/2 with prior knowledge, and gRPC.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::support::{
    LIMIT, Message, answering, auth, echo, nobody, ok, settings, start, upstream,
};

type Client = SendRequest<Full<Bytes>>;

pub(crate) async fn client(address: SocketAddr) -> Client {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    TaskTracker::new().spawn(connection);
    sender
}

pub(crate) async fn send(client: &mut Client, request: Request<Full<Bytes>>) -> Response<Incoming> {
    tokio::time::timeout(LIMIT, client.send_request(request)).await.unwrap().unwrap()
}

pub(crate) fn grpc(path: &str) -> http::request::Builder {
    Request::post(format!("http://shop{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

/// A gRPC service over HTTP/2 that answers with what it was asked and `grpc-status` in trailers.
pub(crate) async fn grpc_service(wait: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    tasks.clone().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request: Request<Incoming>| async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                tokio::time::sleep(wait).await;
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                let seen = format!(
                    "{} {} {:?} {:?} {:?}",
                    head.uri.path(),
                    body.len(),
                    head.headers.get("te"),
                    head.headers.get("grpc-timeout"),
                    head.headers.get("x-envoy-expected-rq-timeout-ms"),
                );
                let frames = [Ok(Frame::data(Bytes::from(seen))), Ok(Frame::trailers(trailers))];
                let body = StreamBody::new(futures::stream::iter(frames));
                let response = Response::builder().header("content-type", "application/grpc");
                Ok::<_, Infallible>(response.body(body.map_err(|never: Infallible| never)).unwrap())
            });
            tasks.spawn(
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    address
}

#[tokio::test]
async fn plain_requests_are_carried_to_http_1_services() {
    let mut service = echo().await;
    let gateway = start(settings(), &[service.addr]).await;
    let mut client = client(gateway.addr).await;
    for _ in 0..3 {
        let request = Request::post("http://shop/a/x?q=1")
            .header("x-user-id", "9")
            .body(Full::from("hello"))
            .unwrap();
        let response = send(&mut client, request).await;
        assert_eq!(response.status(), 200);
        assert!(response.headers().contains_key("x-request-id"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "hello");
        let seen = service.request().await;
        assert_eq!(seen.line, "POST /x?q=1 HTTP/1.1");
        assert_eq!(seen.field("host"), Some("shop"));
        assert_eq!(seen.field("x-user-id"), None);
        assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    }
    assert_eq!(service.connections(), 1);
}

#[tokio::test]
async fn a_grpc_call_keeps_its_trailers_and_its_deadline() {
    let service = grpc_service(Duration::ZERO).await;
    let mut settings = settings();
    settings.services[0].grpc = vec!["pkg.Greeter".into()];
    let gateway = start(settings, &[service]).await;
    let mut client = client(gateway.addr).await;
    for (path, seen) in
        [("/pkg.Greeter/Hi", "/pkg.Greeter/Hi"), ("/a/pkg.Other/Hi", "/pkg.Other/Hi")]
    {
        let request = grpc(path).header("grpc-timeout", "2S").body(Full::from("12345")).unwrap();
        let response = send(&mut client, request).await;
        assert_eq!(response.status(), 200);
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
        let text = String::from_utf8(collected.to_bytes().to_vec()).unwrap();
        let start = format!("{seen} 5 Some(\"trailers\") Some(\"");
        let left = text.strip_prefix(&start).and_then(|rest| rest.split_once("u\")"));
        let left = left.map(|(left, _)| left);
        let left: u32 = left.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
        assert!(left < 2_000_000 && left > 1_000_000, "what is left when it is sent: {left}");
    }
}

#[tokio::test]
async fn a_grpc_call_says_what_is_left_to_its_head_and_to_its_end() {
    let gateway = start(settings(), &[grpc_service(Duration::ZERO).await]).await;
    let mut client = client(gateway.addr).await;
    // The route gives 15 s to the head.
    for (timeout, whole) in
        [(None, None), (Some("60S"), Some(60_000_000)), (Some("2S"), Some(2_000_000))]
    {
        let mut request = grpc("/a/p.S/X");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        let response = send(&mut client, request.body(Full::from("12345")).unwrap()).await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let mut fields =
            text.rsplit(' ').map(|it| it.trim_start_matches("Some(").trim_matches(['"', ')']));
        let head: u32 = fields.next().unwrap().parse().unwrap_or_else(|_| panic!("{text}"));
        let sooner = timeout == Some("2S");
        assert!(if sooner { head <= 2000 } else { (10_000..=15_000).contains(&head) }, "{text}");
        let left = fields.next().and_then(|it| it.strip_suffix('u')?.parse::<u32>().ok());
        assert_eq!(left.is_some(), whole.is_some(), "{text}");
        if let (Some(left), Some(whole)) = (left, whole) {
            assert!(left <= whole && left > whole / 2, "{text}");
        }
    }
}

#[tokio::test]
async fn what_the_gateway_refuses_of_grpc_is_a_grpc_status() {
    let service = grpc_service(Duration::from_secs(3)).await;
    let mut settings = settings();
    settings.auth = Some(auth());
    let mut route = regatta_gateway::Route::new("/a/secret.Service/**");
    route.roles = vec!["admin".into()];
    settings.routes = vec![route];
    let gateway = start(settings, &[service]).await;
    let mut client = client(gateway.addr).await;
    for (path, timeout, code) in [
        ("/nowhere.Service/X", "10S", "12"),
        ("/a/secret.Service/X", "10S", "16"),
        ("/a/x.Service/X", "200m", "4"),
    ] {
        let request = grpc(path).header("grpc-timeout", timeout).body(Full::default()).unwrap();
        let response = send(&mut client, request).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["grpc-status"], code, "{path}");
        assert!(response.headers().contains_key("grpc-message"), "{path}");
    }
    let empty = start(crate::support::settings(), &[nobody().await]).await;
    let mut client = self::client(empty.addr).await;
    let response = send(&mut client, grpc("/a/x.S/X").body(Full::default()).unwrap()).await;
    assert_eq!(response.headers()["grpc-status"], "14");
}

#[tokio::test]
async fn bodies_over_the_limit_and_hidden_paths_are_refused_here_too() {
    let mut service = echo().await;
    let mut settings = settings();
    settings.limits.body_bytes = 10;
    let gateway = start(settings, &[service.addr]).await;
    let mut client = client(gateway.addr).await;
    let long = Request::post("http://shop/a/x").body(Full::from("x".repeat(11))).unwrap();
    assert_eq!(send(&mut client, long).await.status(), 413);
    let hidden = Request::get("http://shop/a/%2e%2e/b").body(Full::default()).unwrap();
    assert_eq!(send(&mut client, hidden).await.status(), 400);
    let target = format!("http://shop/a/x?{}", "q".repeat(8 * 1024));
    let long = Request::get(target).body(Full::default()).unwrap();
    assert_eq!(send(&mut client, long).await.status(), 414);
    assert_eq!(service.unseen(), 0);
}

#[tokio::test]
async fn a_connection_that_is_closed_after_each_answer_costs_no_call() {
    let service = upstream(Arc::new(|_, _: &Message| (ok(b"x"), true))).await;
    let gateway = start(settings(), &[service.addr]).await;
    let mut client = client(gateway.addr).await;
    for number in 0..20 {
        let request = if number % 2 == 0 {
            Request::post("http://shop/a/x")
        } else {
            Request::get("http://shop/a/x")
        };
        let response = send(&mut client, request.body(Full::default()).unwrap()).await;
        assert_eq!(response.status(), 200, "request {number}");
        response.into_body().collect().await.unwrap();
        // The close is on its way through the kernel.
        tokio::task::yield_now().await;
    }
}

/// Serves one stream and says good-bye to every connection; the first calls are turned away.
async fn leaving(turned_away: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    let seen = Arc::new(AtomicUsize::new(0));
    tasks.clone().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, asked) = (Arc::clone(&seen), Arc::new(tokio::sync::Notify::new()));
            let said = Arc::clone(&asked);
            let service = service_fn(move |request: Request<Incoming>| {
                let (seen, said) = (Arc::clone(&seen), Arc::clone(&said));
                async move {
                    said.notify_one();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let is_early = seen.fetch_add(1, Ordering::SeqCst) < turned_away;
                    let status = if is_early { "14" } else { "0" };
                    let response = Response::builder()
                        .header("content-type", "application/grpc")
                        .header("grpc-status", status)
                        .header("seen", body.len());
                    Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap())
                }
            });
            tasks.spawn(async move {
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service);
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    _ = connection.as_mut() => return,
                    () = asked.notified() => connection.as_mut().graceful_shutdown(),
                }
                _ = connection.await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_connection_that_says_good_bye_costs_no_call() {
    let gateway = start(settings(), &[leaving(0).await]).await;
    let mut client = client(gateway.addr).await;
    for number in 0..10 {
        let request = grpc("/a/p.S/X").body(Full::from("12345")).unwrap();
        let response = send(&mut client, request).await;
        assert_eq!(response.headers()["grpc-status"], "0", "call {number}");
        assert_eq!(response.headers()["seen"], "5");
    }
}

#[tokio::test]
async fn a_grpc_call_that_is_turned_away_goes_out_again_with_its_body() {
    let gateway = start(settings(), &[leaving(1).await]).await;
    let mut client = client(gateway.addr).await;
    let response = send(&mut client, grpc("/a/p.S/X").body(Full::from("12345")).unwrap()).await;
    assert_eq!(
        (&response.headers()["grpc-status"], &response.headers()["seen"]),
        (&HeaderValue::from_static("0"), &HeaderValue::from_static("5"))
    );
}

#[tokio::test]
async fn many_calls_share_one_connection_on_each_side() {
    let service = grpc_service(Duration::from_millis(50)).await;
    let gateway = start(settings(), &[service]).await;
    let client = client(gateway.addr).await;
    let calls = (0..50).map(|_| {
        let mut client = client.clone();
        async move {
            let response = send(&mut client, grpc("/a/p.S/X").body(Full::default()).unwrap()).await;
            response.into_body().collect().await.unwrap().trailers().unwrap()["grpc-status"].clone()
        }
    });
    let statuses = futures::future::join_all(calls).await;
    assert!(statuses.iter().all(|status| status == "0"));
}

#[tokio::test]
async fn a_drain_lets_open_streams_end() {
    let service = grpc_service(Duration::from_millis(300)).await;
    let gateway = start(settings(), &[service]).await;
    let mut client = client(gateway.addr).await;
    let call = send(&mut client, grpc("/a/p.S/X").body(Full::default()).unwrap());
    let drain = gateway.drain.clone();
    let (response, ()) = tokio::join!(call, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drain.cancel();
    });
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up_in_either_direction() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    let service = answering(half).await;
    let mut settings = settings();
    settings.timeouts.body_idle = Duration::from_millis(100);
    let gateway = start(settings.clone(), &[service.addr]).await;
    let mut client = client(gateway.addr).await;
    let request = Request::get("http://shop/a/x").body(Full::default()).unwrap();
    let response = send(&mut client, request).await;
    assert_eq!(response.status(), 200);
    let body = tokio::time::timeout(LIMIT, response.into_body().collect()).await.unwrap();
    assert!(body.is_err(), "the stream is reset");

    let service = echo().await;
    let gateway = start(settings, &[service.addr]).await;
    let stream = TcpStream::connect(gateway.addr).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    TaskTracker::new().spawn(connection);
    let first = futures::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from("half")))]);
    let body = StreamBody::new(futures::StreamExt::chain(first, futures::stream::pending()));
    let request = Request::post("http://shop/a/x").body(body).unwrap();
    let response = tokio::time::timeout(LIMIT, client.send_request(request)).await.unwrap();
    assert_eq!(response.unwrap().status(), 408);
}

#[tokio::test]
async fn cookies_reach_an_http_1_service_in_one_field() {
    let mut service = echo().await;
    let gateway = start(settings(), &[service.addr]).await;
    let mut client = client(gateway.addr).await;
    let request = Request::get("http://shop/a/x").header("cookie", "a=1").header("cookie", "b=2");
    let response = send(&mut client, request.body(Full::default()).unwrap()).await;
    assert_eq!(response.status(), 200);
    let seen = service.request().await;
    let cookies: Vec<_> = seen.fields.iter().filter(|(name, _)| name == "cookie").collect();
    assert_eq!(cookies, [&("cookie".to_owned(), "a=1; b=2".to_owned())]);
}

#[tokio::test]
async fn a_content_type_alone_lifts_no_limit_from_a_body() {
    let service = grpc_service(Duration::ZERO).await;
    let mut settings = settings();
    settings.limits.body_bytes = 10;
    settings.services[0].grpc = vec!["pkg.Greeter".into()];
    let gateway = start(settings, &[service]).await;
    let mut client = client(gateway.addr).await;
    for (path, status) in
        [("/pkg.Greeter/Hi", "0"), ("/a/pkg.Greeter/Hi", "0"), ("/a/up/load", "8")]
    {
        let request = grpc(path).body(Full::from("x".repeat(11))).unwrap();
        let response = send(&mut client, request).await;
        let (head, body) = response.into_parts();
        let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
        let found = head.headers.get("grpc-status").or(trailers.get("grpc-status")).unwrap();
        assert_eq!(found, status, "{path}");
    }
}

#[tokio::test]
async fn a_connection_without_streams_is_closed_though_it_answers_pings() {
    let mut settings = settings();
    settings.timeouts.idle = Duration::from_millis(100);
    let gateway = start(settings, &[]).await;
    let stream = TcpStream::connect(gateway.addr).await.unwrap();
    let io = TokioIo::new(stream);
    let (_sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), io)
            .await
            .unwrap();
    // The connection's task answers pings; it ends when the gateway says good-bye.
    tokio::time::timeout(LIMIT, connection).await.expect("is closed").unwrap();
}

#[tokio::test]
async fn a_client_that_stops_reading_a_stream_loses_it() {
    let long = Box::leak(
        format!("HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n{}", "x".repeat(4_000_000))
            .into_boxed_str(),
    );
    let service = answering(long).await;
    let mut settings = settings();
    settings.timeouts.body_idle = Duration::from_millis(200);
    let gateway = start(settings, &[service.addr]).await;
    let mut client = client(gateway.addr).await;
    let request = Request::get("http://shop/a/x").body(Full::default()).unwrap();
    let response = send(&mut client, request).await;
    // Nothing is read, so the window fills; the metrics tell when the gateway has given up.
    let given_up = async {
        loop {
            let metrics = crate::support::get(gateway.admin, "/metrics").await.text();
            let counted =
                |line: &str| line.contains("_count{service=\"a\"") && line.ends_with(" 1");
            if metrics.lines().any(counted) {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, given_up).await.unwrap();
    assert!(response.into_body().collect().await.is_err(), "the stream was reset");
    let again = Request::get("http://shop/health/live").body(Full::default()).unwrap();
    assert_eq!(send(&mut client, again).await.status(), 200, "the connection goes on");
}

#[tokio::test]
async fn an_upload_that_the_service_does_not_take_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut settings = settings();
    settings.timeouts.body_idle = Duration::from_millis(200);
    settings.timeouts.request = Duration::from_millis(500);
    let gateway = start(settings, &[address]).await;
    let mut client = client(gateway.addr).await;
    // The system accepts the connection and buffers some; nobody reads.
    let request = Request::post("http://shop/a/x").body(Full::from("x".repeat(9 << 20))).unwrap();
    assert_eq!(send(&mut client, request).await.status(), 504);
}
