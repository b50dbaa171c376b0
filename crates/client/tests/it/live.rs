//! Policies, breakers and what is known, changed and seen while calls are made.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use regatta_client::{Error, Options, OverrideError, Policies};
use regatta_core::InstanceId;
use regatta_traffic::balance::Strategy;
use regatta_traffic::cluster::Override;

use crate::fleet::{name, options};
use crate::memory::{Memory, instance};

#[tokio::test(start_paused = true)]
async fn new_policies_are_in_force_for_the_next_call_and_fail_none() {
    let slow = || async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        "slow"
    };
    let server = Memory::new(Router::new().route("/", get(slow)));
    let (client, _registry) = server.client(2, options()).await;
    let users = client.service("user-service").unwrap();
    let mut in_flight = Box::pin(users.get("/").send());
    assert!(tokio::time::timeout(Duration::from_secs(1), in_flight.as_mut()).await.is_err());

    let mut short = options();
    (short.timeout, short.retry.tries) = (Duration::from_secs(1), 1);
    short.cluster.balance = Strategy::Random;
    client.reconfigure(Policies::default().with_service(name(), short)).unwrap();
    assert!(in_flight.await.unwrap().text().await.is_ok());
    assert!(matches!(users.get("/").send().await, Err(Error::Timeout { .. })));
    assert_eq!(client.clusters()[0].balance, "random");

    client.reconfigure(options()).unwrap();
    assert_eq!(users.get("/").send().await.unwrap().text().await.unwrap(), "slow");
}

#[tokio::test(start_paused = true)]
async fn policies_out_of_range_change_nothing() {
    let server = Memory::new(Router::new().route("/", get(|| async { "hello" })));
    let (client, _registry) = server.client(1, options()).await;
    let users = client.service("user-service").unwrap();
    let mut wrong = options();
    wrong.timeout = Duration::ZERO;
    let error = client.reconfigure(Policies::default().with_service(name(), wrong)).unwrap_err();
    assert_eq!(error.service, Some(name()));
    assert_eq!(users.get("/").send().await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_nothing_holds_from_the_next_call_on() {
    let unavailable = || async { http::StatusCode::SERVICE_UNAVAILABLE };
    let server = Memory::new(Router::new().route("/", get(unavailable)));
    let (client, _registry) = server.client(1, options()).await;
    let users = client.service("user-service").unwrap();
    let mut stingy: Options = options();
    (stingy.retry_percent, stingy.retries_per_second) = (0, 0);
    client.reconfigure(stingy).unwrap();
    let started = tokio::time::Instant::now();
    assert_eq!(users.get("/").send().await.unwrap().status(), 503);
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_operator_opens_a_breaker_and_hands_it_back() {
    let server = Memory::new(Router::new().route("/", get(|| async { "hello" })));
    let (client, _registry) = server.client(2, options()).await;
    let users = client.service("user-service").unwrap();
    users.get("/").send().await.unwrap();
    let id = instance(1).id;
    client.override_breaker(&name(), Some(&id), Override::ForcedOpen).unwrap();
    for _ in 0..10 {
        users.get("/").send().await.unwrap();
    }
    let view = client.clusters().remove(0);
    let breakers: Vec<_> = view.instances.iter().map(|one| (one.breaker, one.control)).collect();
    assert_eq!(breakers, [("open", "forced_open"), ("closed", "automatic")]);

    client.override_breaker(&name(), None, Override::ForcedOpen).unwrap();
    assert!(matches!(users.get("/").send().await, Err(Error::BreakerOpen { .. })));
    client.override_breaker(&name(), None, Override::Automatic).unwrap();
    assert_eq!(users.get("/").send().await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_nobody_knows_cannot_be_opened() {
    let server = Memory::new(Router::new());
    let (client, _registry) = server.client(1, options()).await;
    let other = "other".parse().unwrap();
    let unknown = client.override_breaker(&other, None, Override::ForcedOpen).unwrap_err();
    assert_eq!(unknown, OverrideError::UnknownService { service: other });
    client.service("user-service").unwrap();
    let id = InstanceId::new("nobody");
    let unknown = client.override_breaker(&name(), Some(&id), Override::ForcedOpen).unwrap_err();
    assert!(unknown.to_string().contains("`nobody`"), "{unknown}");
}

#[tokio::test(start_paused = true)]
async fn a_grpc_answer_counts_by_its_trailers_with_a_message_before_them_and_without() {
    for (message, code) in [(None, "14"), (Some("a message"), "14"), (Some("a message"), "0")] {
        let answer = move || async move {
            let message = message.map(|text| Frame::data(Bytes::from(text)));
            let trailers = HeaderMap::from_iter([(
                HeaderName::from_static("grpc-status"),
                HeaderValue::from_static(code),
            )]);
            let frames = message.into_iter().chain([Frame::trailers(trailers)]);
            let frames = tokio_stream::iter(frames.map(Ok::<_, std::convert::Infallible>));
            axum::body::Body::new(StreamBody::new(frames))
        };
        let server = Memory::new(Router::new().fallback(answer));
        let (client, _registry) = server.client(1, options()).await;
        for _ in 0..5 {
            let mut channel = client.channel("user-service").unwrap();
            let request = http::Request::post("/a.B/C").body(tonic::body::Body::empty()).unwrap();
            let answer = tower_service::Service::call(&mut channel, request).await.unwrap();
            answer.into_body().collect().await.unwrap();
        }
        let breaker = if code == "0" { "closed" } else { "open" };
        assert_eq!(client.clusters()[0].instances[0].breaker, breaker, "{message:?} {code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_asked_for_after_a_change_of_policies_gets_the_new_ones() {
    let server = Memory::new(Router::new().route("/", get(|| async { "hello" })));
    let (client, _registry) = server.client(1, options()).await;
    let mut random = options();
    random.cluster.balance = Strategy::Random;
    client.reconfigure(Policies::default().with_service(name(), random)).unwrap();
    client.service("user-service").unwrap();
    assert_eq!(client.clusters()[0].balance, "random");
}
