//! Which errors count against an instance, as the rules of traffic say.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use regatta_gateway::Settings;
use regatta_traffic::fault::FailureOn;

use crate::http2::{client, send};
use crate::live::live;
use crate::support::{
    Upstream, answering, answering_once, get, get_with, instance, settings, start,
};

fn counting(words: &[&str]) -> Settings {
    let mut settings = settings();
    settings.traffic.retry.retries = 0;
    settings.traffic.cluster.outlier = None;
    let conditions = words.iter().map(|word| word.parse().unwrap());
    settings.traffic.cluster.failure_on = FailureOn::new(conditions);
    settings
}

/// How many of ten requests come through to the service.
async fn let_through(settings: Settings, service: &mut Upstream) -> usize {
    let gateway = start(settings, &[service.addr]).await;
    for _ in 0..10 {
        get(gateway.addr, "/a/x").await;
    }
    service.unseen()
}

#[tokio::test]
async fn a_status_that_is_named_opens_the_breaker_and_one_that_is_not_does_not() {
    let mut busy = answering("HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(let_through(counting(&["5xx"]), &mut busy).await, 10);
    assert_eq!(let_through(counting(&["5xx", "429"]), &mut busy).await, 5);
    let mut broken = answering("HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(let_through(counting(&["gateway_error"]), &mut broken).await, 10);
    assert_eq!(let_through(counting(&["5xx"]), &mut broken).await, 5);
}

#[tokio::test]
async fn connections_that_break_and_answers_that_are_cut_off_count_apart() {
    let mut mute = answering_once("").await;
    assert_eq!(let_through(counting(&["cut_off", "5xx"]), &mut mute).await, 10);
    assert_eq!(let_through(counting(&["reset"]), &mut mute).await, 5);
    let mut half = answering_once("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
    let ask = async |words: &[&str], service: &mut Upstream| {
        let gateway = start(counting(words), &[service.addr]).await;
        for _ in 0..10 {
            let mut wire = crate::support::Wire::connect(gateway.addr).await;
            wire.send("GET /a/x HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").await;
            wire.rest().await;
        }
        service.unseen()
    };
    assert_eq!(ask(&["reset", "timeout"], &mut half).await, 10);
    assert_eq!(ask(&["cut_off"], &mut half).await, 5);
}

#[tokio::test]
async fn what_is_no_answer_counts_like_a_connection_that_breaks() {
    let mut garbage = answering("SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    assert_eq!(let_through(counting(&["cut_off", "5xx"]), &mut garbage).await, 10);
    assert_eq!(let_through(counting(&["reset"]), &mut garbage).await, 5);
}

#[tokio::test]
async fn time_that_ran_out_counts_if_it_is_named() {
    let mut mute = answering("").await;
    let short = |words: &[&str]| {
        let mut settings = counting(words);
        settings.timeouts.request = Duration::from_millis(20);
        settings
    };
    assert_eq!(let_through(short(&["reset"]), &mut mute).await, 10);
    assert_eq!(let_through(short(&["timeout"]), &mut mute).await, 5);
}

#[tokio::test]
async fn a_caller_with_no_patience_opens_no_breaker_over_either_version() {
    let mut mute = answering("").await;
    let haste = ("x-envoy-expected-rq-timeout-ms", "20");
    let gateway = start(counting(&["timeout"]), &[mute.addr]).await;
    let mut client = client(gateway.addr).await;
    for _ in 0..10 {
        let line = format!("{}: {}\r\n", haste.0, haste.1);
        assert_eq!(get_with(gateway.addr, "/a/x", &line).await.status, 504);
        let request = Request::get("http://shop/a/x").header(haste.0, haste.1);
        let answer = send(&mut client, request.body(Full::<Bytes>::default()).unwrap()).await;
        assert_eq!(answer.status(), 504);
    }
    assert_eq!(mute.unseen(), 20);
}

#[tokio::test]
async fn over_http_2_the_same_counts() {
    for (words, expected) in [(&["5xx"][..], 10), (&["429"], 5)] {
        let mut busy = answering("HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n").await;
        let gateway = start(counting(words), &[busy.addr]).await;
        let mut client = client(gateway.addr).await;
        for _ in 0..10 {
            let request = Request::get("http://shop/a/x").body(Full::<Bytes>::default()).unwrap();
            send(&mut client, request).await;
        }
        assert_eq!(busy.unseen(), expected, "{words:?}");
    }
}

#[tokio::test]
async fn over_http_2_an_answer_that_is_cut_off_counts_if_it_is_named() {
    for (words, expected) in [(&["reset", "5xx"][..], 10), (&["cut_off"], 5)] {
        let mut half = answering_once("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
        let gateway = start(counting(words), &[half.addr]).await;
        let mut client = client(gateway.addr).await;
        for _ in 0..10 {
            let request = Request::get("http://shop/a/x").body(Full::<Bytes>::default()).unwrap();
            // Cut off, or the breaker's answer.
            _ = send(&mut client, request).await.into_body().collect().await;
        }
        assert_eq!(half.unseen(), expected, "{words:?}");
    }
}

#[tokio::test]
async fn another_list_holds_from_the_next_answer_on() {
    let mut broken = answering("HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n").await;
    let gateway = live(counting(&["timeout"]), vec![instance(broken.addr, None)]).await;
    for _ in 0..10 {
        assert_eq!(get(gateway.addr, "/a/x").await.status, 500);
    }
    gateway.handle.apply(counting(&["5xx"])).unwrap();
    for _ in 0..10 {
        get(gateway.addr, "/a/x").await;
    }
    assert_eq!(broken.unseen(), 15);
}

#[tokio::test]
async fn an_answer_that_does_not_count_is_no_success_to_the_budget_of_retries() {
    let mut busy = answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
    let mut settings = counting(&[]);
    let retry = &mut settings.traffic.retry;
    (retry.retries, retry.budget_percent, retry.budget_floor) = (1, 100, 0);
    assert_eq!(let_through(settings.clone(), &mut busy).await, 10);
    let gateway = start(settings, &[busy.addr]).await;
    let mut client = client(gateway.addr).await;
    for _ in 0..10 {
        let request = Request::get("http://shop/a/x").body(Full::<Bytes>::default()).unwrap();
        assert_eq!(send(&mut client, request).await.status(), 503);
    }
    assert_eq!(busy.unseen(), 10);
}

#[tokio::test]
async fn a_504_to_a_caller_with_less_time_than_the_policy_gives_opens_nothing() {
    let mut late = answering("HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n").await;
    let ask = async |millis: &str, service: &mut Upstream| {
        let gateway = start(counting(&["5xx", "timeout"]), &[service.addr]).await;
        for _ in 0..10 {
            let line = format!("x-envoy-expected-rq-timeout-ms: {millis}\r\n");
            get_with(gateway.addr, "/a/x", &line).await;
        }
        service.unseen()
    };
    assert_eq!(ask("2", &mut late).await, 10);
    // So long before the end of that time it is the service's own word.
    assert_eq!(ask("4000", &mut late).await, 5);
}
