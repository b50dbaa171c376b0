//! Too many calls at a time, and reads that are sent twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use futures::future::join_all;
use http::HeaderMap;
use regatta_client::{Error, ServiceClient};
use regatta_core::{Context, Origin};
use regatta_resilience::{concurrency, hedge};

use crate::fleet::options;
use crate::memory::Memory;

#[tokio::test(start_paused = true)]
async fn calls_over_the_bound_wait_and_those_over_the_queue_are_turned_away() {
    let server = Memory::new(Router::new().route("/", get(work)));
    let mut options = options();
    let room = concurrency::Settings::new(4).with_reserved_percent(0);
    options.concurrency = Some(room.with_queue(2, Duration::from_secs(1)));
    let (client, _registry) = server.client(1, options).await;
    let users = client.service("user-service").unwrap();
    let calls = (0..10).map(|_| async { users.get("/").send().await?.text().await });
    let answers = join_all(calls).await;
    let turned_away: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert_eq!(turned_away.len(), 4);
    for error in turned_away {
        assert!(matches!(error, Error::Overloaded { .. }), "{error}");
        assert_eq!(
            (error.origin(), error.was_sent(), error.is_retryable()),
            (Origin::Us, false, true)
        );
        assert_eq!(error.status().as_u16(), 503);
    }
    assert_eq!(server.opened(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_answer_counts_as_in_flight_until_its_body_has_ended() {
    let server = Memory::new(Router::new().route("/", get(work)));
    let mut options = options();
    let room = concurrency::Settings::new(1).with_reserved_percent(0);
    options.concurrency = Some(room.with_queue(0, Duration::ZERO));
    let (client, _registry) = server.client(1, options).await;
    let users = client.service("user-service").unwrap();
    let answer = users.get("/").send().await.unwrap();
    assert!(matches!(users.get("/").send().await, Err(Error::Overloaded { .. })));
    answer.text().await.unwrap();
    drop(users.get("/").send().await.unwrap());
    users.get("/").send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_bound_all_calls_are_made() {
    let server = Memory::new(Router::new().route("/", get(work)));
    let mut options = options();
    options.concurrency = None;
    let (client, _registry) = server.client(1, options).await;
    let users = client.service("user-service").unwrap();
    let answers = join_all((0..1_500).map(|_| users.get("/").send())).await;
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_takes_long_is_sent_elsewhere_too_and_the_first_answer_stands() {
    let (hits, routes) = twentieth_hangs();
    let server = Memory::new(routes);
    let mut options = options();
    options.hedge = Some(after_20_ms());
    let (client, _registry) = server.client(2, options).await;
    let users = client.service("user-service").unwrap();
    warm_up(&users).await;
    let started = tokio::time::Instant::now();
    assert_eq!(users.get("/").send().await.unwrap().text().await.unwrap(), "2");
    assert_eq!(started.elapsed().as_millis(), 20);
    assert_eq!(hits.load(Ordering::SeqCst), 22);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_twice_but_reads_and_those_only_if_told_so() {
    for (method, told) in [(http::Method::GET, false), (http::Method::POST, true)] {
        let (hits, routes) = twentieth_hangs();
        let server = Memory::new(routes);
        let mut options = options();
        options.hedge = told.then(after_20_ms);
        options.retry.tries = 1;
        let (client, _registry) = server.client(2, options).await;
        let users = client.service("user-service").unwrap();
        warm_up(&users).await;
        assert!(users.request(method, "/").send().await.is_err());
        assert_eq!(hits.load(Ordering::SeqCst), 21);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_read_is_taken_out_of_the_budget_and_not_made_by_who_serves_a_retry() {
    for (budget, serves_retry) in [(0, false), (3, true)] {
        let (hits, routes) = twentieth_hangs();
        let server = Memory::new(routes);
        let mut options = options();
        options.hedge = Some(after_20_ms());
        (options.retry_percent, options.retries_per_second) = (0, budget);
        options.retry.tries = 1;
        let (client, _registry) = server.client(2, options).await;
        let users = client.service("user-service").unwrap();
        warm_up(&users).await;
        let mut context = Context::default();
        context.serves_retry = serves_retry;
        assert!(Arc::new(context).scope(users.get("/").send()).await.is_err());
        assert_eq!(hits.load(Ordering::SeqCst), 21, "{budget} {serves_retry}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_at_once_does_not_teach_that_answers_come_at_once() {
    let hits = Arc::<AtomicU32>::default();
    let count = Arc::clone(&hits);
    let handler = move || async move {
        if count.fetch_add(1, Ordering::SeqCst) == 20 {
            std::future::pending::<()>().await;
        }
        http::StatusCode::INTERNAL_SERVER_ERROR
    };
    let server = Memory::new(Router::new().route("/", get(handler)));
    let mut options = options();
    options.hedge = Some(after_20_ms());
    options.retry.tries = 1;
    let cluster = &mut options.cluster;
    (cluster.breaker, cluster.service_breaker, cluster.outlier) = (None, None, None);
    let (client, _registry) = server.client(2, options).await;
    let users = client.service("user-service").unwrap();
    warm_up(&users).await;
    assert!(users.get("/").send().await.is_err());
    assert_eq!(hits.load(Ordering::SeqCst), 21, "nothing is known of answers");
}

async fn work() -> &'static str {
    tokio::time::sleep(Duration::from_millis(50)).await;
    "done"
}

/// Knows what is usual after 20 calls.
fn after_20_ms() -> hedge::Settings {
    let delay = Duration::from_millis(20);
    hedge::Settings::default().with_minimum_calls(20).with_delay(delay, delay)
}

/// Makes the twenty calls.
async fn warm_up(users: &ServiceClient) {
    for _ in 0..20 {
        users.get("/").send().await.unwrap().text().await.unwrap();
    }
}

/// Never answers the request after the first twenty; the others get which attempt they say they are.
fn twentieth_hangs() -> (Arc<AtomicU32>, Router) {
    let hits = Arc::<AtomicU32>::default();
    let count = Arc::clone(&hits);
    let handler = move |headers: HeaderMap| async move {
        if count.fetch_add(1, Ordering::SeqCst) == 20 {
            std::future::pending::<()>().await;
        }
        headers["x-envoy-attempt-count"].to_str().unwrap().to_owned()
    };
    (hits, Router::new().route("/", get(handler.clone())).route("/", post(handler)))
}
