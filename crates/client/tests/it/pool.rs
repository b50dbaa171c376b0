//! Connections: kept, shared, bounded, and closed when their instance leaves.

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use futures::future::{join, join_all};
use http::StatusCode;
use regatta_client::{Client, Error, Options};
use regatta_discovery::Register;
use tokio::sync::Semaphore;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::fleet::options;
use crate::memory::{Memory, instance};

#[tokio::test(start_paused = true)]
async fn one_call_after_the_other_shares_a_connection() {
    let server = Memory::new(routes());
    let (client, _registry) = server.client(1, options()).await;
    let users = client.service("user-service").unwrap();
    for _ in 0..5 {
        assert_eq!(users.get("/text").send().await.unwrap().text().await.unwrap(), "hello");
        assert_eq!(users.post("/empty").send().await.unwrap().status(), 204);
    }
    assert_eq!((server.opened(), server.open()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn calls_at_the_same_time_have_connections_of_their_own_and_at_most_so_many_are_kept() {
    let server = Memory::new(routes());
    let mut options = options();
    options.max_idle = 2;
    let (client, _registry) = server.client(1, options).await;
    let users = client.service("user-service").unwrap();
    let calls = (0..6).map(|_| async { users.get("/slow").send().await.unwrap().text().await });
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(server.opened(), 6);
    server.until_open(2).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_costs_no_later_call() {
    let server = Memory::new(routes());
    let (client, _registry) = server.client(1, options()).await;
    let users = client.service("user-service").unwrap();
    for _ in 0..5 {
        drop(users.get("/large").send().await.unwrap());
        assert_eq!(users.post("/empty").send().await.unwrap().status(), 204);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_closes_just_before_a_post_hands_it_back_and_another_takes_it() {
    let server = Memory::new(routes());
    let mut options = options();
    options.retry.tries = 1;
    let (client, _registry) = server.client(1, options).await;
    let users = client.service("user-service").unwrap();
    for connections in 1..5 {
        assert_eq!(users.post("/empty").send().await.unwrap().status(), 204);
        assert_eq!(server.opened(), connections);
        // The client's end does not know of it before it has taken the next request.
        server.cut();
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_call_that_meets_a_closing_connection_goes_over_another() {
    let server = Memory::new(health(&OPEN));
    let mut options = options();
    options.retry.tries = 1;
    let (client, _registry) = server.client(1, options).await;
    for connections in 1..5 {
        check(&client).await.unwrap();
        assert_eq!(server.opened(), connections);
        server.cut();
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_closes_in_time_though_nobody_calls() {
    let server = Memory::new(routes());
    let (client, _registry) = server.client(1, options()).await;
    let users = client.service("user-service").unwrap();
    users.get("/text").send().await.unwrap().text().await.unwrap();
    let limit = Options::default().idle_timeout;
    tokio::time::sleep(limit - SOON).await;
    assert_eq!(server.open(), 1);
    tokio::time::sleep(limit + SOON * 2).await;
    assert_eq!(server.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_leaves_finishes_what_is_in_flight_and_keeps_nothing() {
    let server = Memory::new(routes());
    let (client, registry) = server.client(1, options()).await;
    let users = &client.service("user-service").unwrap();
    let call = |path| async move { users.get(path).send().await?.text().await };
    let (mut slow, mut slower) = (Box::pin(call("/slow")), Box::pin(call("/slower")));
    assert!(tokio::time::timeout(SOON, join(slow.as_mut(), slower.as_mut())).await.is_err());
    call("/text").await.unwrap();
    assert_eq!(server.open(), 3);

    registry.deregister(&instance(1).id).await.unwrap();
    server.until_open(2).await;
    assert_eq!(slow.await.unwrap(), "slow");
    server.until_open(1).await;
    assert_eq!(slower.await.unwrap(), "slower");
    server.until_open(0).await;
    assert!(matches!(users.get("/text").send().await, Err(Error::NoInstance { .. })));
}

#[tokio::test(start_paused = true)]
async fn grpc_calls_share_a_connection_that_is_opened_once() {
    let (server, gate) = Memory::new(health(&OPEN)).gated();
    let (client, _registry) = server.client(1, options()).await;
    let calls = join_all((0..20).map(|_| check(&client)));
    let opening = async {
        tokio::time::sleep(SOON).await;
        gate.cancel();
    };
    let (answers, ()) = tokio::join!(calls, opening);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(server.opened(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_connection_that_nobody_uses_closes_in_time_and_one_in_use_does_not() {
    let held = leak(Semaphore::new(1));
    let server = Memory::new(health(held));
    let mut options = options();
    options.timeout = Duration::from_secs(3600);
    let (client, _registry) = server.client(1, options).await;
    check(&client).await.unwrap();
    let mut waits = Box::pin(check(&client));
    let long = Options::default().idle_timeout * 4;
    assert!(tokio::time::timeout(long, waits.as_mut()).await.is_err());
    assert_eq!((server.opened(), server.open()), (1, 1));
    held.add_permits(2);
    waits.await.unwrap();
    // It was the call that was old, not the connection.
    check(&client).await.unwrap();
    assert_eq!(server.opened(), 1);
    tokio::time::sleep(long).await;
    assert_eq!(server.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_leaves_keeps_no_grpc_connection() {
    let server = Memory::new(health(&OPEN));
    let (client, registry) = server.client(1, options()).await;
    check(&client).await.unwrap();
    assert_eq!(server.open(), 1);
    registry.deregister(&instance(1).id).await.unwrap();
    server.until_open(0).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_leaves_closes_an_idle_grpc_connection_beside_one_in_use() {
    let held = leak(Semaphore::new(1));
    let server = Memory::new(health(held)).with_streams(1);
    let (client, registry) = server.client(1, options()).await;
    // The first call learns what the server allows.
    check(&client).await.unwrap();
    let (mut one, mut two) = (Box::pin(check(&client)), Box::pin(check(&client)));
    assert!(tokio::time::timeout(SOON, join(one.as_mut(), two.as_mut())).await.is_err());
    held.add_permits(1);
    one.await.unwrap();
    assert_eq!(server.open(), 2);
    registry.deregister(&instance(1).id).await.unwrap();
    server.until_open(1).await;
    held.add_permits(1);
    two.await.unwrap();
    server.until_open(0).await;
}

#[tokio::test(start_paused = true)]
async fn more_connections_are_opened_when_the_streams_of_one_are_used_up_and_never_too_many() {
    for (calls, connections) in [(2, 1), (3, 2), (6, 3), (20, 3)] {
        let held = leak(Semaphore::new(0));
        let server = Memory::new(health(held)).with_streams(2);
        let mut options = options();
        options.max_http2 = 3;
        let (client, _registry) = server.client(1, options).await;
        // The first call learns what the server allows.
        held.add_permits(1);
        check(&client).await.unwrap();
        held.forget_permits(1);
        let release = async {
            tokio::time::sleep(SOON).await;
            held.add_permits(calls);
        };
        let (answers, ()) = tokio::join!(join_all((0..calls).map(|_| check(&client))), release);
        assert!(answers.iter().all(Result::is_ok), "{calls}: {answers:?}");
        assert_eq!(server.opened(), connections, "{calls}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_open_ends_the_try_in_time() {
    let (server, _gate) = Memory::new(routes()).gated();
    let mut options = options();
    options.retry.tries = 1;
    let (client, _registry) = server.client(1, options).await;
    for _ in 0..2 {
        let started = tokio::time::Instant::now();
        let error = client.service("user-service").unwrap().post("/empty").send().await;
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Connect { .. }) && !error.was_sent(), "{error}");
        assert_eq!(started.elapsed().as_secs(), 1);
        assert!(check(&client).await.is_err());
    }
}

const SOON: Duration = Duration::from_millis(10);

static OPEN: Semaphore = Semaphore::const_new(Semaphore::MAX_PERMITS);

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn routes() -> Router {
    let slow = |millis, text| async move {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        text
    };
    Router::new()
        .route("/text", get(|| async { "hello" }))
        .route("/slow", get(move || slow(100, "slow")))
        .route("/slower", get(move || slow(200, "slower")))
        .route("/large", get(|| async { vec![0_u8; 1 << 20] }))
        .route("/empty", post(|| async { StatusCode::NO_CONTENT }))
}

/// A health service each of whose calls uses up a permit.
fn health(permits: &'static Semaphore) -> Router {
    let (_reporter, service) = tonic_health::server::health_reporter();
    let hold = move |request: axum::extract::Request| async move {
        permits.acquire().await.unwrap().forget();
        request
    };
    tonic::service::Routes::new(service)
        .into_axum_router()
        .reset_fallback()
        .layer(axum::middleware::map_request(hold))
}

async fn check(client: &Client) -> Result<(), tonic::Status> {
    let mut health = HealthClient::new(client.channel("user-service").unwrap());
    health.check(HealthCheckRequest::default()).await.map(drop)
}
