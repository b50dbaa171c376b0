//! What every shared limiter must do; each backend's tests run all of it.
//!
//! The checks need no empty backend: each uses limits and clients of its own. They read the
//! caller's clock only to bound what the backend's must have been.

#![allow(clippy::unwrap_used, reason = "checks panic on failure, as tests do")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::rate_limit::{Algorithm, Settings, SharedLimiter};

/// Makes limiters; two of the same name and settings are two replicas of one limit.
pub trait Make: Sync {
    /// A limiter of this name.
    fn make(&self, name: &str, settings: Settings, algorithm: Algorithm) -> Arc<dyn SharedLimiter>;
}

impl<F> Make for F
where
    F: Fn(&str, Settings, Algorithm) -> Arc<dyn SharedLimiter> + Sync,
{
    fn make(&self, name: &str, settings: Settings, algorithm: Algorithm) -> Arc<dyn SharedLimiter> {
        self(name, settings, algorithm)
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// Short enough to wait for, long beside a call.
const SHORT: Duration = Duration::from_millis(400);

/// Runs every check.
///
/// # Panics
///
/// When the limiter does not conform.
///
/// # Cancel safety
///
/// Cancel safe: counts that are left behind end with their windows.
pub async fn all(make: &dyn Make) {
    the_limit_passes_at_once_and_no_more(make).await;
    a_burst_passes_at_once_and_the_rest_is_paced(make).await;
    clients_do_not_count_for_each_other(make).await;
    limits_of_other_names_do_not_count_for_each_other(make).await;
    any_client_can_be_named(make).await;
    replicas_share_their_counts(make).await;
    for algorithm in [Algorithm::SlidingWindow, Algorithm::Gcra { burst: 3 }] {
        a_refused_call_is_not_counted_and_the_next_passes_when_it_says(make, algorithm).await;
        no_window_sees_more_than_the_limit(make, algorithm).await;
    }
}

/// The exact limiter admits the whole limit at once and counts down.
///
/// # Panics
///
/// When the limiter does not conform.
///
/// # Cancel safety
///
/// Cancel safe: counts that are left behind end with their windows.
pub async fn the_limit_passes_at_once_and_no_more(make: &dyn Make) {
    let limiter = make.make("at-once", Settings::new(5, MINUTE), Algorithm::SlidingWindow);
    assert_eq!((limiter.limit(), limiter.window()), (5, MINUTE));
    for left in (0..5).rev() {
        let decision = limiter.check("alice").await.unwrap();
        assert!(decision.allowed);
        assert_eq!((decision.limit, decision.remaining), (5, left));
        assert_eq!(decision.retry_after.is_zero(), left > 0);
        assert!(decision.reset > MINUTE - Duration::from_secs(30) && decision.reset <= MINUTE);
    }
    let decision = limiter.check("alice").await.unwrap();
    assert!(!decision.allowed);
    assert_eq!(decision.remaining, 0);
    assert!(!decision.retry_after.is_zero() && decision.retry_after <= MINUTE);
    assert!(decision.reset >= decision.retry_after);
}

/// The pacing limiter admits the burst at once and says when the next may come.
///
/// # Panics
///
/// When the limiter does not conform.
///
/// # Cancel safety
///
/// Cancel safe: counts that are left behind end with their windows.
pub async fn a_burst_passes_at_once_and_the_rest_is_paced(make: &dyn Make) {
    // The other five at one in twelve seconds.
    let settings = Settings::new(7, MINUTE);
    let limiter = make.make("burst", settings, Algorithm::Gcra { burst: 3 });
    for left in (0..3).rev() {
        let decision = limiter.check("alice").await.unwrap();
        assert!(decision.allowed);
        assert_eq!((decision.limit, decision.remaining), (7, left));
    }
    let decision = limiter.check("alice").await.unwrap();
    assert!(!decision.allowed);
    let pace = Duration::from_secs(12);
    assert!(!decision.retry_after.is_zero() && decision.retry_after <= pace);
    assert!(decision.reset > 2 * pace && decision.reset <= 3 * pace);
}

/// Each client has a count of its own.
///
/// # Panics
///
/// When the limiter does not conform.
///
/// # Cancel safety
///
/// Cancel safe: counts that are left behind end with their windows.
pub async fn clients_do_not_count_for_each_other(make: &dyn Make) {
    let limiter = make.make("clients", Settings::new(1, MINUTE), Algorithm::SlidingWindow);
    for (client, allowed) in [("alice", true), ("bob", true), ("alice", false), ("bob", false)] {
        assert_eq!(limiter.check(client).await.unwrap().allowed, allowed, "{client}");
    }
}

/// Each limit has counts of its own.
///
/// # Panics
///
/// When the limiter does not conform.
///
/// # Cancel safety
///
/// Cancel safe: counts that are left behind end with their windows.
pub async fn limits_of_other_names_do_not_count_for_each_other(make: &dyn Make) {
    for name in ["limit-a", "limit-b"] {
        let limiter = make.make(name, Settings::new(1, MINUTE), Algorithm::SlidingWindow);
        assert!(limiter.check("alice").await.unwrap().allowed, "{name}");
    }
}

/// Clients name themselves: empty, long, and bytes that mean something to a backend.
///
/// # Panics
///
/// When the limiter does not conform.
///
/// # Cancel safety
///
/// Cancel safe: counts that are left behind end with their windows.
pub async fn any_client_can_be_named(make: &dyn Make) {
    let limiter = make.make("names", Settings::new(1, MINUTE), Algorithm::SlidingWindow);
    let long = "a".repeat(10_000);
    let longer = format!("{long}b");
    for client in ["", " ", "a:b", "{a}", "*", "\r\nQUIT\r\n", "\0", "é", &long, &longer] {
        assert!(limiter.check(client).await.unwrap().allowed, "{client:?}");
        assert!(!limiter.check(client).await.unwrap().allowed, "{client:?}");
    }
}

/// Two replicas of one limit admit the limit between them.
///
/// # Panics
///
/// When the limiter does not conform.
///
/// # Cancel safety
///
/// Cancel safe: counts that are left behind end with their windows.
pub async fn replicas_share_their_counts(make: &dyn Make) {
    let settings = || Settings::new(4, MINUTE);
    let replicas = [0; 2].map(|_| make.make("replicas", settings(), Algorithm::SlidingWindow));
    let mut admitted = 0;
    for call in 0..10 {
        let decision = replicas[call % 2].check("alice").await.unwrap();
        admitted += u32::from(decision.allowed);
    }
    assert_eq!(admitted, 4);
}

/// Refused calls cost nothing, and the wait they were told is the whole wait.
///
/// # Panics
///
/// When the limiter does not conform.
///
/// # Cancel safety
///
/// Cancel safe: counts that are left behind end with their windows.
pub async fn a_refused_call_is_not_counted_and_the_next_passes_when_it_says(
    make: &dyn Make,
    algorithm: Algorithm,
) {
    let name = format!("refused-{algorithm:?}");
    let limiter = make.make(&name, Settings::new(5, SHORT), algorithm);
    let refused = loop {
        let decision = limiter.check("alice").await.unwrap();
        if !decision.allowed {
            break decision;
        }
    };
    // A backend may tell time in microseconds.
    sleep(refused.retry_after / 2).await;
    let again = limiter.check("alice").await.unwrap();
    if !again.allowed {
        assert!(again.retry_after <= refused.retry_after);
        sleep(again.retry_after + Duration::from_millis(2)).await;
        assert!(limiter.check("alice").await.unwrap().allowed);
    }
}

/// However many callers at once, and wherever a window begins.
///
/// # Panics
///
/// When the limiter does not conform.
///
/// # Cancel safety
///
/// Cancel safe: counts that are left behind end with their windows.
pub async fn no_window_sees_more_than_the_limit(make: &dyn Make, algorithm: Algorithm) {
    let (limit, name) = (10, format!("window-{algorithm:?}"));
    let admitted = Arc::new(Mutex::new(Vec::new()));
    let end = Instant::now() + 4 * SHORT;
    let callers = (0..6).map(|_| {
        let limiter = make.make(&name, Settings::new(limit, SHORT), algorithm);
        let admitted = Arc::clone(&admitted);
        async move {
            while Instant::now() < end {
                let before = Instant::now();
                let allowed = limiter.check("alice").await.unwrap().allowed;
                if allowed {
                    admitted.lock().unwrap().push((before, Instant::now()));
                }
                // Lets the callers take turns, and a paused clock go on.
                sleep(Duration::from_millis(3)).await;
            }
        }
    });
    let mut callers: tokio::task::JoinSet<()> = callers.collect();
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let admitted = admitted.lock().unwrap();
    assert!(admitted.len() > limit as usize, "windows open again");
    for (begin, _) in admitted.iter() {
        // What was asked at `begin` or later and answered within a window was in that window.
        let inside = |call: &&(Instant, Instant)| call.0 >= *begin && call.1 < *begin + SHORT;
        let count = admitted.iter().filter(inside).count();
        assert!(count <= limit as usize, "{count} in a window");
    }
}
