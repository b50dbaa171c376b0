//! What is tried again, where, and what is not.

use std::time::Duration;

use regatta_client::Error;
use regatta_core::Origin;
use regatta_resilience::retry::Backoff;
use regatta_traffic::cluster::Policies;

use crate::fleet::{Does, Fleet, MILLISECOND, options};

#[tokio::test]
async fn one_of_three_instances_dead_costs_no_get() {
    let fleet = Fleet::new();
    let (one, two, _dead) = (
        fleet.serve(Does::Answer(200)).await,
        fleet.serve(Does::Answer(200)).await,
        fleet.dead().await,
    );
    let users = fleet.client(options());
    for _ in 0..60 {
        assert_eq!(users.get("/users/1").send().await.unwrap().status(), 200);
    }
    assert_eq!(one.hits() + two.hits(), 60);
}

#[tokio::test]
async fn one_of_three_instances_dead_costs_no_post_for_it_was_not_sent() {
    let fleet = Fleet::new();
    let (one, two, _dead) = (
        fleet.serve(Does::Answer(201)).await,
        fleet.serve(Does::Answer(201)).await,
        fleet.dead().await,
    );
    let users = fleet.client(options());
    let calls = (0..60).map(|_| users.post("/users").json(&"a").send());
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap().status(), 201);
    }
    assert_eq!(one.hits() + two.hits(), 60);
}

#[tokio::test]
async fn an_instance_that_hangs_costs_a_try_and_not_the_call() {
    let fleet = Fleet::new();
    let (hangs, works) = (fleet.serve(Does::Hang).await, fleet.serve(Does::Answer(200)).await);
    let mut options = options();
    options.try_timeout = Duration::from_millis(50);
    let users = fleet.client(options);
    for _ in 0..4 {
        assert_eq!(users.get("/users/1").send().await.unwrap().status(), 200);
    }
    assert!(hangs.hits() > 0);
    assert_eq!(works.hits(), 4);
}

#[tokio::test]
async fn what_the_caller_got_wrong_is_not_tried_again() {
    let fleet = Fleet::new();
    for status in [400, 401, 404, 409, 422, 429] {
        let server = fleet.serve(Does::Answer(status)).await;
        let answer = fleet.client(options()).get("/users/1").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), server.hits()), (status, 1));
        fleet.remove(&server).await;
    }
}

#[tokio::test]
async fn a_get_refused_by_one_instance_is_answered_by_another() {
    let fleet = Fleet::new();
    for status in [502, 503, 504] {
        let (bad, good) =
            (fleet.serve(Does::Answer(status)).await, fleet.serve(Does::Answer(200)).await);
        let users = fleet.client(options());
        for _ in 0..2 {
            assert_eq!(users.get("/users/1").send().await.unwrap().status(), 200);
        }
        assert!(bad.hits() >= 1, "{status}");
        assert_eq!(good.hits(), 2, "{status}");
        fleet.remove(&bad).await;
        fleet.remove(&good).await;
    }
}

#[tokio::test]
async fn a_failure_of_the_request_itself_is_not_tried_again() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.serve(Does::Answer(500)).await, fleet.serve(Does::Answer(500)).await);
    let answer = fleet.client(options()).get("/users/1").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), one.hits() + two.hits()), (500, 1));
}

#[tokio::test]
async fn a_post_that_was_sent_is_not_sent_again() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.serve(Does::Answer(503)).await, fleet.serve(Does::Answer(503)).await);
    let answer = fleet.client(options()).post("/users").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), one.hits() + two.hits()), (503, 1));
}

#[tokio::test]
async fn a_post_whose_connection_broke_is_not_sent_again() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.serve_bytes(b"").await, fleet.serve_bytes(b"").await);
    let error = fleet.client(options()).post("/users").send().await.unwrap_err();
    assert!(matches!(error, Error::Broken { .. }) && error.was_sent(), "{error}");
    assert_eq!(one.hits() + two.hits(), 1);
}

#[tokio::test]
async fn a_post_with_a_key_is_sent_again() {
    let fleet = Fleet::new();
    let (bad, good) = (fleet.serve(Does::Answer(503)).await, fleet.serve(Does::Answer(201)).await);
    let users = fleet.client(options());
    for key in ["a", "b"] {
        let answer = users.post("/users").idempotency_key(key).json(&1).send().await.unwrap();
        assert_eq!(answer.status(), 201);
    }
    assert!(bad.hits() >= 1);
    assert_eq!(good.hits(), 2);
}

#[tokio::test]
async fn an_instance_that_answers_garbage_is_passed_by_for_a_get() {
    let fleet = Fleet::new();
    let (bad, good) =
        (fleet.serve_bytes(b"hello\r\n\r\n").await, fleet.serve(Does::Answer(200)).await);
    let users = fleet.client(options());
    for _ in 0..2 {
        assert_eq!(users.get("/users/1").send().await.unwrap().status(), 200);
    }
    assert!(bad.hits() >= 1);
    assert_eq!(good.hits(), 2);
}

#[tokio::test]
async fn garbage_alone_is_an_error_of_upstream_that_names_it() {
    let fleet = Fleet::new();
    let server = fleet.serve_bytes(b"hello\r\n\r\n").await;
    let error = fleet.client(options()).get("/users/1").send().await.unwrap_err();
    assert_eq!((error.origin(), error.status().as_u16()), (Origin::Upstream, 503));
    assert!(error.to_string().contains("`user-service`"), "{error}");
    assert!(error.to_string().contains(&server.instance.endpoint.to_string()), "{error}");
    assert_eq!(server.hits(), 3);
}

#[tokio::test]
async fn three_tries_and_then_the_last_answer() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(503)).await;
    let answer = fleet.client(options()).get("/users/1").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), server.hits()), (503, 3));
}

#[tokio::test]
async fn an_answer_stands_when_its_retry_finds_no_instance() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(503)).await;
    let mut options = options();
    let breaker = regatta_resilience::breaker::Settings::default().with_failure_threshold(1);
    options.cluster.breaker = Some(breaker);
    let answer = fleet.client(options).get("/users/1").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), server.hits()), (503, 1));
    assert_eq!(answer.text().await.unwrap(), "answer");
}

#[tokio::test]
async fn a_retry_that_never_goes_out_is_back_in_the_budget() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Answer(503)).await;
    let mut options = options();
    options.cluster = unbroken();
    // Ten retries in all, and waits that nobody sees the end of.
    (options.retry_percent, options.retries_per_second) = (0, 1);
    let hour = Duration::from_secs(3600);
    options.timeout = 4 * hour;
    options.retry.backoff = Backoff::try_new(hour, hour).unwrap();
    let users = fleet.client(options);
    for _ in 0..50 {
        let before = server.hits();
        let given_up = async {
            let mut call = Box::pin(users.get("/users/1").send());
            while server.hits() == before {
                assert!(tokio::time::timeout(MILLISECOND, call.as_mut()).await.is_err());
            }
            // Its answer is there and it waits, or ends at once because the budget is empty.
            tokio::time::timeout(MILLISECOND * 5, call).await
        };
        assert!(given_up.await.is_err(), "there was a retry to wait for");
    }
}

#[tokio::test]
async fn a_service_that_asks_for_a_long_wait_is_left_alone() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Shed(6)).await;
    let answer = fleet.client(options()).get("/users/1").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), server.hits()), (503, 1));
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for() {
    let fleet = Fleet::new();
    let server = fleet.serve(Does::Shed(1)).await;
    let users = fleet.client(options());
    let started = tokio::time::Instant::now();
    let answer = users.get("/users/1").timeout(Duration::from_millis(1_900)).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), server.hits()), (503, 2));
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_service_that_fails_altogether_gets_the_budget_and_no_more() {
    let fleet = Fleet::new();
    let servers = [fleet.serve(Does::Answer(503)).await, fleet.serve(Does::Answer(503)).await];
    let mut options = options();
    options.cluster = unbroken();
    options.retries_per_second = 1;
    let users = fleet.client(options);
    for _ in 0..100 {
        assert_eq!(users.get("/users/1").send().await.unwrap().status(), 503);
    }
    let hits = servers.iter().map(crate::fleet::Server::hits).sum::<u32>();
    // A floor of 10 in 10 s, and 10 more should the machine be so slow.
    assert!((110..=120).contains(&hits), "{hits}");
}

#[tokio::test]
async fn successes_earn_retries() {
    let fleet = Fleet::new();
    let good = fleet.serve(Does::Answer(200)).await;
    let mut options = options();
    (options.retry_percent, options.retries_per_second) = (100, 0);
    let users = fleet.client(options);
    for _ in 0..2 {
        users.get("/users/1").send().await.unwrap();
    }
    let bad = fleet.serve(Does::Answer(503)).await;
    fleet.remove(&good).await;
    for hits in [3, 4] {
        assert_eq!(users.get("/users/1").send().await.unwrap().status(), 503);
        assert_eq!(bad.hits(), hits);
    }
}

#[tokio::test]
async fn a_retry_goes_to_another_instance_whatever_the_strategy() {
    let fleet = Fleet::new();
    let (bad, good) = (fleet.serve(Does::Answer(503)).await, fleet.serve(Does::Answer(200)).await);
    let mut options = options();
    options.cluster = unbroken();
    options.cluster.balance = regatta_traffic::balance::Strategy::Random;
    let users = fleet.client(options);
    for _ in 0..25 {
        assert_eq!(users.get("/users/1").send().await.unwrap().status(), 200);
    }
    assert!(bad.hits() <= 25);
    assert_eq!(good.hits(), 25);
}

#[tokio::test]
async fn a_call_given_up_half_way_frees_what_it_held() {
    let fleet = Fleet::new();
    let hangs = fleet.serve(Does::Hang).await;
    let users = fleet.client(options());
    for round in 1..=20 {
        let call = users.get("/users/1").send();
        let given_up = tokio::time::timeout(MILLISECOND * 20, call).await;
        assert!(given_up.is_err(), "{round}");
    }
    // Twenty calls given up are no failures: the breaker is closed, and calls still go there.
    let call = users.get("/users/1").timeout(MILLISECOND * 50).send();
    assert!(matches!(call.await, Err(Error::Timeout { .. })));
    assert!(hangs.hits() > 0);
}

/// Nobody is left alone, whatever it does.
fn unbroken() -> Policies {
    let mut policies = options().cluster;
    (policies.breaker, policies.service_breaker, policies.outlier) = (None, None, None);
    policies
}

async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(cx)
            {
                *output = Some(ready);
            }
        }
        let is_done = outputs.iter().all(Option::is_some);
        if is_done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
