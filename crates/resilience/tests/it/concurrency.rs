//! The concurrency limit, seen from its callers.

use std::time::Duration;

use regatta_resilience::concurrency::{
    Adaptive, Ending, Limit, LimitLayer, Permit, Priority, Rejected, Settings,
};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance};
use tower::{Layer, Service, service_fn};

const LONG: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_room_and_gets_it_when_another_ends() {
    let limit = limit(1, 1);
    let first = ask(&limit).await.unwrap();
    let mut waiting = JoinSet::new();
    waiting.spawn(ask(&limit));
    tokio::task::yield_now().await;
    assert_eq!((limit.in_flight(), limit.queued()), (1, 1));
    drop(first);
    let second = waiting.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!((limit.in_flight(), limit.queued()), (1, 0));
    drop(second);
    assert_eq!(limit.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_in_length() {
    let limit = limit(1, 1);
    let _first = ask(&limit).await.unwrap();
    let _second = ask(&limit);
    assert_eq!(ask(&limit).await.unwrap_err(), Rejected::Full { limit: 1 });
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_in_time_by_the_setting_and_by_the_caller() {
    let (limit, start) = (limit(1, 2), Instant::now());
    let _first = ask(&limit).await.unwrap();
    let error = limit.acquire(Priority::default(), Duration::from_millis(30)).await.unwrap_err();
    assert_eq!(error, Rejected::TimedOut { limit: 1, waited: Duration::from_millis(30) });
    assert_eq!(start.elapsed(), Duration::from_millis(30));
    let error = limit.acquire(Priority::default(), Duration::MAX).await.unwrap_err();
    assert_eq!(error, Rejected::TimedOut { limit: 1, waited: LONG });
    assert_eq!(limit.queued(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_more_urgent_call_takes_the_place_of_a_less_urgent_one() {
    let limit = limit(1, 1);
    let first = ask(&limit).await.unwrap();
    let patient = limit.acquire(Priority::LEAST_URGENT, LONG);
    let urgent = limit.acquire(Priority::MOST_URGENT, LONG);
    assert_eq!(patient.await.unwrap_err(), Rejected::Shed { limit: 1 });
    drop(first);
    assert!(urgent.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_gives_back_its_place_and_the_room_it_was_just_given() {
    let limit = limit(1, 1);
    let first = ask(&limit).await.unwrap();
    drop(ask(&limit));
    assert_eq!(limit.queued(), 0);
    let waiting = ask(&limit);
    // It is told to go, but dropped before it does.
    drop(first);
    assert_eq!(limit.in_flight(), 1);
    drop(waiting);
    assert_eq!(limit.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_who_does_not_want_to() {
    let limit = limit(1, 1);
    let first = limit.try_acquire(Priority::default()).unwrap();
    assert_eq!(limit.try_acquire(Priority::default()).unwrap_err(), Rejected::Full { limit: 1 });
    assert_eq!(limit.queued(), 0);
    drop(first);
    assert!(limit.try_acquire(Priority::default()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_larger_limit_lets_in_who_waits_and_a_smaller_one_throws_nobody_out() {
    let limit = limit(1, 4);
    let _first = ask(&limit).await.unwrap();
    let (second, third) = (ask(&limit), ask(&limit));
    limit.reconfigure(Settings::new(3).with_queue(4, LONG)).unwrap();
    let _both = (second.await.unwrap(), third.await.unwrap());
    limit.reconfigure(Settings::new(1).with_queue(4, LONG)).unwrap();
    assert_eq!((limit.limit(), limit.in_flight()), (1, 3));
    assert!(limit.reconfigure(Settings::new(0)).is_err());
}

#[tokio::test(start_paused = true)]
async fn never_more_in_flight_than_the_limit_however_calls_end() {
    let (limit, mut calls) = (limit(3, 50), JoinSet::new());
    for call in 0..50_u64 {
        let limit = limit.clone();
        calls.spawn(async move {
            // Some give up while they wait, some are dropped while they run.
            let at_most = Duration::from_millis(20 + call % 7 * 10);
            let Ok(permit) = limit.acquire(Priority::default(), at_most).await else { return };
            assert!(limit.in_flight() <= 3);
            let _ = tokio::time::timeout(
                Duration::from_millis(call % 5 * 4),
                tokio::time::sleep(Duration::from_millis(8)),
            )
            .await;
            assert!(limit.in_flight() <= 3);
            match call % 3 {
                0 => drop(permit),
                1 => permit.finish(Instant::now().into_std(), Ending::Done),
                _ => permit.finish(Instant::now().into_std(), Ending::Overloaded),
            }
        });
    }
    while let Some(ended) = calls.join_next().await {
        ended.unwrap();
    }
    assert_eq!((limit.in_flight(), limit.queued()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_follows_what_it_is_told() {
    let settings = Settings::new(100).with_adaptive(Some(Adaptive::default()));
    let limit = Limit::try_new(settings).unwrap();
    for _ in 0..100 {
        let permit = limit.try_acquire(Priority::default()).unwrap();
        advance(Duration::from_millis(12)).await;
        permit.finish(Instant::now().into_std(), Ending::Overloaded);
    }
    assert!(limit.limit() < 40, "{}", limit.limit());
    let before = limit.limit();
    for _ in 0..100 {
        let permit = limit.try_acquire(Priority::default()).unwrap();
        advance(Duration::from_millis(12)).await;
        permit.finish(Instant::now().into_std(), Ending::Ignored);
    }
    assert_eq!(limit.limit(), before);
}

#[tokio::test(start_paused = true)]
async fn the_layer_holds_calls_back_and_lets_go_of_those_that_are_dropped() {
    let limit = limit(1, 1);
    let layer = LimitLayer::new(limit.clone());
    let mut service = layer.layer(service_fn(|gate: oneshot::Receiver<u32>| gate));
    let (end, gate) = oneshot::channel();
    let mut running = JoinSet::new();
    running.spawn(service.call(gate));
    let (_hold, gate) = oneshot::channel::<u32>();
    let mut second = Box::pin(service.call(gate));
    let (_never, gate) = oneshot::channel::<u32>();
    let error = service.call(gate).await.unwrap_err();
    assert!(error.is::<Rejected>());
    end.send(7).unwrap();
    assert_eq!(running.join_next().await.unwrap().unwrap().unwrap(), 7);
    // The second is let in and runs until it is dropped.
    let waited = tokio::time::timeout(Duration::from_millis(1), &mut second).await;
    assert!(waited.is_err());
    assert_eq!(limit.in_flight(), 1);
    drop(second);
    assert_eq!(limit.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_layer_asks_how_urgent_a_request_is() {
    let limit = Limit::try_new(Settings::new(2).with_reserved_percent(50).with_queue(0, LONG));
    let layer = LimitLayer::new(limit.unwrap())
        .with_priority(|urgency: &u8| Priority::try_new(*urgency).unwrap_or_default());
    let never = service_fn(|_: u8| std::future::pending::<Result<(), std::io::Error>>());
    let mut service = layer.layer(never);
    let first = service.call(7);
    assert!(service.call(7).await.is_err());
    let mut second = Box::pin(service.call(0));
    let waited = tokio::time::timeout(Duration::from_millis(1), &mut second).await;
    assert!(waited.is_err(), "it runs");
    drop(first);
}

fn limit(limit: u32, queue: u32) -> Limit {
    Limit::try_new(Settings::new(limit).with_queue(queue, LONG)).unwrap()
}

fn ask(limit: &Limit) -> impl Future<Output = Result<Permit, Rejected>> + use<> {
    limit.acquire(Priority::default(), LONG)
}
