//! What passes from hop to hop: trace, request id, retry mark.

use std::sync::{Arc, Mutex};

use axum::Router;
use http::{HeaderMap, StatusCode};
use regatta_core::{Context, TraceContext};

use crate::fleet::{Does, Fleet, options};

#[tokio::test]
async fn the_context_is_passed_on_and_each_try_is_a_span_of_its_own() {
    let fleet = Fleet::new();
    let (seen, router) = recorder(StatusCode::SERVICE_UNAVAILABLE);
    fleet.serve_router(router).await;
    let trace = TraceContext::try_new(5, 6, true).unwrap();
    let mut context = Context::default();
    context.trace = Some(trace.clone());
    context.request_id = Some("r-1".into());
    let call = fleet.client(options()).get("/").send();
    Arc::new(context).scope(call).await.unwrap();

    let seen = seen.lock().unwrap();
    let spans: Vec<TraceContext> =
        seen.iter().map(|headers| text(headers, "traceparent").parse().unwrap()).collect();
    assert_eq!(spans.len(), 3);
    assert!(spans.iter().all(|span| span.trace_id() == 5 && span.span_id() != 6));
    assert_ne!(spans[0].span_id(), spans[1].span_id());
    assert!(seen.iter().all(|headers| text(headers, "x-request-id") == "r-1"));
    let attempts: Vec<&str> = seen.iter().map(|h| text(h, "x-envoy-attempt-count")).collect();
    assert_eq!(attempts, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_hop_that_serves_a_retry_does_not_retry_and_says_so() {
    let fleet = Fleet::new();
    let (seen, router) = recorder(StatusCode::SERVICE_UNAVAILABLE);
    fleet.serve_router(router).await;
    let call = fleet.client(options()).get("/").send();
    assert_eq!(serving_a_retry(call).await.unwrap().status(), 503);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(text(&seen[0], "x-envoy-attempt-count"), "2");
    // Its only try has all the time there is.
    let left: u64 = text(&seen[0], regatta_core::ENVOY_TIMEOUT).parse().unwrap();
    assert!(left > 10_000, "{left}");
}

#[tokio::test]
async fn a_hop_that_serves_a_retry_still_goes_where_somebody_is() {
    let fleet = Fleet::new();
    let (seen, router) = recorder(StatusCode::OK);
    fleet.serve_router(router).await;
    let _dead = fleet.dead().await;
    let users = fleet.client(options());
    for _ in 0..2 {
        assert_eq!(serving_a_retry(users.get("/").send()).await.unwrap().status(), 200);
    }
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_call_that_was_redirected_is_no_retry_to_whoever_gets_it() {
    let fleet = Fleet::new();
    let (seen, router) = recorder(StatusCode::OK);
    fleet.serve_router(router).await;
    let _dead = fleet.dead().await;
    let users = fleet.client(options());
    for _ in 0..2 {
        users.get("/").send().await.unwrap();
    }
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|headers| text(headers, "x-envoy-attempt-count") == "1"));
}

#[tokio::test]
async fn attempts_do_not_multiply_over_hops() {
    let (near, far) = (Fleet::new(), Fleet::new());
    let last = far.serve(Does::Answer(503)).await;
    let next = far.client(options());
    let relay = Router::new().fallback(move || {
        let next = next.clone();
        async move { next.get("/").send().await.unwrap().status() }
    });
    let layer = regatta_telemetry::Telemetry::global().server_layer();
    let first = near.serve_router(relay.layer(layer)).await;
    assert_eq!(near.client(options()).get("/").send().await.unwrap().status(), 503);
    // Three tries of the near hop; the far one retries for the first of them only.
    assert_eq!((first.hits(), last.hits()), (3, 5));
}

/// What a server saw.
type Seen = Arc<Mutex<Vec<HeaderMap>>>;

fn recorder(status: StatusCode) -> (Seen, Router) {
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let handler = move |headers: HeaderMap| {
        log.lock().unwrap().push(headers);
        std::future::ready(status)
    };
    (seen, Router::new().fallback(handler))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

async fn serving_a_retry<F: Future>(future: F) -> F::Output {
    let mut context = Context::default();
    context.serves_retry = true;
    Arc::new(context).scope(future).await
}
