//! Requests that come in: over axum, over gRPC, cancelled, panicking, streaming.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use regatta_core::Context;
use regatta_telemetry::{Identity, Options, Route, ServerLayer, Telemetry};
use tower::{Layer, Service, ServiceExt, service_fn};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_handler_sees_what_its_caller_sent() {
    let request = Request::get("/")
        .header("traceparent", TRACEPARENT)
        .header("tracestate", "a=1")
        .header("tracestate", "b=2")
        .header("baggage", "tenant=a")
        .header("priority", "u=5, i")
        .header("x-request-id", "r-1")
        .header("x-envoy-expected-rq-timeout-ms", "5000")
        .header("x-envoy-attempt-count", "2");
    let (context, response) = seen(&telemetry(), request).await;
    let trace = context.trace.as_ref().unwrap();
    assert_eq!(trace.trace_id_hex(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_ne!(trace.span_id(), 0x00f0_67aa_0ba9_02b7);
    assert_eq!(trace.state.as_deref(), Some("a=1,b=2"));
    assert_eq!(context.baggage.as_deref(), Some("tenant=a"));
    assert_eq!(context.request_id.as_deref(), Some("r-1"));
    assert!(context.serves_retry && context.deadline.is_some());
    assert_eq!(context.urgency, Some(5));
    assert_eq!(response.headers()["x-request-id"], "r-1");
}

#[tokio::test]
async fn a_request_without_anything_gets_ids_and_malformed_ones_are_replaced() {
    let bad_id = "x".repeat(129);
    let requests = [
        Request::get("/"),
        Request::get("/")
            .header("traceparent", "00-xyz")
            .header("x-request-id", &bad_id)
            .header("x-envoy-attempt-count", "1")
            .header("priority", "soon")
            .header("grpc-timeout", "soon"),
        Request::get("/").header("x-request-id", "a b").header("x-envoy-attempt-count", "many"),
        Request::get("/").header("traceparent", TRACEPARENT).header("traceparent", TRACEPARENT),
    ];
    for request in requests {
        let (context, response) = seen(&telemetry(), request).await;
        let trace = context.trace.as_ref().unwrap();
        assert_ne!(trace.trace_id_hex(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let request_id = context.request_id.as_deref().unwrap();
        assert_eq!(request_id.len(), 32);
        assert_eq!(response.headers()["x-request-id"], request_id);
        assert!(!context.serves_retry && context.deadline.is_none());
        assert_eq!(context.urgency, None);
    }
}

#[tokio::test]
async fn a_timeout_of_the_layer_shortens_a_callers_deadline_and_never_extends_it() {
    let now = tokio::time::Instant::now().into_std();
    for (sent, most) in [(None, 3), (Some("1000"), 1), (Some("60000"), 3)] {
        let mut request = Request::get("/");
        if let Some(sent) = sent {
            request = request.header("x-envoy-expected-rq-timeout-ms", sent);
        }
        let layer = telemetry().server_layer().with_timeout(Some(Duration::from_secs(3)));
        let (context, _) = seen_by(layer, request).await;
        let left = context.deadline.unwrap().remaining(now).unwrap().as_secs_f64();
        assert!((f64::from(most) - 0.5..f64::from(most) + 0.9).contains(&left), "{left}");
    }
}

#[tokio::test]
async fn an_answer_is_measured_by_its_route_and_not_its_path() {
    let telemetry = telemetry();
    let router = Router::new()
        .route("/users/{id}", get(|| async { "x" }))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(telemetry.server_layer());
    for path in ["/users/1", "/users/2", "/nope", "/nada"] {
        drain(router.clone().oneshot(request(path)).await.unwrap()).await;
    }
    let text = telemetry.metrics_text();
    assert_has(
        &text,
        r#"http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/users/{id}",url_scheme="http"} 2"#,
    );
    assert_has(
        &text,
        r#"http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="404",url_scheme="http"} 2"#,
    );
    assert_has(
        &text,
        r#"http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="/users/{id}",url_scheme="http",le="0.005"}"#,
    );
    assert_has(
        &text,
        r#"http_server_active_requests{http_request_method="GET",url_scheme="http"} 0"#,
    );
}

#[tokio::test]
async fn another_router_names_its_route_in_the_response() {
    let telemetry = telemetry();
    let service = telemetry.server_layer().layer(service_fn(|_: Request<Body>| async {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(Route("orders".into()));
        Ok::<_, Infallible>(response)
    }));
    drain(service.oneshot(request("/orders/1")).await.unwrap()).await;
    assert_has(&telemetry.metrics_text(), r#"http_route="orders""#);
}

#[tokio::test]
async fn routes_without_bound_share_one_name() {
    let telemetry = telemetry();
    let service = telemetry.server_layer().layer(service_fn(|request: Request<Body>| async move {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(Route(request.uri().path().into()));
        Ok::<_, Infallible>(response)
    }));
    for number in 0..1_100 {
        drain(service.clone().oneshot(request(&format!("/{number}"))).await.unwrap()).await;
    }
    let text = telemetry.metrics_text();
    let counts = "http_server_request_duration_seconds_count";
    assert_eq!(text.lines().filter(|line| line.starts_with(counts)).count(), 1_001);
    assert_has(&text, r#"http_route="_OTHER",url_scheme="http"} 100"#);
}

#[tokio::test]
async fn a_grpc_status_is_read_from_trailers_and_from_headers() {
    let telemetry = telemetry();
    let layer = telemetry.server_layer();
    let in_trailers = layer.layer(service_fn(|_: Request<Body>| async {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let frames = [Frame::data(Bytes::from_static(b"x")), Frame::trailers(trailers)];
        let frames = tokio_stream::iter(frames.map(Ok::<_, Infallible>));
        Ok::<_, Infallible>(Response::new(StreamBody::new(frames)))
    }));
    let in_headers = |status: &'static str| {
        layer.layer(service_fn(move |_: Request<Body>| async move {
            let response = Response::builder().header("grpc-status", status);
            Ok::<_, Infallible>(response.body(Body::empty()).unwrap())
        }))
    };
    drain(in_trailers.oneshot(grpc("/a.B/Get")).await.unwrap()).await;
    drain(in_headers("5").oneshot(grpc("/a.B/Get")).await.unwrap()).await;
    drain(in_headers("13").oneshot(grpc("/a.B/Get")).await.unwrap()).await;
    drain(in_headers("12").oneshot(grpc("/made.Up/ByTheCaller")).await.unwrap()).await;
    let text = telemetry.metrics_text();
    for expected in [
        r#"{rpc_method="a.B/Get",rpc_response_status_code="OK",rpc_system_name="grpc"} 1"#,
        r#"{rpc_method="a.B/Get",rpc_response_status_code="NOT_FOUND",rpc_system_name="grpc"} 1"#,
        r#"{error_type="INTERNAL",rpc_method="a.B/Get",rpc_response_status_code="INTERNAL",rpc_system_name="grpc"} 1"#,
        r#"{error_type="UNIMPLEMENTED",rpc_method="_OTHER",rpc_response_status_code="UNIMPLEMENTED",rpc_system_name="grpc"} 1"#,
    ] {
        assert_has(&text, &format!("rpc_server_call_duration_seconds_count{expected}"));
    }
    assert!(!text.contains("made.Up"), "a caller's text became a series");
}

#[tokio::test]
async fn a_request_that_is_dropped_is_counted_and_no_longer_active() {
    let telemetry = telemetry();
    let mut service = telemetry.server_layer().layer(service_fn(|_: Request<Body>| async {
        std::future::pending::<Result<Response<Body>, Infallible>>().await
    }));
    let mut future = Box::pin(service.call(request("/")));
    assert!(poll(future.as_mut()).is_pending());
    let active = r#"http_server_active_requests{http_request_method="GET",url_scheme="http"}"#;
    assert_has(&telemetry.metrics_text(), &format!("{active} 1"));
    drop(future);
    let text = telemetry.metrics_text();
    assert_has(
        &text,
        r#"count{error_type="cancelled",http_request_method="GET",url_scheme="http"} 1"#,
    );
    assert_has(&text, &format!("{active} 0"));
}

#[tokio::test]
async fn a_panic_is_counted_and_goes_on() {
    let telemetry = telemetry();
    let mut service = telemetry.server_layer().layer(service_fn(|_: Request<Body>| async {
        if true {
            panic!("expected by this test");
        }
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    let mut future = Box::pin(service.call(request("/")));
    let caught = std::panic::catch_unwind(AssertUnwindSafe(move || {
        let _ = poll(future.as_mut());
    }));
    assert!(caught.is_err());
    assert!(Context::current().is_none());
    assert_has(&telemetry.metrics_text(), r#"error_type="panic""#);
}

#[tokio::test(start_paused = true)]
async fn a_stream_counts_until_its_last_byte() {
    let telemetry = telemetry();
    let service = telemetry.server_layer().layer(service_fn(|_: Request<Body>| async {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio_util::task::TaskTracker::new().spawn(async move {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let frame = Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x")));
                sender.send(frame).await.unwrap();
            }
        });
        let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
        Ok::<_, Infallible>(Response::new(body))
    }));
    let response = service.oneshot(request("/")).await.unwrap();
    let count = "http_server_request_duration_seconds_count";
    assert!(!telemetry.metrics_text().contains(count), "it is not over");
    drain(response).await;
    assert_has(&telemetry.metrics_text(), r#"url_scheme="http",le="2.5"} 0"#);
    assert_has(&telemetry.metrics_text(), r#"url_scheme="http",le="5"} 1"#);
}

#[tokio::test]
async fn a_body_that_is_dropped_half_way_is_cancelled_and_one_for_head_is_not() {
    let telemetry = telemetry();
    let service = telemetry.server_layer().layer(service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::from("x")))
    }));
    drop(service.clone().oneshot(request("/")).await.unwrap());
    let head = Request::head("/").body(Body::empty()).unwrap();
    drop(service.oneshot(head).await.unwrap());
    let text = telemetry.metrics_text();
    assert_has(
        &text,
        r#"count{error_type="cancelled",http_request_method="GET",http_response_status_code="200",url_scheme="http"} 1"#,
    );
    assert_has(
        &text,
        r#"count{http_request_method="HEAD",http_response_status_code="200",url_scheme="http"} 1"#,
    );
}

fn telemetry() -> Telemetry {
    Telemetry::init(Identity::new("x"), Options::quiet()).unwrap()
}

fn request(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn grpc(path: &str) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/grpc");
    request.body(Body::empty()).unwrap()
}

async fn drain<B: http_body::Body<Error: std::fmt::Debug>>(response: Response<B>) {
    response.into_body().collect().await.unwrap();
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(Waker::noop()))
}

#[track_caller]
fn assert_has(text: &str, expected: &str) {
    assert!(text.contains(expected), "{expected}\n\nis not in\n\n{text}");
}

async fn seen(
    telemetry: &Telemetry,
    request: http::request::Builder,
) -> (Arc<Context>, Response<Body>) {
    seen_by(telemetry.server_layer(), request).await
}

/// The context that a handler saw, both when called and when polled.
async fn seen_by(
    layer: ServerLayer,
    request: http::request::Builder,
) -> (Arc<Context>, Response<Body>) {
    let slot = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&slot);
    let service = layer.layer(service_fn(move |_: Request<Body>| {
        let (at_call, kept) = (Context::current().unwrap(), Arc::clone(&kept));
        async move {
            let at_poll = Context::current().unwrap();
            assert!(Arc::ptr_eq(&at_call, &at_poll));
            *kept.lock().unwrap() = Some(at_poll);
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }
    }));
    let response = service.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let seen = slot.lock().unwrap().take().unwrap();
    (seen, response.map(Body::new))
}
