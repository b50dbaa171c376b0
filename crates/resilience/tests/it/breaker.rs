//! The circuit breaker, seen from its caller.

use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use regatta_resilience::BoxError;
use regatta_resilience::breaker::{
    Breaker, BreakerLayer, BreakerOpen, Cause, Change, Outcome, Override, Settings, SlowCalls,
    State,
};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, service_fn};

type Answer = Result<(), &'static str>;

#[tokio::test(start_paused = true)]
async fn opens_after_the_threshold_of_failures_in_a_row() {
    let mut service = service(3);
    for _ in 0..3 {
        assert!(!is_open(&service.call(Err("down")).await));
    }
    let error = service.call(Ok(())).await.unwrap_err();
    let open = error.downcast_ref::<BreakerOpen>().unwrap();
    assert_eq!(open.retry_after, Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_successful_probe_closes_it() {
    let mut service = opened().await;
    advance(Duration::from_secs(10)).await;
    assert!(service.call(Ok(())).await.is_ok());
    assert!(service.call(Ok(())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_probe_lets_the_next_caller_probe() {
    let mut service = opened().await;
    advance(Duration::from_secs(10)).await;
    let probe = service.call(Ok(()));
    assert!(is_open(&service.call(Ok(())).await));
    drop(probe);
    assert!(service.call(Ok(())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn ignores_an_answer_older_than_the_probe() {
    let mut service = service(1);
    let early = service.call(Ok(()));
    let _ = service.call(Err("down")).await;
    advance(Duration::from_secs(10)).await;
    let _probe = service.call(Ok(()));
    assert!(early.await.is_ok());
    assert!(is_open(&service.call(Ok(())).await));
}

#[tokio::test(start_paused = true)]
async fn the_classifier_says_what_counts() {
    let breaker = breaker(1);
    let layer =
        BreakerLayer::new(breaker.clone()).with_classifier(|answer: &Answer| match answer {
            Err("not found") => Outcome::Success,
            Err(_) => Outcome::Failure,
            Ok(()) => Outcome::Success,
        });
    let mut service = layer.layer(echo());
    let _ = service.call(Err("not found")).await;
    assert_eq!(breaker.state(now()), State::Closed);
    let _ = service.call(Err("down")).await;
    assert_eq!(breaker.state(now()), State::Open);
}

#[tokio::test(start_paused = true)]
async fn each_change_is_announced_once_and_in_order() {
    let (seen, observer) = recorder();
    let breaker = Breaker::try_observed(settings(1), observer).unwrap();
    breaker.admit(now()).unwrap().record(now(), Outcome::Failure);
    advance(Duration::from_secs(10)).await;
    breaker.admit(now()).unwrap().record(now(), Outcome::Success);
    let states: Vec<_> = seen.lock().unwrap().iter().map(|change| change.to).collect();
    assert_eq!(states, [State::Open, State::HalfOpen, State::Closed]);
}

#[tokio::test(start_paused = true)]
async fn an_observer_may_use_the_breaker() {
    let slot: Arc<Mutex<Option<Breaker>>> = Arc::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (held, log) = (Arc::clone(&slot), Arc::clone(&seen));
    let observer = Arc::new(move |change: Change| {
        let breaker = held.lock().unwrap().clone().unwrap();
        log.lock().unwrap().push((change.to, breaker.state(now())));
    });
    let breaker = Breaker::try_observed(settings(1), observer).unwrap();
    *slot.lock().unwrap() = Some(breaker.clone());
    breaker.admit(now()).unwrap().record(now(), Outcome::Failure);
    assert_eq!(*seen.lock().unwrap(), [(State::Open, State::Open)]);
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_is_told_of_the_next_change() {
    let (seen, record) = recorder();
    let observer = Arc::new(move |change: Change| {
        record(change);
        assert_ne!(change.to, State::Open, "expected by this test");
    });
    let breaker = Breaker::try_observed(settings(1), observer).unwrap();
    let permit = breaker.admit(now()).unwrap();
    let now = now();
    let fail = std::panic::AssertUnwindSafe(|| permit.record(now, Outcome::Failure));
    assert!(std::panic::catch_unwind(fail).is_err());
    advance(Duration::from_secs(10)).await;
    breaker.admit(self::now()).unwrap().record(self::now(), Outcome::Success);
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[test]
fn many_threads_open_it_once_and_probe_one_at_a_time() {
    let now = clock();
    let (seen, observer) = recorder();
    let breaker = Breaker::try_observed(settings(5), observer).unwrap();
    together(8, || {
        for _ in 0..100 {
            if let Ok(permit) = breaker.admit(now) {
                permit.record(now, Outcome::Failure);
            }
        }
    });
    assert_eq!(seen.lock().unwrap().len(), 1);

    let later = now + Duration::from_secs(10);
    let probes = Mutex::new(Vec::new());
    together(8, || probes.lock().unwrap().extend(breaker.admit(later)));
    assert_eq!(probes.into_inner().unwrap().len(), 1);
}

#[test]
fn successes_on_other_threads_never_hide_failures_in_a_row() {
    let now = clock();
    let breaker = Breaker::try_new(settings(5)).unwrap();
    together(4, || {
        for _ in 0..1_000 {
            breaker.admit(now).unwrap().record(now, Outcome::Success);
        }
    });
    for _ in 0..5 {
        breaker.admit(now).unwrap().record(now, Outcome::Failure);
    }
    assert_eq!(breaker.state(now), State::Open);
}

#[test]
fn successes_that_took_no_lock_are_in_the_share() {
    let breaker = Breaker::try_new(settings(u32::MAX)).unwrap();
    let now = second_slot(&breaker);
    (0..29).for_each(|_| end(&breaker, now, now, Outcome::Success));
    (0..29).for_each(|_| end(&breaker, now, now, Outcome::Failure));
    assert_eq!(breaker.state(now), State::Closed);
    let status = breaker.status(now);
    assert_eq!((status.calls, status.failures, status.failures_in_a_row), (59, 29, 29));
    end(&breaker, now, now, Outcome::Failure);
    assert_eq!(breaker.state(now), State::Open);
}

#[test]
fn every_success_of_many_threads_is_counted_once_across_slots() {
    let (breaker, now) = (Breaker::try_new(settings(5)).unwrap(), clock());
    together(4, || {
        for step in 0..1_000 {
            let now = now + Duration::from_millis(5) * step;
            end(&breaker, now, now, Outcome::Success);
        }
    });
    assert_eq!(breaker.status(now + Duration::from_secs(5)).calls, 4_000);
}

#[test]
fn slow_successes_at_rest_are_seen() {
    let slow = SlowCalls { at_least: Duration::from_secs(2), percent: 50 };
    let (seen, observer) = recorder();
    let settings = settings(5).with_slow(Some(slow));
    let breaker = Breaker::try_observed(settings, observer).unwrap();
    let now = second_slot(&breaker);
    let later = now + Duration::from_secs(2);
    end(&breaker, later, later, Outcome::Success);
    (0..18).for_each(|_| end(&breaker, now, later, Outcome::Success));
    assert_eq!(breaker.state(later), State::Open);
    assert_eq!(seen.lock().unwrap()[0].cause, Cause::SlowCalls);
}

#[test]
fn settings_change_while_it_is_at_rest() {
    let off = settings(u32::MAX).with_failure_percent(None);
    let breaker = Breaker::try_new(off).unwrap();
    let now = second_slot(&breaker);
    (0..50).for_each(|_| end(&breaker, now, now, Outcome::Success));
    assert_eq!(breaker.status(now).calls, 0);
    breaker.reconfigure(settings(u32::MAX)).unwrap();
    let now = second_slot(&breaker);
    (0..50).for_each(|_| end(&breaker, now, now, Outcome::Success));
    assert_eq!(breaker.status(now).calls, 51);
    let slow = SlowCalls { at_least: Duration::from_secs(2), percent: 1 };
    breaker.reconfigure(settings(u32::MAX).with_slow(Some(slow))).unwrap();
    end(&breaker, now - Duration::from_secs(2), now, Outcome::Success);
    assert_eq!(breaker.state(now), State::Open);
    assert_eq!(breaker.settings().slow, Some(slow));
    assert!(breaker.reconfigure(settings(0)).is_err());
    assert_eq!(breaker.settings().failure_threshold, u32::MAX);
}

#[test]
fn an_operator_forces_it_open_and_closed_and_gives_it_back() {
    let (seen, observer) = recorder();
    let (breaker, now) = (Breaker::try_observed(settings(1), observer).unwrap(), clock());
    breaker.control_by(Override::ForcedOpen);
    assert!(breaker.admit(now).is_err());
    breaker.control_by(Override::ForcedClosed);
    (0..9).for_each(|_| end(&breaker, now, now, Outcome::Failure));
    assert_eq!((breaker.state(now), breaker.control()), (State::Closed, Override::ForcedClosed));
    breaker.control_by(Override::Automatic);
    end(&breaker, now, now, Outcome::Failure);
    assert_eq!(breaker.state(now), State::Open);
    breaker.reset();
    assert_eq!(breaker.state(now), State::Closed);
    let told: Vec<_> =
        seen.lock().unwrap().iter().map(|change| (change.to, change.control)).collect();
    let by_hand = [Override::ForcedOpen, Override::ForcedClosed, Override::Automatic];
    assert_eq!(told.iter().take(3).map(|told| told.1).collect::<Vec<_>>(), by_hand);
    assert_eq!(told[3..], [State::Open, State::Closed].map(|to| (to, Override::Automatic)));
}

/// Makes a call; answers an instant in the next slot, in which successes take no lock.
fn second_slot(breaker: &Breaker) -> std::time::Instant {
    let now = clock();
    end(breaker, now, now, Outcome::Success);
    let next = now + Duration::from_millis(1_500);
    breaker.status(next);
    next
}

/// Makes a call from the first instant to the second.
fn end(breaker: &Breaker, from: std::time::Instant, to: std::time::Instant, outcome: Outcome) {
    breaker.admit(from).unwrap().record(to, outcome);
}

fn settings(failure_threshold: u32) -> Settings {
    Settings::default()
        .with_failure_threshold(failure_threshold)
        .with_open_for(Duration::from_secs(10))
}

fn breaker(failure_threshold: u32) -> Breaker {
    Breaker::try_new(settings(failure_threshold)).unwrap()
}

/// A service that answers each request with the request itself.
fn echo() -> impl Service<Answer, Response = (), Error = &'static str, Future: Send> + Clone {
    service_fn(|answer: Answer| async move { answer })
}

fn service(
    failure_threshold: u32,
) -> impl Service<Answer, Response = (), Error = BoxError, Future: Send + Unpin + Sized> {
    tower::util::BoxCloneService::new(BreakerLayer::new(breaker(failure_threshold)).layer(echo()))
}

async fn opened() -> impl Service<Answer, Response = (), Error = BoxError, Future: Send + Unpin> {
    let mut service = service(1);
    let _ = service.call(Err("down")).await;
    service
}

fn is_open(answer: &Result<(), BoxError>) -> bool {
    answer.as_ref().is_err_and(|error| error.is::<BreakerOpen>())
}

type Seen = Arc<Mutex<Vec<Change>>>;

fn recorder() -> (Seen, Arc<dyn Fn(Change) + Send + Sync>) {
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    (seen, Arc::new(move |change| log.lock().unwrap().push(change)))
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// The real clock, where there is no runtime.
#[expect(clippy::disallowed_methods, reason = "any instant does; none can be made otherwise")]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}

/// Runs it on so many threads that begin at the same time.
fn together(threads: usize, run: impl Fn() + Sync) {
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                barrier.wait();
                run();
            });
        }
    });
}
