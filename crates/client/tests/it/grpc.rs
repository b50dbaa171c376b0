//! gRPC calls of a generated client through a channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use regatta_client::Error;
use regatta_core::{Context, parse_grpc_timeout};
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::fleet::{Fleet, MILLISECOND, Server, options};

#[tokio::test]
async fn a_generated_client_calls_through_the_channel() {
    let fleet = Fleet::new();
    healthy(&fleet).await;
    let mut health = HealthClient::new(fleet.channel(options()));
    let answer = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(answer.status, 1);
    let status = health.check(HealthCheckRequest { service: "x".into() }).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_channel_may_ask_for_a_version() {
    let fleet = Fleet::new();
    let (old, new) = (healthy(&fleet).await, healthy(&fleet).await);
    fleet.register(&old.instance.clone().with_version("v1")).await;
    fleet.register(&new.instance.clone().with_version("v2")).await;
    let mut health = HealthClient::new(fleet.channel(options()).with_version("v2"));
    for _ in 0..4 {
        health.check(HealthCheckRequest::default()).await.unwrap();
    }
    assert_eq!((old.hits(), new.hits()), (0, 4));
}

#[tokio::test]
async fn an_answer_that_is_cut_off_after_a_message_is_a_failure_of_its_instance() {
    // HEADERS with status 200, then DATA with an empty message, and no end.
    let head = [0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];
    let message = [0, 0, 5, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
    let fleet = Fleet::new();
    let server = fleet.serve_frames([&head[..], &message[..]].concat()).await;
    let channel = fleet.channel(options());
    for _ in 0..5 {
        stream(channel.clone()).await.unwrap_err();
    }
    stream(channel).await.unwrap_err();
    assert_eq!(server.hits(), 5, "its breaker is open");
}

#[tokio::test]
async fn one_of_three_instances_dead_costs_no_call() {
    let fleet = Fleet::new();
    let (one, two, _dead) = (healthy(&fleet).await, healthy(&fleet).await, fleet.dead().await);
    let mut health = HealthClient::new(fleet.channel(options()));
    for _ in 0..30 {
        health.check(HealthCheckRequest::default()).await.unwrap();
    }
    assert_eq!(one.hits() + two.hits(), 30);
}

#[tokio::test]
async fn what_is_sent_once_goes_elsewhere_as_long_as_nothing_of_it_was_sent() {
    let fleet = Fleet::new();
    let (one, _dead, _other) = (healthy(&fleet).await, fleet.dead().await, fleet.dead().await);
    let mut options = options();
    options.replay_bytes = 100;
    let channel = fleet.channel(options);
    for round in 0..9 {
        let mut health = HealthClient::new(channel.clone());
        let large = HealthCheckRequest { service: "x".repeat(1_000) };
        let status = health.check(large).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{round}: {status}");
        assert_eq!(one.hits(), 2 * round + 1);
        stream(channel.clone()).await.unwrap_err();
        assert_eq!(one.hits(), 2 * round + 2, "a stream that does not end by itself");
    }
}

#[tokio::test]
async fn any_other_code_stands() {
    let fleet = Fleet::new();
    for code in [Code::InvalidArgument, Code::NotFound, Code::ResourceExhausted, Code::Internal] {
        let server = failing(&fleet, code).await;
        let mut health = HealthClient::new(fleet.channel(options()).idempotent());
        let status = health.check(HealthCheckRequest::default()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, "expected by this test"));
        assert_eq!(server.hits(), 1);
        fleet.remove(&server).await;
    }
}

#[tokio::test]
async fn a_call_ends_at_its_own_timeout_and_the_callee_is_told() {
    let fleet = Fleet::new();
    let told = Arc::<std::sync::Mutex<Vec<Duration>>>::default();
    let log = Arc::clone(&told);
    let hang = move |headers: http::HeaderMap| {
        let timeout = headers["grpc-timeout"].to_str().unwrap().to_owned();
        log.lock().unwrap().push(parse_grpc_timeout(&timeout).unwrap());
        std::future::pending::<()>()
    };
    fleet.serve_router(Router::new().fallback(hang)).await;
    let mut health = HealthClient::new(fleet.channel(options()));
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    request.set_timeout(MILLISECOND * 100);
    let status = health.check(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(matches!(source(&status), Error::Timeout { .. }));
    let told = told.lock().unwrap();
    assert!(told.len() == 1 && told[0] <= MILLISECOND * 100, "{told:?}");
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_the_source_says_why() {
    let fleet = Fleet::new();
    let mut health = HealthClient::new(fleet.channel(options()));
    let status = health.check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(matches!(source(&status), Error::NoInstance { .. }));
}

#[tokio::test]
async fn a_body_over_the_replay_limit_is_sent_once() {
    let fleet = Fleet::new();
    let server = failing(&fleet, Code::Unavailable).await;
    let mut options = options();
    options.replay_bytes = 100;
    let mut health = HealthClient::new(fleet.channel(options.clone()).idempotent());
    let large = HealthCheckRequest { service: "x".repeat(101) };
    let status = health.check(large).await.unwrap_err();
    assert_eq!((status.code(), server.hits()), (Code::Unavailable, 1));
    let small = HealthCheckRequest { service: "x".repeat(90) };
    health.check(small).await.unwrap_err();
    assert_eq!(server.hits(), 1 + 3);
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let fleet = Fleet::new();
    healthy(&fleet).await;
    let mut health = HealthClient::new(fleet.channel(options()));
    let large = HealthCheckRequest { service: "x".repeat(1 << 20) };
    assert_eq!(health.check(large).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_stream_without_timeout_stays_open() {
    let fleet = Fleet::new();
    let (reporter, service) = tonic_health::server::health_reporter();
    serve(&fleet, service).await;
    let mut options = options();
    options.timeout = MILLISECOND * 100;
    let channel = fleet.channel(options);
    let mut short = watch(channel.clone()).await;
    short.message().await.unwrap();
    assert_eq!(short.message().await.unwrap_err().code(), Code::DeadlineExceeded);
    let mut long = watch(channel.without_timeout()).await;
    long.message().await.unwrap();
    reporter.set_service_status("", ServingStatus::NotServing).await;
    assert_eq!(long.message().await.unwrap().unwrap().status, 2);
}

#[tokio::test]
async fn a_hop_that_serves_a_retry_does_not_retry_and_says_so() {
    let fleet = Fleet::new();
    let hits = Arc::<AtomicU32>::default();
    let count = Arc::clone(&hits);
    let handler = move |headers: http::HeaderMap| {
        assert_eq!(headers["x-envoy-attempt-count"], "2");
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(
            Status::unavailable("expected by this test").into_http::<axum::body::Body>(),
        )
    };
    fleet.serve_router(Router::new().fallback(handler)).await;
    let mut context = Context::default();
    context.serves_retry = true;
    let mut health = HealthClient::new(fleet.channel(options()).idempotent());
    let call = health.check(HealthCheckRequest::default());
    assert_eq!(Arc::new(context).scope(call).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(hits.load(Ordering::SeqCst), 1);
}

/// An instance whose health service says that it serves.
pub(crate) async fn healthy(fleet: &Fleet) -> Server {
    let (_reporter, service) = tonic_health::server::health_reporter();
    serve(fleet, service).await
}

/// An instance that answers every call with this code.
pub(crate) async fn failing(fleet: &Fleet, code: Code) -> Server {
    let handler = move || async move {
        Status::new(code, "expected by this test").into_http::<axum::body::Body>()
    };
    fleet.serve_router(Router::new().fallback(handler)).await
}

async fn serve<S>(fleet: &Fleet, service: S) -> Server
where
    S: tower_service::Service<
            axum::extract::Request,
            Response: axum::response::IntoResponse,
            Error = std::convert::Infallible,
            Future: Send,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    fleet.serve_router(Router::new().fallback_service(service)).await
}

/// A call whose requests keep coming; the health service has no such method.
async fn stream(channel: regatta_client::Channel) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    let requests = tokio_stream::StreamExt::chain(
        tokio_stream::once(HealthCheckRequest::default()),
        tokio_stream::pending(),
    );
    let codec = tonic_prost::ProstCodec::<_, tonic_health::pb::HealthCheckResponse>::default();
    let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Stream");
    let answer = grpc.streaming(tonic::Request::new(requests), path, codec).await?;
    let mut messages = answer.into_inner();
    while messages.message().await?.is_some() {}
    Ok(())
}

async fn watch(
    channel: regatta_client::Channel,
) -> tonic::Streaming<tonic_health::pb::HealthCheckResponse> {
    HealthClient::new(channel).watch(HealthCheckRequest::default()).await.unwrap().into_inner()
}

/// The client's own error behind a status.
fn source(status: &Status) -> &Error {
    std::error::Error::source(status).unwrap().downcast_ref().unwrap()
}
