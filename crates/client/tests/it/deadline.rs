//! Deadlines of calls, alone and over several hops.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::HeaderMap;
use regatta_client::Error;
use regatta_core::{Context, Deadline, ENVOY_TIMEOUT, Origin};

use crate::fleet::{Does, Fleet, MILLISECOND, options};

#[tokio::test]
async fn a_call_ends_at_its_timeout() {
    let fleet = Fleet::new();
    fleet.serve(Does::Hang).await;
    let request = fleet.client(options()).post("/").timeout(MILLISECOND * 50);
    let error = request.send().await.unwrap_err();
    let Error::Timeout { waited, .. } = error else { panic!("{error}") };
    assert!(waited >= MILLISECOND * 50);
    assert_eq!((error.origin(), error.status().as_u16()), (Origin::Upstream, 504));
}

#[tokio::test]
async fn a_callers_earlier_deadline_comes_first() {
    let fleet = Fleet::new();
    fleet.serve(Does::Hang).await;
    let call = fleet.client(options()).get("/").timeout(Duration::from_secs(60)).send();
    let error = within(MILLISECOND * 50, call).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn a_callers_own_short_time_does_not_count_against_an_instance() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Hang).await;
    let mut options = options();
    options.retry.tries = 1;
    let users = fleet.client(options.clone());
    for round in 0..20 {
        let error = match round % 2 {
            0 => users.get("/").timeout(MILLISECOND * 10).send().await.unwrap_err(),
            _ => within(MILLISECOND * 10, users.get("/").send()).await.unwrap_err(),
        };
        assert!(matches!(error, Error::Timeout { .. }), "{round}: {error}");
    }
    // Its breaker opens after five; on a busy machine some calls may end before they are sent.
    assert!(server.hits() > 5, "{}", server.hits());
    // The time that the operator gives it does count.
    options.timeout = MILLISECOND * 10;
    let users = fleet.client(options);
    for _ in 0..50 {
        if let Error::BreakerOpen { .. } = users.get("/").send().await.unwrap_err() {
            return;
        }
    }
    panic!("the breaker did not open");
}

#[tokio::test]
async fn a_call_may_take_all_the_time_there_is() {
    let fleet = Fleet::new();
    fleet.serve(Does::Answer(200)).await;
    let mut options = options();
    options.try_timeout = options.timeout;
    let call = fleet.client(options).get("/").timeout(Duration::MAX);
    assert_eq!(call.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn nothing_is_sent_when_no_time_is_left() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(200)).await;
    let call = fleet.client(options()).get("/").send();
    let error = within(Duration::ZERO, call).await.unwrap_err();
    assert!(matches!(error, Error::DeadlineOver { .. }), "{error}");
    assert_eq!((error.origin(), error.status().as_u16()), (Origin::Caller, 504));
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn the_callee_is_told_what_is_left_of_the_try() {
    let fleet = Fleet::new();
    fleet.serve_router(told()).await;
    let users = fleet.client(options());
    // A GET may be tried again, so it has 5 s; a POST may not, so it has all 15 s.
    let get = users.get("/").send().await.unwrap().text().await.unwrap();
    let post = users.post("/").send().await.unwrap().text().await.unwrap();
    let millis = |text: String| text.parse::<u64>().unwrap();
    assert!((4_000..=5_000).contains(&millis(get)));
    assert!((14_000..=15_000).contains(&millis(post)));
}

#[tokio::test]
async fn the_deadline_shrinks_over_two_hops() {
    let (near, far) = (Fleet::new(), Fleet::new());
    far.serve_router(told()).await;
    let next = far.client(options());
    let relay = Router::new().fallback(move |headers: HeaderMap| {
        let next = next.clone();
        async move {
            let mine = headers[ENVOY_TIMEOUT].to_str().unwrap().to_owned();
            // Some of it is spent here.
            let _spent = tokio::time::timeout(MILLISECOND * 20, std::future::pending::<()>()).await;
            let theirs = next.get("/").send().await.unwrap().text().await.unwrap();
            format!("{mine} {theirs}")
        }
    });
    let layer = regatta_telemetry::Telemetry::global().server_layer();
    near.serve_router(relay.layer(layer)).await;
    let call = near.client(options()).get("/").timeout(Duration::from_secs(2)).send();
    let text = within(Duration::from_secs(1), call).await.unwrap().text().await.unwrap();
    let left: Vec<u64> = text.split(' ').map(|part| part.parse().unwrap()).collect();
    assert!(left[0] <= 1_000, "{text}");
    assert!(left[1] <= left[0] - 20, "{text}");
}

/// Answers with what it was told about the deadline.
fn told() -> Router {
    Router::new().fallback(|headers: HeaderMap| async move {
        headers[ENVOY_TIMEOUT].to_str().unwrap().to_owned()
    })
}

async fn within<F: Future>(timeout: Duration, future: F) -> F::Output {
    let now = tokio::time::Instant::now().into_std();
    let mut context = Context::default();
    context.deadline = Some(Deadline::after(now, timeout));
    Arc::new(context).scope(future).await
}
