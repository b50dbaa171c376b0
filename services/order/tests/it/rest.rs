//! Orders over REST, over peers that do as the test says.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::running::Shop;

#[tokio::test]
async fn an_order_is_placed_and_read() {
    let service = Shop::open().await.serve().await;
    let placed = service.order(Some("k"), &json!({ "user_id": 7, "amount": 19.99 })).await;
    assert_eq!((placed.status().as_u16(), placed.header("location")), (201, "orders/1"));
    assert_eq!(placed.json(), json!({ "order_id": 1, "status": "created" }));
    let order = service.get("1", &["user"], "/orders/1").await.json();
    assert_eq!((&order["amount"], &order["status"]), (&json!(19.99), &json!("created")));
    assert_eq!((&order["user_id"], &order["payment_id"]), (&json!(7), &json!(1)));
}

#[tokio::test]
async fn a_repeated_request_gets_the_answer_of_the_first() {
    let service = Shop::open().await.serve().await;
    let body = json!({ "user_id": 7, "amount": "19.99" });
    let first = service.order(Some("k"), &body).await;
    let again = service.order(Some("k"), &body).await;
    assert_eq!((again.status(), again.json()), (first.status(), first.json()));
    let other = service.order(Some("k"), &json!({ "user_id": 7, "amount": 20 })).await;
    assert_eq!(other.status(), 422);
    assert_eq!(other.json()["code"], "idempotency_key_reused");
}

#[tokio::test]
async fn a_declined_order_says_why() {
    let service = Shop::open().await.serve().await;
    let declined = service.order(Some("k"), &json!({ "user_id": 7, "amount": 1000.01 })).await;
    let problem = declined.json();
    assert_eq!((declined.status().as_u16(), &problem["order_id"]), (402, &json!(1)));
    assert_eq!(problem["code"], "payment_declined");
    assert_eq!(problem["reason"], "over the limit");
    let order = service.get("1", &["user"], "/orders/1").await.json();
    assert_eq!(
        (&order["status"], &order["reason"]),
        (&json!("declined"), &json!("over the limit"))
    );
}

#[tokio::test]
async fn an_order_for_nobody_is_refused() {
    let service = Shop::open().await.serve().await;
    let refused = service.order(Some("k"), &json!({ "user_id": 1000, "amount": 1 })).await;
    assert_eq!(refused.status(), 422);
    assert_eq!(refused.json()["code"], "user_not_found");
}

#[tokio::test]
async fn with_a_peer_away_the_client_is_told_to_repeat() {
    let service = Shop::open().await.serve().await;
    let body = json!({ "user_id": 7, "amount": 1 });
    service.peers.users_are_away.store(true, Ordering::SeqCst);
    let unknown = service.order(Some("k"), &body).await;
    assert_eq!((unknown.status().as_u16(), unknown.header("retry-after")), (503, "1"));
    assert_eq!(unknown.json()["service"], "user-service");
    service.peers.users_are_away.store(false, Ordering::SeqCst);

    service.peers.payments_are_away.store(true, Ordering::SeqCst);
    let pending = service.order(Some("k"), &body).await;
    assert_eq!((pending.status().as_u16(), &pending.json()["order_id"]), (503, &json!(1)));
    let order = service.get("1", &["user"], "/orders/1").await.json();
    assert_eq!(order["status"], "pending");
    assert!(order["reason"].as_str().unwrap().contains("Idempotency-Key"));

    service.peers.payments_are_away.store(false, Ordering::SeqCst);
    let placed = service.order(Some("k"), &body).await;
    assert_eq!((placed.status().as_u16(), &placed.json()["order_id"]), (201, &json!(1)));
}

#[tokio::test]
async fn without_a_key_one_is_made_and_can_be_gone_on_with() {
    let service = Shop::open().await.serve().await;
    let body = json!({ "user_id": 7, "amount": 1 });
    service.peers.payments_are_away.store(true, Ordering::SeqCst);
    let pending = service.order(None, &body).await;
    assert_eq!(pending.status(), 503);
    service.peers.payments_are_away.store(false, Ordering::SeqCst);
    let key = pending.header("idempotency-key");
    let placed = service.order(Some(key), &body).await;
    assert_eq!(placed.json()["order_id"], pending.json()["order_id"]);
    assert_ne!(service.order(None, &body).await.json()["order_id"], placed.json()["order_id"]);
}

#[tokio::test]
async fn bad_input_is_refused() {
    let service = Shop::open().await.serve().await;
    for body in [
        json!({ "user_id": 0, "amount": 1 }),
        json!({ "user_id": 2_147_483_648_i64, "amount": 1 }),
        json!({ "user_id": "7", "amount": 1 }),
        json!({ "user_id": 7, "amount": 0 }),
        json!({ "user_id": 7, "amount": -1 }),
        json!({ "user_id": 7, "amount": "1.005" }),
        json!({ "user_id": 7, "amount": 1e300 }),
        json!({ "user_id": 7, "amount": null }),
        json!({ "user_id": 7, "amount": 1, "discount": 1 }),
        json!({ "user_id": 7 }),
        json!([]),
    ] {
        let answer = service.order(Some("k"), &body).await;
        assert_eq!(answer.status(), 400, "{body}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{body}");
    }
    for key in ["", "a b", &"k".repeat(256)] {
        let answer = service.order(Some(key), &json!({ "user_id": 7, "amount": 1 })).await;
        assert_eq!(answer.json()["code"], "invalid_idempotency_key", "{key}");
    }
    for id in ["0", "-1", "2147483648", "one"] {
        let answer = service.get("1", &["user"], &format!("/orders/{id}")).await;
        assert_eq!(answer.status(), 400, "{id}");
    }
}

#[tokio::test]
async fn only_who_placed_it_and_an_administrator_see_an_order() {
    let service = Shop::open().await.serve().await;
    service.order(Some("k"), &json!({ "user_id": 7, "amount": 1 })).await;
    assert_eq!(service.get("1", &["user"], "/orders/1").await.status(), 200);
    assert_eq!(service.get("2", &["user"], "/orders/1").await.status(), 404);
    assert_eq!(service.get("2", &["user", "admin"], "/orders/1").await.status(), 200);
    assert_eq!(service.get("2", &["guest"], "/orders/1").await.status(), 403);
    assert_eq!(service.running.get("/orders/1").await.status(), 401);
    assert_eq!(service.get("1", &["user"], "/orders/2").await.status(), 404);
}
