//! What is sent again, where to, and what is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{
    Message, Wire, answering, ask, echo, get, get_with, nobody, ok, settings, start, upstream,
};

const DOWN: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown";
const POST: &str = "POST /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";

#[tokio::test]
async fn an_instance_that_refuses_connections_costs_no_request_of_any_method() {
    let service = echo().await;
    let gateway = start(settings(), &[nobody().await, service.addr]).await;
    for _ in 0..10 {
        assert_eq!(get(gateway.addr, "/a/x").await.status, 200);
        assert_eq!(ask(gateway.addr, POST).await.status, 200);
    }
}

#[tokio::test]
async fn an_answer_that_says_unavailable_is_asked_of_another_instance_if_that_is_safe() {
    let (mut down, mut service) = (answering(DOWN).await, echo().await);
    let gateway = start(settings(), &[down.addr, service.addr]).await;
    for _ in 0..4 {
        assert_eq!(get(gateway.addr, "/a/x").await.status, 200);
    }
    assert!(down.unseen() >= 1);
    let mut attempts = Vec::new();
    while let Ok(request) = service.requests.try_recv() {
        attempts.push(request.field("x-envoy-attempt-count").unwrap().to_owned());
    }
    assert!(attempts.contains(&"2".to_owned()), "{attempts:?}");
}

#[tokio::test]
async fn a_post_that_may_have_been_done_is_not_sent_twice() {
    let (mut one, mut two) = (answering(DOWN).await, answering(DOWN).await);
    let gateway = start(settings(), &[one.addr, two.addr]).await;
    let answer = ask(gateway.addr, POST).await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "down"));
    assert_eq!(one.unseen() + two.unseen(), 1);
    // A connection that breaks after the request was sent may have done it too.
    let broken = upstream(Arc::new(|_, _: &Message| (Vec::new(), true))).await;
    let mut other = echo().await;
    let gateway = start(settings(), &[broken.addr, other.addr]).await;
    let mut statuses = Vec::new();
    for _ in 0..2 {
        statuses.push(ask(gateway.addr, POST).await.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);
    assert_eq!(other.unseen(), 1);
}

#[tokio::test]
async fn a_get_whose_connection_breaks_is_asked_of_another_instance() {
    let broken = upstream(Arc::new(|_, _: &Message| (Vec::new(), true))).await;
    let service = echo().await;
    let gateway = start(settings(), &[broken.addr, service.addr]).await;
    for _ in 0..4 {
        assert_eq!(get(gateway.addr, "/a/x").await.status, 200);
    }
}

#[tokio::test]
async fn a_kept_connection_that_the_service_closed_costs_no_request() {
    // Each connection serves one request and closes without saying so.
    let service = upstream(Arc::new(|_, _: &Message| (ok(b"x"), true))).await;
    let gateway = start(settings(), &[service.addr]).await;
    let mut wire = Wire::connect(gateway.addr).await;
    for number in 0..20 {
        let request = if number % 2 == 0 { "GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n" } else { POST };
        wire.send(request).await;
        assert_eq!(wire.message().await.unwrap().status, 200, "request {number}");
        // The close is on its way through the kernel; a request in that gap is another test.
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_breaker_keeps_requests_from_an_instance_that_fails() {
    let (mut down, service) = (answering(DOWN).await, echo().await);
    let gateway = start(settings(), &[down.addr, service.addr]).await;
    for _ in 0..40 {
        get(gateway.addr, "/a/x").await;
    }
    assert_eq!(down.unseen(), 5, "the threshold");
    let in_flight = "regatta_gateway_requests{service=\"a\",state=\"in_flight\"} 0";
    // An answer is with its client a moment before its request is none in flight any more.
    let mut metrics = String::new();
    for _ in 0..200 {
        metrics = get(gateway.admin, "/metrics").await.text();
        if metrics.contains(in_flight) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(metrics.contains(in_flight), "{metrics}");
    for line in [
        "regatta_gateway_breaker_changes_total{service=\"a\",to=\"open\"} 1",
        "regatta_gateway_breaker_changes_total{service=\"a\",to=\"half_open\"} 0",
        "regatta_gateway_ejection_changes_total{service=\"a\",to=\"ejected\"} 1",
        "regatta_gateway_ejection_changes_total{service=\"a\",to=\"returned\"} 0",
        "regatta_gateway_panic_changes_total{service=\"a\",to=\"begun\"} 0",
        "regatta_gateway_instances{service=\"a\",state=\"open\"} 1",
        "regatta_gateway_instances{service=\"a\",state=\"closed\"} 1",
        "regatta_gateway_instances{service=\"a\",state=\"ejected\"} 1",
        "regatta_gateway_requests{service=\"a\",state=\"queued\"} 0",
        "regatta_gateway_discovery_stale_seconds{service=\"a\"} 0",
    ] {
        assert!(metrics.lines().any(|own| own == line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn an_instance_that_answers_500_is_left_alone() {
    let broken = "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops";
    let (mut broken, service) = (answering(broken).await, echo().await);
    let gateway = start(settings(), &[broken.addr, service.addr]).await;
    let mut failed = 0;
    for _ in 0..40 {
        failed += usize::from(get(gateway.addr, "/a/x").await.status == 500);
    }
    assert_eq!((broken.unseen(), failed), (5, 5), "the threshold, and none was repeated");
}

#[tokio::test]
async fn an_attempt_that_never_left_is_not_counted_towards_the_service() {
    let mut service = echo().await;
    let gateway = start(settings(), &[nobody().await, service.addr]).await;
    for _ in 0..4 {
        assert_eq!(get(gateway.addr, "/a/x").await.status, 200);
        assert_eq!(service.request().await.field("x-envoy-attempt-count"), Some("1"));
    }
}

#[tokio::test]
async fn the_only_instance_is_asked_once_more_and_then_its_answer_is_passed_on() {
    let mut down = answering(DOWN).await;
    let gateway = start(settings(), &[down.addr]).await;
    let answer = get(gateway.addr, "/a/x").await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "down"));
    assert_eq!(down.unseen(), 2);
}

#[tokio::test]
async fn a_service_that_asks_for_a_long_wait_is_not_asked_again() {
    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 30\r\nContent-Length: 4\r\n\r\nbusy";
    let mut down = answering(busy).await;
    let gateway = start(settings(), &[down.addr]).await;
    let answer = get(gateway.addr, "/a/x").await;
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("30")));
    assert_eq!(down.unseen(), 1);
    let metrics = get(gateway.admin, "/metrics").await.text();
    let line = "regatta_gateway_retries_stopped_total{reason=\"retry_after\"} 1";
    assert!(metrics.lines().any(|own| own == line), "{metrics}");
}

#[tokio::test]
async fn a_post_with_an_idempotency_key_may_be_sent_twice() {
    let (mut down, mut service) = (answering(DOWN).await, echo().await);
    let gateway = start(settings(), &[down.addr, service.addr]).await;
    let keyed = POST.replace("\r\n\r\n", "\r\nIdempotency-Key: k\r\n\r\n");
    for _ in 0..2 {
        assert_eq!(ask(gateway.addr, &keyed).await.status, 200);
    }
    assert!(down.unseen() >= 1);
    assert_eq!(service.unseen(), 2);
}

#[tokio::test]
async fn a_hop_that_serves_a_retry_does_not_retry() {
    let mut down = answering(DOWN).await;
    let mut settings = settings();
    settings.trusted_hops = vec!["127.0.0.1".parse().unwrap()];
    let gateway = start(settings, &[down.addr]).await;
    let again = "x-envoy-attempt-count: 2\r\n";
    assert_eq!(get_with(gateway.addr, "/a/x", again).await.status, 503);
    assert_eq!(down.unseen(), 1);
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_given_up_for_another_instance() {
    let (mut slow, service) =
        (upstream(Arc::new(|_, _: &Message| (Vec::new(), false))).await, echo().await);
    let mut settings = settings();
    settings.traffic.retry.try_timeout = Some(std::time::Duration::from_millis(50));
    let gateway = start(settings, &[slow.addr, service.addr]).await;
    for _ in 0..2 {
        assert_eq!(get(gateway.addr, "/a/x").await.status, 200);
    }
    assert!(slow.unseen() >= 1);
}

#[tokio::test]
async fn what_could_not_be_sent_again_has_the_whole_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings();
    settings.traffic.retry.try_timeout = Some(Duration::from_millis(50));
    let gateway = start(settings, &[listener.local_addr().unwrap()]).await;
    let (mut post, mut read) =
        (Wire::connect(gateway.addr).await, Wire::connect(gateway.addr).await);
    post.send(POST).await;
    let (stream, _) = listener.accept().await.unwrap();
    let mut posted = Wire { stream, read: Vec::new() };
    assert_eq!(posted.message().await.unwrap().text(), "hi");
    // A read that was sent later is given up after the time of a try.
    read.send("GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (stream, _) = listener.accept().await.unwrap();
    Wire { stream, read: Vec::new() }.rest().await;
    posted.send(ok(b"done")).await;
    assert_eq!(post.message().await.unwrap().text(), "done");
}

#[tokio::test]
async fn retries_stay_within_the_budget() {
    let seen = Arc::new(AtomicUsize::new(0));
    let mut addresses = Vec::new();
    let mut services = Vec::new();
    for _ in 0..2 {
        let seen = Arc::clone(&seen);
        let service = upstream(Arc::new(move |_, _: &Message| {
            seen.fetch_add(1, Ordering::SeqCst);
            (DOWN.as_bytes().to_vec(), false)
        }))
        .await;
        addresses.push(service.addr);
        services.push(service);
    }
    let mut settings = settings();
    let cluster = &mut settings.traffic.cluster;
    (cluster.breaker, cluster.service_breaker, cluster.outlier) = (None, None, None);
    let gateway = start(settings, &addresses).await;
    for _ in 0..100 {
        get(gateway.addr, "/a/x").await;
    }
    let seen = seen.load(Ordering::SeqCst);
    // 30 retries are the floor for ten seconds; without a success nothing is added.
    assert!((130..=140).contains(&seen), "{seen}");
}
