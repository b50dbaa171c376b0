//! The timeout, seen from its caller.

use std::time::Duration;

use regatta_resilience::timeout::{TimedOut, TimeoutLayer};
use tower::{Layer, Service, service_fn};

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_is_handed_on() {
    let answer = service().call(Duration::from_millis(999)).await;
    assert!(answer.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_an_error_that_says_how_long_was_waited() {
    let error = service().call(Duration::from_millis(1_001)).await.unwrap_err();
    assert_eq!(error.downcast_ref::<TimedOut>().unwrap().after, Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_at_the_last_instant_is_not_thrown_away() {
    assert!(service().call(Duration::from_secs(1)).await.is_ok());
}

/// Answers after the time it is asked for, and has one second.
fn service() -> impl Service<Duration, Error = regatta_resilience::BoxError, Response = ()> {
    let wait = service_fn(|time: Duration| async move {
        tokio::time::sleep(time).await;
        Ok::<(), std::io::Error>(())
    });
    TimeoutLayer::new(Duration::from_secs(1)).layer(wait)
}
