//! Orders and payments after kills, each counted where it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nix::sys::signal::Signal;
use regatta_e2e::{Caller, System, Traffic};
use serde_json::{Value, json};

/// Numbers in a row without a record after which there are no more: a kill leaves few gaps.
const GAP: i64 = 50;

#[tokio::test]
async fn an_acknowledged_order_has_one_payment_and_what_was_begun_is_finished_without_its_client() {
    let unlimited = |manifest: String| manifest.replace("per_client: 60/min", "per_client: none");
    let system = System::start_changed(unlimited).unwrap();
    let caller = Caller::new(&system.url("gateway").unwrap()).unwrap();
    let caller = caller.with_token(&system.token("1", &["user"]).unwrap());
    let ada = json!({"name": "Ada", "email": "ada@example.com"});
    let user = caller.post("/user-service/users", &ada).await.unwrap().json()["user_id"].clone();

    // Clients who ask once and never come back.
    let traffic = Traffic::start(4, Duration::from_millis(5), move |_| {
        let (buyer, order) = (caller.clone(), json!({"user_id": user, "amount": 1}));
        async move { buyer.post("/order-service/orders", &order).await }
    });
    for service in ["order-service", "payment-service", "order-service"] {
        traffic.more_acknowledged(40).await.unwrap();
        let instance = system.part(service).unwrap();
        system.replace(&instance, Signal::SIGKILL).await.unwrap();
    }
    traffic.more_acknowledged(40).await.unwrap();
    let report = traffic.stop().await;
    let acknowledged: BTreeSet<i64> = report
        .acknowledged
        .iter()
        .map(|text| serde_json::from_str::<Value>(text).unwrap()["order_id"].as_i64().unwrap())
        .collect();
    assert!(acknowledged.len() > 100, "{:?} {:?}", report.statuses, report.examples);

    let admin = system.token("9", &["admin", "user"]).unwrap();
    let at = |service: &str| {
        let caller = Caller::new(&system.url(service).unwrap()).unwrap();
        caller.with_token(&admin)
    };
    let orders = at("order-service");
    let finished = async {
        while all(&orders, "/orders").await.iter().any(|order| order["status"] == "created") {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), finished)
        .await
        .expect("no order waits for ever");

    let orders = all(&orders, "/orders").await;
    assert!(orders.iter().all(|order| order["status"] == "paid"), "{orders:?}");
    let orders: BTreeSet<i64> = orders.iter().map(|o| o["order_id"].as_i64().unwrap()).collect();
    assert!(orders.is_superset(&acknowledged));
    let mut payments: BTreeMap<i64, u32> = BTreeMap::new();
    for payment in all(&at("payment-service"), "/payments").await {
        *payments.entry(payment["order_id"].as_i64().unwrap()).or_default() += 1;
    }
    let twice: Vec<_> = payments.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "orders that were paid more than once: {twice:?}");
    assert_eq!(payments.into_keys().collect::<BTreeSet<_>>(), orders, "one payment an order");
}

/// Every record, by its number.
async fn all(caller: &Caller, path: &str) -> Vec<Value> {
    let (mut found, mut missing, mut number) = (Vec::new(), 0, 0);
    while missing < GAP {
        number += 1;
        let answer = caller.get(&format!("{path}/{number}")).await.unwrap();
        match answer.status {
            200 => {
                missing = 0;
                found.push(answer.json());
            }
            404 => missing += 1,
            status => panic!("{path}/{number}: {status} {}", answer.text),
        }
    }
    found
}
