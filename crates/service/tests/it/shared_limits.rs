//! Limits of clients that replicas share through a real Redis server.

use http::Request;
use regatta::testing::{Answer, Running};
use regatta_testkit::{Redis, wait_until};

use crate::fixture::{PATIENCE, running};

#[tokio::test]
async fn a_client_has_one_share_of_all_replicas_together() {
    let redis = Redis::start().await.unwrap();
    let settings = format!(
        "{{rate_limit: {{requests: 5}}, limits: {{url: '{}', on_outage: refuse}}}}",
        redis.url()
    );
    let replicas = [running(&settings).await, running(&settings).await];
    // The first requests make the connections.
    for (number, replica) in replicas.iter().enumerate() {
        wait_until("the shared counts", PATIENCE, async || {
            ask(replica, &format!("warm-up-{number}")).await.status() == 200
        })
        .await;
    }
    let mut allowed = 0;
    for number in 0..8 {
        let answer = ask(&replicas[number % 2], "alice").await;
        assert_eq!(answer.header("x-ratelimit-limit"), "5");
        allowed += u32::from(answer.status() == 200);
        if answer.status() == 429 {
            assert_eq!(answer.json()["error"], "Rate limit exceeded");
            assert_eq!(answer.header("x-ratelimit-remaining"), "0");
            let seconds: u64 = answer.header("retry-after").parse().unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
        }
    }
    assert_eq!(allowed, 5);
    assert_eq!(ask(&replicas[0], "bob").await.status(), 200);
    let health = replicas[0].get("/health").await.json();
    assert_eq!(health["dependencies"]["limits"]["status"], "healthy");
}

#[tokio::test]
async fn while_the_shared_counts_are_away_the_setting_decides_and_health_says_so() {
    let mut redis = Redis::start().await.unwrap();
    let url = redis.url();
    redis.stop();
    for (on_outage, statuses) in
        [("count", [200, 200, 429]), ("admit", [200; 3]), ("refuse", [429; 3])]
    {
        let service = running(&format!(
            "{{rate_limit: {{requests: 2}}, limits: {{url: '{url}', on_outage: {on_outage}}}}}"
        ))
        .await;
        for status in statuses {
            assert_eq!(ask(&service, "alice").await.status(), status, "{on_outage}");
        }
        for _ in 0..5 {
            ask(&service, "bob").await;
        }
        let health = service.get("/health").await.json();
        assert_eq!(health["dependencies"]["limits"]["status"], "unhealthy", "{on_outage}");
        assert_eq!(service.get("/health/ready").await.status(), 200);
    }
}

async fn ask(service: &Running, client: &str) -> Answer {
    let request = Request::get("/hello").header("x-client-id", client);
    service.send(request.body(String::new())).await
}
