//! Calls that are dropped at every point where they wait: nothing that they held stays held.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use regatta_client::{Client, Options};
use regatta_resilience::breaker::Settings;
use regatta_resilience::{concurrency, hedge};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::fleet::options;
use crate::memory::Memory;

/// More polls than any of these calls needs.
const MOST_POLLS: usize = 60;

#[tokio::test(start_paused = true)]
async fn an_http_call_dropped_at_any_await_frees_all_it_held() {
    let server = Memory::new(routes());
    let (client, _registry) = server.client(2, one_at_a_time()).await;
    let call = || async {
        let users = client.service("user-service").unwrap();
        let answer = users.get("/refuses-then-answers").send().await.map_err(|e| e.to_string())?;
        answer.text().await.map_err(|error| error.to_string())
    };
    let completed = drop_everywhere(&client, call).await;
    assert!(completed > 5, "{completed} polls are too few to be a test");
    server.until_open_at_most(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_grpc_call_dropped_at_any_await_frees_all_it_held() {
    let (_reporter, service) = tonic_health::server::health_reporter();
    let routes = tonic::service::Routes::new(service).into_axum_router().reset_fallback();
    let slow = |request: axum::extract::Request| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        request
    };
    let routes = routes.layer(axum::middleware::map_request(slow));
    let server = Memory::new(routes).with_streams(2);
    let (client, _registry) = server.client(2, one_at_a_time()).await;
    let call = || async {
        let mut health = HealthClient::new(client.channel("user-service").unwrap());
        let answer = health.check(HealthCheckRequest::default()).await;
        answer.map(drop).map_err(|status| status.to_string())
    };
    drop_everywhere(&client, call).await;
    server.until_open_at_most(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_hedged_call_dropped_at_any_await_frees_all_it_held() {
    let server = Memory::new(routes());
    let mut options = one_at_a_time();
    let millisecond = Duration::from_millis(1);
    options.hedge = Some(
        hedge::Settings::default().with_minimum_calls(20).with_delay(millisecond, millisecond),
    );
    let (client, _registry) = server.client(2, options).await;
    let users = client.service("user-service").unwrap();
    for _ in 0..20 {
        users.get("/slow").send().await.unwrap();
    }
    let call = || async {
        let users = client.service("user-service").unwrap();
        let answer = users.get("/slow").send().await.map_err(|error| error.to_string())?;
        answer.text().await.map_err(|error| error.to_string())
    };
    drop_everywhere(&client, call).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_while_it_waits_for_room_leaves_the_queue() {
    let server = Memory::new(routes());
    let (client, _registry) = server.client(1, one_at_a_time()).await;
    let users = client.service("user-service").unwrap();
    let mut first = Box::pin(users.get("/slow").send());
    assert!(poll_once(first.as_mut()).await.is_pending());
    for _ in 0..10 {
        // The queue has room for one.
        let mut waits = Box::pin(users.get("/slow").send());
        assert!(poll_once(waits.as_mut()).await.is_pending());
    }
    first.await.unwrap().text().await.unwrap();
    assert_eq!(users.get("/slow").send().await.unwrap().status(), 200);
}

/// Makes the call again and again, drops it after one poll more each time, and looks at what is
/// held. Returns how many polls the call took when it was let through.
async fn drop_everywhere<F, T>(client: &Client, call: impl Fn() -> F) -> usize
where
    F: Future<Output = Result<T, String>>,
{
    for polls in 1..=MOST_POLLS {
        let mut future = Box::pin(call());
        let mut done = None;
        for _ in 0..polls {
            if let Poll::Ready(result) = poll_once(future.as_mut()).await {
                done = Some(result);
                break;
            }
            // Lets the rest of the world go on, and time pass.
            tokio::time::sleep(Duration::from_micros(1_500)).await;
        }
        drop(future);
        // The connection's end is noticed by its task.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let view = client.clusters().remove(0);
        assert!(view.instances.iter().all(|one| one.in_flight == 0), "{polls} polls: {view:?}");
        // There is one place, and the half-open breaker of an instance has one probe: a call that
        // kept either would let no other through.
        let next = call().await.map(drop);
        assert_eq!(next, Ok(()), "after a call dropped at poll {polls}");
        if done.is_some() {
            return polls;
        }
    }
    panic!("the call needs more than {MOST_POLLS} polls");
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx: &mut Context<'_>| Poll::Ready(future.as_mut().poll(cx))).await
}

/// One call in flight, one that may wait; retries beyond number; breakers that open at once and
/// probe at once, so that each call is a probe after a failure.
fn one_at_a_time() -> Options {
    let mut options = options();
    let room = concurrency::Settings::new(1).with_reserved_percent(0);
    options.concurrency = Some(room.with_queue(1, Duration::from_secs(1)));
    options.retries_per_second = 1_000;
    let breaker = Settings::default().with_failure_threshold(1);
    options.cluster.breaker = Some(breaker.with_open_for(Duration::from_nanos(1)));
    options
}

fn routes() -> Router {
    static CALLS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let refuses_then_answers = || async {
        tokio::time::sleep(Duration::from_millis(3)).await;
        // Every other one, so that a call that is let through has its retry answered.
        match CALLS.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 2 {
            0 => (StatusCode::SERVICE_UNAVAILABLE, "not now"),
            _ => (StatusCode::OK, "hello"),
        }
    };
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        "slow"
    };
    Router::new()
        .route("/refuses-then-answers", get(refuses_then_answers))
        .route("/slow", get(slow))
}
