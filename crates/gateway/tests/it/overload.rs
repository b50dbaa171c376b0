//! More requests than a service is to have at a time, and limits that gateways share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use regatta_gateway::{OnOutage, RateLimit, Settings};
use regatta_resilience::concurrency;
use regatta_resilience::rate_limit::{Decision, SharedLimiter, Unavailable};
use tokio_util::task::TaskTracker;

use crate::support::{LIMIT, Message, echo, get, get_with, settings, start, upstream};

fn at_a_time(limit: u32, queue: u32) -> Settings {
    let mut settings = settings();
    let queued = concurrency::Settings::new(limit).with_queue(queue, Duration::from_millis(200));
    settings.traffic.concurrency = Some(queued.with_reserved_percent(0));
    settings
}

#[tokio::test]
async fn a_request_over_the_limit_waits_and_is_turned_away_in_time() {
    let slow = upstream(Arc::new(|_, _: &Message| (Vec::new(), false))).await;
    let mut settings = at_a_time(1, 1);
    settings.timeouts.request = LIMIT;
    let gateway = start(settings, &[slow.addr]).await;
    let addr = gateway.addr;
    let held = TaskTracker::new().spawn(async move { get(addr, "/a/hangs").await });
    let mut slow = slow;
    slow.request().await;
    let answer = get(gateway.addr, "/a/x").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("overloaded")));
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert_eq!(slow.unseen(), 0);
    let metrics = get(gateway.admin, "/metrics").await.text();
    assert!(metrics.contains("regatta_gateway_shed_total{reason=\"timed_out\"} 1"), "{metrics}");
    held.abort();
}

#[tokio::test]
async fn whoever_waited_gets_the_place_that_is_freed() {
    let service = echo().await;
    let gateway = start(at_a_time(1, 4), &[service.addr]).await;
    let asked = (0..4).map(|_| get(gateway.addr, "/a/x"));
    for answer in futures::future::join_all(asked).await {
        assert_eq!(answer.status, 200);
    }
}

/// Counts to two for all clients; may be away.
#[derive(Debug)]
pub(crate) struct Two {
    pub(crate) seen: AtomicU32,
    pub(crate) is_away: bool,
}

#[async_trait::async_trait]
impl SharedLimiter for Two {
    async fn check(&self, client: &str) -> Result<Decision, Unavailable> {
        assert_eq!(client, "id:one");
        if self.is_away {
            return Err(Unavailable::Busy { in_flight: 7 });
        }
        let left = 2_u32.checked_sub(self.seen.fetch_add(1, Ordering::SeqCst) + 1);
        let minute = Duration::from_secs(60);
        let wait = if left.is_some() { Duration::ZERO } else { minute };
        Ok(Decision::new(left.is_some(), 2, left.unwrap_or(0), minute, wait))
    }

    fn limit(&self) -> u32 {
        2
    }

    fn window(&self) -> Duration {
        Duration::from_secs(60)
    }
}

#[tokio::test]
async fn gateways_that_share_a_limit_admit_it_once() {
    let service = echo().await;
    let shared = Arc::new(Two { seen: AtomicU32::new(0), is_away: false });
    let mut settings = settings();
    settings.rate_limit = Some(RateLimit::default());
    settings.shared_limit = Some(shared);
    let gateways =
        [start(settings.clone(), &[service.addr]).await, start(settings, &[service.addr]).await];
    let client = "X-Client-ID: one\r\n";
    for gateway in &gateways {
        let answer = get_with(gateway.addr, "/a/x", client).await;
        assert_eq!((answer.status, answer.field("x-ratelimit-limit")), (200, Some("2")));
    }
    let answer = get_with(gateways[0].addr, "/a/x", client).await;
    assert_eq!((answer.status, answer.field("retry-after")), (429, Some("60")));
}

#[tokio::test]
async fn while_shared_counts_are_away_the_gateway_does_what_it_was_told() {
    let service = echo().await;
    for (on_outage, statuses) in [
        (OnOutage::Admit, [200, 200]),
        (OnOutage::Refuse, [429, 429]),
        (OnOutage::Count, [200, 429]),
    ] {
        let mut settings = settings();
        let mut limit = RateLimit::default();
        (limit.requests, limit.on_outage) = (std::num::NonZeroU32::MIN, on_outage);
        settings.rate_limit = Some(limit);
        settings.shared_limit = Some(Arc::new(Two { seen: AtomicU32::new(0), is_away: true }));
        let gateway = start(settings, &[service.addr]).await;
        for status in statuses {
            let answer = get_with(gateway.addr, "/a/x", "X-Client-ID: one\r\n").await;
            assert_eq!(answer.status, status, "{on_outage:?}");
        }
        let metrics = get(gateway.admin, "/metrics").await.text();
        assert!(metrics.contains("regatta_gateway_limits_alone_total 2"), "{metrics}");
    }
}
