//! The rate limit, seen from its caller.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use regatta_resilience::rate_limit::{
    InvalidSettings, RateLimitLayer, RateLimited, Settings, SlidingWindow,
};
use tokio::time::advance;
use tower::{Layer, Service, service_fn};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn admits_sixty_a_minute_and_says_when_the_next_may_come() {
    let (limiter, start) = (limiter(60, MINUTE), clock());
    for second in 0..60 {
        let decision = limiter.check("alice", start + Duration::from_millis(500) * second);
        assert!(decision.allowed);
        assert_eq!(decision.remaining, 59 - second);
    }
    // The first came at 0 s, the last at 29.5 s.
    let decision = limiter.check("alice", start + Duration::from_secs(40));
    assert!(!decision.allowed);
    assert_eq!((decision.limit, decision.remaining), (60, 0));
    assert_eq!(decision.retry_after, Duration::from_secs(20));
    assert_eq!(decision.reset, Duration::from_millis(49_500));
    assert!(!limiter.check("alice", start + MINUTE - Duration::from_micros(1)).allowed);
    assert!(limiter.check("alice", start + MINUTE).allowed);
}

#[test]
fn clients_do_not_count_for_each_other() {
    let (limiter, now) = (limiter(1, MINUTE), clock());
    assert!(limiter.check("alice", now).allowed);
    assert!(limiter.check("bob", now).allowed);
    assert!(!limiter.check("alice", now).allowed);
}

#[test]
fn a_refused_call_is_not_counted() {
    let (limiter, start) = (limiter(1, MINUTE), clock());
    assert!(limiter.check("alice", start).allowed);
    (1..60).for_each(|second| {
        assert!(!limiter.check("alice", start + Duration::from_secs(second)).allowed);
    });
    assert!(limiter.check("alice", start + MINUTE).allowed);
}

#[test]
fn threads_that_share_it_admit_the_limit_and_no_more() {
    let (limiter, now, admitted) = (limiter(1_000, MINUTE), clock(), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let allowed = limiter.check("alice", now).allowed;
                    admitted.fetch_add(u32::from(allowed), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 1_000);
}

#[test]
fn a_hundred_thousand_clients_take_no_more_than_the_stated_bytes() {
    let settings = Settings::new(60, MINUTE).with_max_bytes(1 << 20);
    let (limiter, now) = (SlidingWindow::try_new(settings).unwrap(), clock());
    let empty = limiter.bytes();
    for client in 0..100_000 {
        limiter.check(&client, now);
    }
    assert!(limiter.bytes() > empty);
    assert!(limiter.bytes() <= 1 << 20, "{} bytes", limiter.bytes());
    // Who was there before the crowd still has a window of its own.
    assert_eq!(limiter.check(&0, now).remaining, 58);
}

#[test]
fn the_default_memory_holds_eighty_thousand_clients() {
    let limiter = SlidingWindow::try_new(Settings::default()).unwrap();
    assert!((80_000..130_000).contains(&limiter.capacity()), "{}", limiter.capacity());
    assert_eq!((limiter.limit(), limiter.window()), (60, MINUTE));
}

#[test]
fn a_setting_out_of_range_is_named_with_its_value() {
    let message = |settings| SlidingWindow::try_new(settings).unwrap_err().to_string();
    assert!(message(Settings::new(0, MINUTE)).contains("limit is `0`"));
    assert!(message(Settings::new(1_000_001, MINUTE)).contains("limit is `1000001`"));
    assert!(message(Settings::new(1, Duration::ZERO)).contains("window is `0ns`"));
    assert!(message(Settings::new(1, Duration::from_secs(86_401))).contains("window is `86401s`"));
    let error = SlidingWindow::try_new(Settings::new(1, MINUTE).with_max_bytes(9)).unwrap_err();
    let InvalidSettings::Memory { least, .. } = error else { panic!("{error}") };
    assert!(SlidingWindow::try_new(Settings::new(1, MINUTE).with_max_bytes(least)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_layer_answers_with_the_limit_and_when_to_come_back() {
    let echo = service_fn(|client: &'static str| async move { Ok::<_, std::io::Error>(client) });
    let layer = RateLimitLayer::new(limiter(1, MINUTE), |client: &&'static str| *client);
    let mut service = layer.layer(echo);
    assert_eq!(service.call("alice").await.unwrap(), "alice");
    advance(Duration::from_secs(20)).await;
    let error = service.call("alice").await.unwrap_err();
    let limited = error.downcast_ref::<RateLimited>().unwrap();
    assert_eq!((limited.limit, limited.retry_after), (1, Duration::from_secs(40)));
    advance(limited.retry_after).await;
    assert!(service.call("alice").await.is_ok());
}

proptest! {
    #[test]
    fn a_window_of_any_length_admits_the_limit_and_opens_again_when_it_says(
        millis in 1_u64..=86_400_000, limit in 1_u32..50, skew in 0_u64..1_000,
    ) {
        let window = Duration::from_millis(millis) + Duration::from_micros(skew);
        prop_assume!(window <= Duration::from_secs(86_400));
        let (limiter, now) = (limiter(limit, window), clock());
        let admitted = (0..60).filter(|_| limiter.check("alice", now).allowed).count();
        prop_assert_eq!(admitted, limit as usize);
        let wait = limiter.check("alice", now).retry_after;
        prop_assert!(wait >= window);
        prop_assert!(limiter.check("alice", now + wait).allowed);
    }
}

fn limiter(limit: u32, window: Duration) -> SlidingWindow {
    SlidingWindow::try_new(Settings::new(limit, window)).unwrap()
}

/// The real clock, where there is no runtime.
#[expect(clippy::disallowed_methods, reason = "any instant does; none can be made otherwise")]
fn clock() -> Instant {
    Instant::now()
}
