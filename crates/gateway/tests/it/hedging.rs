//! Reads that take long are sent to a second instance too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use regatta_gateway::Settings;
use regatta_resilience::hedge;

use crate::http2::{client, send};
use crate::support::{
    LIMIT, Message, Running, Upstream, Wire, ask, echo, get, get_with, ok, settings, start,
    upstream,
};

#[tokio::test]
async fn a_read_that_takes_long_is_answered_by_another_instance() {
    let (mut hangs, mut service, gateway) = hanging(hedging()).await;
    for _ in 0..6 {
        let answer = tokio::time::timeout(LIMIT / 4, get(gateway.addr, "/a/x")).await;
        assert_eq!(answer.expect("long before the time of a try").status, 200);
    }
    assert!(hangs.unseen() >= 1);
    let mut attempts = Vec::new();
    while let Ok(request) = service.requests.try_recv() {
        attempts.push(request.field("x-envoy-attempt-count").unwrap().to_owned());
    }
    assert!(attempts.contains(&"2".to_owned()), "{attempts:?}");
    assert!(hedges(&gateway, "second").await >= 1);
}

#[tokio::test]
async fn a_read_over_http2_is_hedged_too() {
    let (mut hangs, _service, gateway) = hanging(hedging()).await;
    let mut client = client(gateway.addr).await;
    for _ in 0..6 {
        let request = Request::get("http://shop/a/x").body(Full::<Bytes>::default()).unwrap();
        let answer = tokio::time::timeout(LIMIT / 4, send(&mut client, request)).await;
        assert_eq!(answer.expect("long before the time of a try").status(), 200);
    }
    assert!(hangs.unseen() >= 1);
    assert!(hedges(&gateway, "second").await >= 1);
}

#[tokio::test]
async fn what_writes_is_sent_to_one_instance_only() {
    let (mut hangs, mut service, gateway) = hanging(hedging()).await;
    let mut wires = Vec::new();
    for _ in 0..4 {
        let mut wire = Wire::connect(gateway.addr).await;
        wire.send("PUT /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi").await;
        wires.push(wire);
    }
    let mut seen = 0;
    for _ in 0..2 {
        seen += usize::from(hangs.request().await.line.starts_with("PUT"));
        seen += usize::from(service.request().await.line.starts_with("PUT"));
    }
    assert_eq!(seen, 4);
    // Longer than any hedge waits.
    assert_eq!(get(gateway.addr, "/a/x").await.status, 200);
    while let Ok(request) = service.requests.try_recv() {
        assert!(request.line.starts_with("GET"), "{request:?}");
    }
}

#[tokio::test]
async fn a_second_try_is_paid_for_by_the_budget_and_a_hop_that_serves_a_retry_sends_none() {
    let mut none = hedging();
    (none.traffic.retry.budget_percent, none.traffic.retry.budget_floor) = (0, 0);
    none.traffic.retry.try_timeout = Some(Duration::from_millis(200));
    let (_hangs, _service, gateway) = hanging(none).await;
    let mut late = 0;
    for _ in 0..4 {
        late += usize::from(get(gateway.addr, "/a/x").await.status == 504);
    }
    assert!(late >= 1, "no retry was left");
    assert!(hedges(&gateway, "denied").await >= 1);

    let mut serving = hedging();
    serving.trusted_hops = vec!["127.0.0.1".parse().unwrap()];
    serving.timeouts.request = Duration::from_millis(200);
    let (_hangs, _service, gateway) = hanging(serving).await;
    let mut late = 0;
    for _ in 0..4 {
        let answer = get_with(gateway.addr, "/a/x", "x-envoy-attempt-count: 2\r\n").await;
        late += usize::from(answer.status == 504);
    }
    assert!(late >= 1 && hedges(&gateway, "second").await == 0);
}

#[tokio::test]
async fn an_answer_stands_when_its_repetition_finds_no_instance() {
    let down = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown";
    let mut service = crate::support::answering(down).await;
    let mut settings = settings();
    let breaker = regatta_resilience::breaker::Settings::default().with_failure_threshold(1);
    settings.traffic.cluster.breaker = Some(breaker);
    let gateway = start(settings.clone(), &[service.addr]).await;
    let answer = get(gateway.addr, "/a/x").await;
    assert_eq!((answer.status, answer.text().as_str(), service.unseen()), (503, "down", 1));

    let gateway = start(settings, &[service.addr]).await;
    let request = Request::get("http://shop/a/x").body(Full::<Bytes>::default()).unwrap();
    let answer = send(&mut client(gateway.addr).await, request).await;
    assert_eq!((answer.status().as_u16(), service.unseen()), (503, 1));
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    assert_eq!(body, "down");
}

#[tokio::test]
async fn a_connection_whose_answer_stood_is_kept_for_its_own_instance() {
    let down = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown";
    let mut service = crate::support::answering(down).await;
    let nobody = crate::support::nobody().await;
    let mut settings = settings();
    let breaker = regatta_resilience::breaker::Settings::default().with_failure_threshold(1);
    settings.traffic.cluster.breaker = Some(breaker);
    let gateway = start(settings, &[service.addr, nobody]).await;
    let mut own = 0;
    for _ in 0..4 {
        let answer = get(gateway.addr, "/a/x").await;
        assert_eq!(answer.status, 503);
        own += usize::from(answer.text() == "down");
    }
    // One answered and its breaker opened; nobody listens at the other, to whom nothing may go.
    assert_eq!((own, service.unseen(), service.connections()), (1, 1, 1));
}

#[tokio::test]
async fn what_fails_at_once_does_not_teach_that_answers_come_at_once() {
    for is_http2 in [false, true] {
        let is_hanging = Arc::new(AtomicBool::new(false));
        let hangs = Arc::clone(&is_hanging);
        let script = move |_, _: &Message| match hangs.load(Ordering::SeqCst) {
            true => (Vec::new(), false),
            false => {
                let failed = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
                (failed.as_bytes().to_vec(), false)
            }
        };
        let script: Arc<crate::support::Script> = Arc::new(script);
        let (one, other) = (upstream(Arc::clone(&script)).await, upstream(script).await);
        let mut settings = hedging();
        settings.timeouts.request = Duration::from_secs(1);
        let cluster = &mut settings.traffic.cluster;
        (cluster.breaker, cluster.service_breaker, cluster.outlier) = (None, None, None);
        let gateway = start(settings, &[one.addr, other.addr]).await;
        let mut client = client(gateway.addr).await;
        let mut status = async || {
            if !is_http2 {
                return get(gateway.addr, "/a/x").await.status;
            }
            let request = Request::get("http://shop/a/x").body(Full::<Bytes>::default()).unwrap();
            send(&mut client, request).await.status().as_u16()
        };
        for _ in 0..20 {
            assert_eq!(status().await, 500);
        }
        is_hanging.store(true, Ordering::SeqCst);
        assert_eq!(status().await, 504);
        assert_eq!(hedges(&gateway, "first").await + hedges(&gateway, "denied").await, 0);
        let metrics = get(gateway.admin, "/metrics").await.text();
        assert!(
            !metrics.contains("regatta_gateway_hedges_total{answer=\"second\"} 1"),
            "{metrics}"
        );
    }
}

/// Settings that hedge after what is usual, 20 ms at most, learnt from twenty requests.
fn hedging() -> Settings {
    let (least, most) = (Duration::from_millis(1), Duration::from_millis(20));
    let hedge = hedge::Settings::default().with_minimum_calls(20).with_delay(least, most);
    let mut settings = settings();
    settings.traffic.hedge = Some(hedge);
    settings
}

/// An instance that has answered ten requests and none since, one that answers, and their gateway.
async fn hanging(settings: Settings) -> (Upstream, Upstream, Running) {
    let is_hanging = Arc::new(AtomicBool::new(false));
    let hangs = Arc::clone(&is_hanging);
    let script = move |_, request: &Message| match hangs.load(Ordering::SeqCst) {
        true => (Vec::new(), false),
        false => (ok(&request.body), false),
    };
    let (mut one, mut other) = (upstream(Arc::new(script)).await, echo().await);
    let gateway = start(settings, &[one.addr, other.addr]).await;
    for _ in 0..20 {
        let request = "GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n";
        assert_eq!(ask(gateway.addr, request).await.status, 200);
    }
    is_hanging.store(true, Ordering::SeqCst);
    one.unseen();
    other.unseen();
    (one, other, gateway)
}

async fn hedges(gateway: &Running, answer: &str) -> u64 {
    let metrics = get(gateway.admin, "/metrics").await.text();
    let name = format!("regatta_gateway_hedges_total{{answer=\"{answer}\"}} ");
    let count = metrics.lines().find_map(|line| line.strip_prefix(&name));
    count.map_or(0, |count| count.parse().unwrap())
}
