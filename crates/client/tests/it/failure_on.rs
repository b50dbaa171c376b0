//! Which errors count against an instance, as the policies say.

use std::sync::Arc;
use std::time::Duration;

use regatta_client::{Error, Options};
use regatta_traffic::fault::{Condition, FailureOn};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::fleet::{Does, Fleet, MILLISECOND, client, options};
use crate::grpc::failing;

/// Calls that are made before the breaker opens; 20 when it does not.
async fn calls_until_open(fleet: &Fleet, options: Options) -> usize {
    let users = fleet.client(options);
    for calls in 0..20 {
        match users.get("/").send().await {
            Err(Error::BreakerOpen { .. }) => return calls,
            Ok(answer) => drop(answer.text().await),
            Err(_) => (),
        }
    }
    20
}

fn counting(words: &[&str]) -> Options {
    let mut options = options();
    options.retry.tries = 1;
    let conditions = words.iter().map(|word| word.parse().unwrap());
    options.cluster.failure_on = FailureOn::new(conditions);
    options
}

#[tokio::test]
async fn a_status_that_is_named_counts_and_one_that_is_not_does_not() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(429)).await;
    assert_eq!(calls_until_open(&fleet, counting(&["5xx"])).await, 20);
    assert_eq!(calls_until_open(&fleet, counting(&["5xx", "429"])).await, 5);
    fleet.remove(&server).await;
    fleet.serve(Does::Answer(500)).await;
    assert_eq!(calls_until_open(&fleet, counting(&["gateway_error", "timeout"])).await, 20);
    assert_eq!(calls_until_open(&fleet, counting(&["5xx"])).await, 5);
}

#[tokio::test]
async fn time_that_ran_out_and_answers_that_broke_off_count_if_they_are_named() {
    let fleet = Fleet::new();
    let hanging = fleet.serve(Does::Hang).await;
    let mut impatient = counting(&["5xx"]);
    impatient.timeout = MILLISECOND * 10;
    assert_eq!(calls_until_open(&fleet, impatient.clone()).await, 20);
    impatient.cluster.failure_on = FailureOn::new([Condition::Timeout]);
    assert_eq!(calls_until_open(&fleet, impatient).await, 5);
    fleet.remove(&hanging).await;
    fleet.serve_bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    assert_eq!(calls_until_open(&fleet, counting(&["reset"])).await, 20);
    assert_eq!(calls_until_open(&fleet, counting(&["cut_off"])).await, 5);
}

#[tokio::test]
async fn a_refused_connection_counts_if_it_is_named() {
    let fleet = Fleet::new();
    let _dead = fleet.dead().await;
    assert_eq!(calls_until_open(&fleet, counting(&["connect", "reset"])).await, 20);
    assert_eq!(calls_until_open(&fleet, counting(&["refused"])).await, 5);
}

#[tokio::test]
async fn a_grpc_code_counts_if_it_is_named() {
    for (words, opens) in
        [(&["grpc:RESOURCE_EXHAUSTED"][..], true), (&["5xx", "429", "grpc:INTERNAL"][..], false)]
    {
        let fleet = Fleet::new();
        let server = failing(&fleet, Code::ResourceExhausted).await;
        let channel = fleet.channel(counting(words));
        for _ in 0..10 {
            let mut health = HealthClient::new(channel.clone());
            health.check(HealthCheckRequest::default()).await.unwrap_err();
        }
        assert_eq!(server.hits(), if opens { 5 } else { 10 }, "{words:?}");
    }
}

#[tokio::test]
async fn another_list_holds_from_the_next_answer_on() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(500)).await;
    let client = client(&fleet.registry, counting(&["timeout"]));
    let users = client.service("user-service").unwrap();
    for _ in 0..10 {
        users.get("/").send().await.unwrap();
    }
    client.reconfigure(counting(&["5xx"])).unwrap();
    for _ in 0..5 {
        users.get("/").send().await.unwrap();
    }
    let error = users.get("/").send().await.unwrap_err();
    assert!(matches!(error, Error::BreakerOpen { .. }), "{error}");
    assert_eq!(server.hits(), 15);
}

#[tokio::test]
async fn an_instance_that_takes_too_long_is_left_though_that_does_not_count() {
    let fleet = Fleet::new();
    let (slow, quick) = (fleet.serve(Does::Hang).await, fleet.serve(Does::Answer(200)).await);
    let mut options = counting(&[]);
    options.timeout = Duration::from_millis(50);
    options.cluster.balance = regatta_traffic::balance::Strategy::P2c;
    options.cluster.slow_start = regatta_traffic::cluster::SlowStart::OFF;
    let users = Arc::new(fleet.client(options));
    for _ in 0..40 {
        _ = users.get("/").send().await;
    }
    assert!(slow.hits() < 10 && quick.hits() > 30, "{} {}", slow.hits(), quick.hits());
}

#[tokio::test]
async fn an_answer_that_does_not_count_is_no_success_to_the_budget_of_retries() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(503)).await;
    let mut options = counting(&[]);
    (options.retry.tries, options.retry_percent, options.retries_per_second) = (2, 100, 0);
    let users = fleet.client(options);
    for _ in 0..10 {
        assert_eq!(users.get("/").send().await.unwrap().status(), 503);
    }
    assert_eq!(server.hits(), 10);
}
