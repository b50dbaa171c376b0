//! The deadline, seen from its caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use regatta_resilience::BoxError;
use regatta_resilience::deadline::{DeadlineLayer, DeadlineOver};
use tokio::time::Instant;
use tower::{Layer, Service, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// When it must be over, and how long it takes.
type Request = (Option<Instant>, Duration);

#[tokio::test(start_paused = true)]
async fn work_whose_deadline_is_over_is_not_begun() {
    let (mut service, counts) = service();
    let error = service.call((Some(Instant::now()), SECOND)).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&DeadlineOver::NotBegun));
    assert_eq!(counts.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn work_under_way_is_cancelled_at_the_deadline() {
    let (mut service, counts) = service();
    let start = Instant::now();
    let error = service.call((Some(start + SECOND), 2 * SECOND)).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&DeadlineOver::Cancelled));
    assert_eq!(start.elapsed(), SECOND);
    assert_eq!((counts.begun.load(Ordering::SeqCst), counts.done.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_at_the_last_instant_is_not_thrown_away() {
    let (mut service, _) = service();
    assert!(service.call((Some(Instant::now() + SECOND), SECOND)).await.is_ok());
    assert!(service.call((None, 100 * SECOND)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_half_way_is_dropped_all_the_way_down() {
    let (mut service, counts) = service();
    let call = service.call((Some(Instant::now() + 9 * SECOND), 2 * SECOND));
    let _ = tokio::time::timeout(SECOND, call).await;
    assert_eq!(counts.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(counts.done.load(Ordering::SeqCst), 0);
}

#[derive(Default)]
struct Counts {
    begun: AtomicU32,
    done: AtomicU32,
    dropped: AtomicU32,
}

/// Counts itself when the call it is in is gone.
struct InFlight(Arc<Counts>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

fn service() -> (impl Service<Request, Response = (), Error = BoxError>, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let shared = Arc::clone(&counts);
    let work = service_fn(move |(_, time): Request| {
        let counts = Arc::clone(&shared);
        async move {
            counts.begun.fetch_add(1, Ordering::SeqCst);
            let in_flight = InFlight(counts);
            tokio::time::sleep(time).await;
            in_flight.0.done.fetch_add(1, Ordering::SeqCst);
            Ok::<(), std::io::Error>(())
        }
    });
    let layer = DeadlineLayer::new(|request: &Request| request.0.map(Instant::into_std));
    (layer.layer(work), counts)
}
