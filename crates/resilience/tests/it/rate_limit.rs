//! The rate limit, seen from its caller.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use std::sync::Arc;

use regatta_resilience::rate_limit::{
    Algorithm, Decision, Gcra, InvalidSettings, Limiter, OnOutage, RateLimitLayer, RateLimited,
    Settings, SharedLimiter, SlidingWindow, Steadfast, Unavailable, conformance,
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
    let burst = |burst| Gcra::try_new(Settings::new(5, MINUTE), burst).unwrap_err().to_string();
    assert!(burst(0).contains("burst is `0`; use 1 to the limit, 5"));
    assert!(burst(6).contains("burst is `6`"));
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

#[test]
fn a_million_ids_take_no_more_than_the_stated_bytes_of_either_algorithm() {
    const MOST: usize = 4 << 20;
    let settings = || Settings::new(60, MINUTE).with_max_bytes(MOST);
    let now = clock();
    for algorithm in [Algorithm::SlidingWindow, Algorithm::Gcra { burst: 10 }] {
        let limiter = Limiter::try_new(settings(), algorithm).unwrap();
        for client in 0..1_000_000 {
            limiter.check(&client, now);
        }
        assert!(limiter.bytes() <= MOST, "{algorithm:?}: {} bytes", limiter.bytes());
    }
}

#[test]
fn the_default_memory_paces_a_million_clients() {
    let limiter = Gcra::try_new(Settings::default(), Gcra::default_burst(60)).unwrap();
    assert!((1_000_000..1_100_000).contains(&limiter.capacity()), "{}", limiter.capacity());
    assert_eq!((limiter.limit(), limiter.window(), limiter.burst()), (60, MINUTE, 6));
}

#[test]
fn threads_that_share_a_pacing_limiter_admit_the_burst_and_no_more() {
    let limiter = Gcra::try_new(Settings::new(1_000, MINUTE), 100).unwrap();
    let (now, admitted) = (clock(), AtomicU32::new(0));
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
    assert_eq!(admitted.into_inner(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_limiter_in_memory_is_a_shared_limiter_of_one_process() {
    // Two of the same name are clones of one.
    let made = std::sync::Mutex::new(std::collections::HashMap::<String, Limiter>::new());
    let make = |name: &str, settings: Settings, algorithm: Algorithm| -> Arc<dyn SharedLimiter> {
        let mut made = made.lock().unwrap();
        let limiter = made.entry(name.to_owned());
        let limiter = limiter.or_insert_with(|| Limiter::try_new(settings, algorithm).unwrap());
        Arc::new(limiter.clone())
    };
    conformance::all(&make).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_admits_refuses_or_counts_here_as_chosen() {
    let steadfast = |on_outage| Steadfast::new(Arc::new(Away), on_outage);
    let admit = steadfast(OnOutage::Admit).check("alice").await;
    assert!(admit.decision.allowed);
    assert!(matches!(admit.outage, Some(Unavailable::TimedOut { .. })));
    let refuse = steadfast(OnOutage::Refuse).check("alice").await.decision;
    assert_eq!((refuse.allowed, refuse.retry_after), (false, Steadfast::RETRY_AFTER));
    let count = steadfast(OnOutage::Count(limiter(1, MINUTE).into()));
    assert!(count.check("alice").await.decision.allowed);
    assert!(!count.check("alice").await.decision.allowed);
    assert_eq!((count.limit(), count.window()), (7, MINUTE));
}

#[tokio::test(start_paused = true)]
async fn a_shared_limit_that_answers_is_obeyed() {
    let shared = Arc::new(Limiter::from(limiter(1, MINUTE)));
    let steadfast = Steadfast::new(shared, OnOutage::Admit);
    assert!(steadfast.check("alice").await.decision.allowed);
    let verdict = steadfast.check("alice").await;
    assert!(!verdict.decision.allowed && verdict.outage.is_none());
}

/// A shared limit whose server does not answer.
#[derive(Debug)]
struct Away;

#[async_trait::async_trait]
impl SharedLimiter for Away {
    async fn check(&self, _: &str) -> Result<Decision, Unavailable> {
        Err(Unavailable::TimedOut { after: Duration::from_millis(50) })
    }

    fn limit(&self) -> u32 {
        7
    }

    fn window(&self) -> Duration {
        MINUTE
    }
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
