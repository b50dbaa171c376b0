//! Hedging, seen from its caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use regatta_resilience::hedge::{Hedge, HedgeLayer, Settings};
use regatta_resilience::retry::Budget;
use tokio::time::Instant;
use tower::{Layer, Service, service_fn};

const QUICK: Duration = Duration::from_millis(10);
const SLOW: Duration = Duration::from_millis(500);

/// How long a try takes and whether it succeeds.
type Try = (Duration, bool);

#[tokio::test(start_paused = true)]
async fn a_quick_call_is_made_once() {
    let (mut service, counts) = service(budget(), &[(QUICK, true)]);
    assert_eq!(service.call("read").await, Ok(1));
    assert_eq!(counts.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_made_again_and_the_quicker_answer_counts() {
    let (mut service, counts) = service(budget(), &[(SLOW, true), (QUICK, true)]);
    let start = Instant::now();
    assert_eq!(service.call("read").await, Ok(2));
    assert!(start.elapsed() < 3 * QUICK, "{:?}", start.elapsed());
    assert_eq!(counts.begun(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_must_not_be_made_twice_is_made_once() {
    let (mut service, counts) = service(budget(), &[(SLOW, true), (QUICK, true)]);
    assert_eq!(service.call("write").await, Ok(1));
    assert_eq!(counts.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_allows_no_second_try() {
    let empty = Budget::try_new(0, 0).unwrap();
    let (mut service, counts) = service(empty, &[(SLOW, true), (QUICK, true)]);
    assert_eq!(service.call("read").await, Ok(1));
    assert_eq!(counts.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_try_that_fails_waits_for_the_first() {
    let (mut service, _) = service(budget(), &[(SLOW, true), (QUICK, false)]);
    let start = Instant::now();
    assert_eq!(service.call("read").await, Ok(1));
    assert_eq!(start.elapsed(), SLOW);
}

#[tokio::test(start_paused = true)]
async fn a_first_try_that_fails_waits_for_the_second() {
    let (mut service, _) = service(budget(), &[(2 * QUICK, false), (SLOW, true)]);
    assert_eq!(service.call("read").await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn when_both_fail_the_first_error_is_the_answer() {
    let (mut service, _) = service(budget(), &[(SLOW, false), (SLOW, false)]);
    assert_eq!(service.call("read").await, Err(1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_before_it_is_slow_is_not_hedged() {
    let (mut service, counts) = service(budget(), &[(QUICK / 2, false), (QUICK, true)]);
    assert_eq!(service.call("read").await, Err(1));
    assert_eq!(counts.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropped_it_drops_both_tries() {
    let (mut service, counts) = service(budget(), &[(SLOW, true), (SLOW, true)]);
    let _ = tokio::time::timeout(SLOW / 2, service.call("read")).await;
    tokio::time::sleep(2 * SLOW).await;
    assert_eq!((counts.begun(), counts.ended.load(Ordering::SeqCst)), (2, 0));
}

fn budget() -> Budget {
    Budget::default()
}

#[derive(Default)]
struct Counts {
    begun: AtomicU32,
    ended: AtomicU32,
}

impl Counts {
    fn begun(&self) -> u32 {
        self.begun.load(Ordering::SeqCst)
    }
}

/// Answers with the number of the try, as the script says.
fn service(
    budget: Budget,
    script: &[Try],
) -> (impl Service<&'static str, Response = u32, Error = u32> + use<>, Arc<Counts>) {
    let (counts, script) = (Arc::new(Counts::default()), script.to_vec());
    let counted = Arc::clone(&counts);
    let work = service_fn(move |_: &'static str| {
        let counted = Arc::clone(&counted);
        let number = counted.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let (time, succeeds) = script[number as usize - 1];
        async move {
            tokio::time::sleep(time).await;
            counted.ended.fetch_add(1, Ordering::SeqCst);
            if succeeds { Ok(number) } else { Err(number) }
        }
    });
    let hedge = Hedge::try_new(Settings::default()).unwrap();
    let now = Instant::now().into_std();
    (0..100).for_each(|_| hedge.observe(now, QUICK));
    (HedgeLayer::new(hedge, budget, |request: &&str| *request == "read").layer(work), counts)
}
