//! The breakers of instances, seen from their caller.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use regatta_client::Error;
use regatta_resilience::breaker::Settings;

use crate::fleet::{Does, Fleet, MILLISECOND, options};

#[tokio::test]
async fn an_instance_that_keeps_failing_is_left_alone_and_the_error_says_for_how_long() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(500)).await;
    let users = fleet.client(options());
    for _ in 0..5 {
        assert_eq!(users.get("/").send().await.unwrap().status(), 500);
    }
    let error = users.get("/").send().await.unwrap_err();
    let Error::BreakerOpen { retry_after, .. } = error else { panic!("{error}") };
    assert!(retry_after > Duration::from_secs(50) && retry_after <= Duration::from_secs(60));
    assert!(error.is_retryable() && !error.was_sent());
    assert_eq!(server.hits(), 5);
}

#[tokio::test]
async fn the_log_says_from_which_state_a_breaker_went_and_why() {
    let lines = Lines::default();
    let copy = lines.clone();
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || copy.clone());
    let guard = tracing::subscriber::set_default(log.finish());
    let fleet = Fleet::new();
    fleet.serve(Does::Answer(500)).await;
    let users = fleet.client(options());
    for _ in 0..5 {
        users.get("/").send().await.unwrap();
    }
    drop(guard);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let line = text.lines().find(|line| line.contains("breaker opened")).unwrap();
    for part in ["WARN", "from=\"closed\"", "to=\"open\"", "cause=\"failures_in_a_row\""] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_others_get_the_calls_of_one_that_keeps_failing() {
    let fleet = Fleet::new();
    let (bad, good) = (fleet.serve(Does::Answer(500)).await, fleet.serve(Does::Answer(200)).await);
    let users = fleet.client(options());
    for _ in 0..50 {
        users.get("/").send().await.unwrap();
    }
    assert_eq!((bad.hits(), good.hits()), (5, 45));
}

#[tokio::test]
async fn what_callers_get_wrong_does_not_open_it() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(404)).await;
    let users = fleet.client(options());
    for _ in 0..20 {
        users.get("/").send().await.unwrap();
    }
    assert_eq!(server.hits(), 20);
}

#[tokio::test]
async fn one_probe_at_a_time_and_one_given_up_lets_the_next_through() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Hang).await;
    let mut options = options();
    options.cluster.breaker = Some(one_failure_opens(MILLISECOND * 100));
    options.retry.tries = 1;
    // The policy's own time, which counts; a caller's shorter one would not.
    options.timeout = MILLISECOND * 20;
    let users = fleet.client(options);
    let call = |timeout| users.get("/").timeout(timeout).send();
    assert!(matches!(call(MILLISECOND * 20).await, Err(Error::Timeout { .. })));
    assert!(matches!(call(MILLISECOND * 20).await, Err(Error::BreakerOpen { .. })));

    // The first probe, as soon as there may be one.
    let minute = Duration::from_secs(60);
    let probe = async {
        loop {
            match call(minute).await {
                Err(Error::BreakerOpen { .. }) => tokio::task::yield_now().await,
                _ => panic!("a server that hangs does not answer"),
            }
        }
    };
    let mut probe = Box::pin(probe);
    while server.hits() < 2 {
        assert!(tokio::time::timeout(MILLISECOND, probe.as_mut()).await.is_err());
    }
    let error = call(minute).await.unwrap_err();
    let Error::BreakerOpen { retry_after, .. } = error else { panic!("{error}") };
    // As long as a probe is waited for.
    assert!(retry_after <= Settings::PROBE_PATIENCE, "{retry_after:?}");
    assert!(retry_after > MILLISECOND * 100, "{retry_after:?}");

    // Given up half-way, it frees its permit at once.
    drop(probe);
    assert!(matches!(call(MILLISECOND * 20).await, Err(Error::Timeout { .. })));
}

#[tokio::test]
async fn an_instance_that_comes_back_is_used_again() {
    let fleet = Fleet::new();
    let healthy = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let state = std::sync::Arc::clone(&healthy);
    let handler = move || {
        let is_healthy = state.load(std::sync::atomic::Ordering::SeqCst);
        std::future::ready(http::StatusCode::from_u16(if is_healthy { 200 } else { 500 }).unwrap())
    };
    fleet.serve_router(axum::Router::new().fallback(handler)).await;
    let mut options = options();
    options.cluster.breaker = Some(one_failure_opens(MILLISECOND * 50));
    let users = fleet.client(options);
    assert_eq!(users.get("/").send().await.unwrap().status(), 500);
    assert!(users.get("/").send().await.is_err());
    healthy.store(true, std::sync::atomic::Ordering::SeqCst);
    let recovered = async {
        while users.get("/").send().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), recovered).await.unwrap();
    assert_eq!(users.get("/").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn answers_that_begin_well_and_break_off_open_it() {
    let fleet = Fleet::new();
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    let server = fleet.serve_bytes(half).await;
    let users = fleet.client(options());
    for _ in 0..5 {
        let answer = users.get("/").send().await.unwrap();
        assert!(matches!(answer.text().await, Err(Error::Broken { .. })));
    }
    assert!(matches!(users.get("/").send().await, Err(Error::BreakerOpen { .. })));
    assert_eq!(server.hits(), 5);
}

#[tokio::test]
async fn a_body_that_its_reader_leaves_is_no_failure_nor_one_that_lasts_longer_than_the_call_may() {
    let fleet = Fleet::new();
    fleet.serve(Does::HangInBody).await;
    let mut options = options();
    options.timeout = MILLISECOND * 50;
    let users = fleet.client(options);
    for _ in 0..5 {
        drop(users.get("/").send().await.unwrap());
        let answer = users.get("/").send().await.unwrap();
        assert!(matches!(answer.text().await, Err(Error::Timeout { .. })));
    }
    users.get("/").send().await.unwrap();
}

fn one_failure_opens(open_for: Duration) -> Settings {
    Settings::default().with_failure_threshold(1).with_open_for(open_for)
}

#[tokio::test]
async fn a_refused_connection_opens_no_breaker_for_it_ends_with_the_restart() {
    let fleet = Fleet::new();
    let _dead = fleet.dead().await;
    let mut options = options();
    options.retry.tries = 1;
    let users = fleet.client(options);
    for _ in 0..10 {
        assert!(matches!(users.post("/").send().await, Err(Error::Connect { .. })));
    }
}
