//! Parts that die while traffic flows: nothing acknowledged is lost, and all comes back.

use std::collections::HashSet;
use std::time::Duration;

use nix::sys::signal::Signal;
use regatta_e2e::{Caller, System, Traffic};
use serde_json::json;

/// Callers and the pause between two calls of each: steady load that two cores carry.
const CALLERS: u64 = 4;
const PAUSE: Duration = Duration::from_millis(5);

#[tokio::test]
async fn a_killed_service_loses_nothing_that_it_acknowledged() {
    let system = unlimited();
    let caller = Caller::new(&system.url("gateway").unwrap()).unwrap();
    let admin_token = system.token("1", &["admin"]).unwrap();
    let writer = caller.clone();
    let traffic = Traffic::start(CALLERS, PAUSE, move |number| {
        let writer = writer.clone();
        let user = json!({"name": "U", "email": format!("u{number}@example.com")});
        async move { writer.post("/user-service/users", &user).await }
    });
    for _ in 0..3 {
        traffic.more(100).await.unwrap();
        let old = system.signal("user-service", Signal::SIGKILL).unwrap();
        system.wait_for_restart("user-service", old).await.unwrap();
    }
    traffic.more(100).await.unwrap();
    let report = traffic.stop().await;
    assert!(report.count(201) > 100, "{:?} {:?}", report.statuses, report.examples);
    // A call may fail while nobody serves; it may not be answered with anything strange. A write
    // that was done and not answered is seen as a conflict when the caller's next round repeats it.
    assert_eq!(
        report.others(&[201, 502, 503, 504]),
        0,
        "{:?} {:?}",
        report.statuses,
        report.examples
    );

    let mut kept = HashSet::new();
    // Straight at the service: what it kept is asked, not whether the gateway's breaker, which
    // broken calls may have opened for a minute, lets the question pass.
    let admin = Caller::new(&system.url("user-service").unwrap()).unwrap();
    let admin = admin.with_token(&admin_token);
    let mut path = "/admin/users?limit=100".to_owned();
    loop {
        let page = admin.get(&path).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.text);
        let users = page.json()["users"].as_array().cloned().unwrap();
        kept.extend(users.iter().map(|user| user["email"].as_str().unwrap().to_owned()));
        match page.json()["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    let acknowledged = report.acknowledged.len();
    let lost = report.acknowledged.iter().filter(|text| {
        let user: serde_json::Value = serde_json::from_str(text).unwrap();
        !kept.contains(user["email"].as_str().unwrap())
    });
    assert_eq!(lost.count(), 0, "of {acknowledged} acknowledged, {} kept", kept.len());
}

#[tokio::test]
async fn each_key_keeps_one_order_of_its_own_when_payment_or_order_service_dies() {
    let system = unlimited();
    let caller = Caller::new(&system.url("gateway").unwrap()).unwrap();
    let caller = caller.with_token(&system.token("1", &["user"]).unwrap());
    let user = json!({"name": "Ada", "email": "ada@example.com"});
    let user = caller.post("/user-service/users", &user).await.unwrap().json()["user_id"].clone();
    let buyer = caller.clone();
    let traffic = Traffic::start(CALLERS, PAUSE, move |number| {
        let (buyer, order) = (buyer.clone(), json!({"user_id": user, "amount": 1}));
        async move {
            let key = format!("order-{number}");
            // As a careful client does: the same key until there is an answer.
            let mut answer = buyer.post_once("/order-service/orders", &key, &order).await;
            for _ in 0..100 {
                if answer.as_ref().is_ok_and(|answer| answer.status < 500) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                answer = buyer.post_once("/order-service/orders", &key, &order).await;
            }
            answer
        }
    });
    for service in ["payment-service", "order-service"] {
        traffic.more(50).await.unwrap();
        let old = system.signal(service, Signal::SIGKILL).unwrap();
        system.wait_for_restart(service, old).await.unwrap();
    }
    traffic.more(50).await.unwrap();
    let report = traffic.stop().await;
    assert_eq!(report.others(&[201]), 0, "{:?} {:?}", report.statuses, report.examples);
    let ids: HashSet<_> = report.acknowledged.iter().collect();
    assert_eq!(ids.len(), report.acknowledged.len(), "each key has an order of its own");
}

/// The reference system without a rate limit.
fn unlimited() -> System {
    let change = |text: String| text.replace("per_client: 60/min", "per_client: none");
    System::start_changed(change).unwrap()
}
