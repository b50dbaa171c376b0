//! Orders over REST.

use std::sync::atomic::Ordering;

use regatta::http::Request;
use regatta_testkit::wait_until;
use serde_json::json;

use crate::running::{LIMIT, Shop, bearer, wish};

#[tokio::test]
async fn an_order_is_placed_at_once_and_read() {
    let shop = Shop::open().await;
    let placed = shop.order(Some("k"), &wish(19.99)).await;
    assert_eq!((placed.status().as_u16(), placed.header("location")), (201, "orders/1"));
    assert_eq!(placed.json(), json!({ "order_id": 1, "status": "created" }));
    let order = shop.read(&json!(1)).await;
    assert_eq!((&order["amount"], &order["status"]), (&json!(19.99), &json!("created")));
    assert_eq!(order["user_id"], 7);
    assert!(order["pay_by"].as_str() > order["created_at"].as_str(), "{order}");
}

#[tokio::test]
async fn a_repeated_request_gets_the_answer_of_the_first_whatever_came_of_it() {
    let shop = Shop::open().await;
    let body = json!({ "user_id": 7, "amount": "19.99" });
    let first = shop.order(Some("k"), &body).await;
    shop.tell("payment.made", json!({ "order_id": 1, "payment_id": 5 })).await;
    shop.becomes(&json!(1), "paid").await;
    // The user is not asked for again: the order stands.
    shop.users.are_away.store(true, Ordering::SeqCst);
    let again = shop.order(Some("k"), &body).await;
    assert_eq!((again.status(), again.json()), (first.status(), first.json()));
    let other = shop.order(Some("k"), &wish(20.0)).await;
    assert_eq!(other.status(), 422);
    assert_eq!(other.json()["code"], "idempotency_key_reused");
}

#[tokio::test]
async fn an_order_for_nobody_is_refused_and_uses_up_no_key() {
    let shop = Shop::open().await;
    let refused = shop.order(Some("k"), &json!({ "user_id": 1000, "amount": 1 })).await;
    assert_eq!(refused.status(), 422);
    assert_eq!(refused.json()["code"], "user_not_found");
    assert_eq!(shop.order(Some("k"), &wish(1.0)).await.status(), 201);
}

#[tokio::test]
async fn without_the_user_service_nothing_is_recorded_and_the_client_is_told_to_repeat() {
    let shop = Shop::open().await;
    shop.users.are_away.store(true, Ordering::SeqCst);
    let unknown = shop.order(None, &wish(1.0)).await;
    assert_eq!((unknown.status().as_u16(), unknown.header("retry-after")), (503, "1"));
    assert_eq!(unknown.json()["service"], "user-service");
    shop.users.are_away.store(false, Ordering::SeqCst);
    let key = unknown.header("idempotency-key").to_owned();
    let mut placed = shop.order(Some(&key), &wish(1.0)).await;
    wait_until("the user-service to be called again", LIMIT, async || {
        placed = shop.order(Some(&key), &wish(1.0)).await;
        placed.status() == 201
    })
    .await;
    assert_eq!(placed.json()["order_id"], 1);
    assert_ne!(shop.order(None, &wish(1.0)).await.json()["order_id"], placed.json()["order_id"]);
}

#[tokio::test]
async fn bad_input_is_refused() {
    let shop = Shop::open().await;
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
        let answer = shop.order(Some("k"), &body).await;
        assert_eq!(answer.status(), 400, "{body}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{body}");
    }
    for key in ["", "a b", &"k".repeat(256)] {
        let answer = shop.order(Some(key), &wish(1.0)).await;
        assert_eq!(answer.json()["code"], "invalid_idempotency_key", "{key}");
    }
    for path in ["/orders/0", "/orders/-1", "/orders/2147483648", "/orders/one", "/orders?limit=0"]
    {
        assert_eq!(shop.get("1", &["user"], path).await.status(), 400, "{path}");
    }
}

#[tokio::test]
async fn only_who_placed_it_and_an_administrator_see_an_order() {
    let shop = Shop::open().await;
    shop.order(Some("k"), &wish(1.0)).await;
    assert_eq!(shop.get("1", &["user"], "/orders/1").await.status(), 200);
    assert_eq!(shop.get("2", &["user"], "/orders/1").await.status(), 404);
    assert_eq!(shop.get("2", &["user", "admin"], "/orders/1").await.status(), 200);
    assert_eq!(shop.get("2", &["guest"], "/orders/1").await.status(), 403);
    assert_eq!(shop.running.get("/orders/1").await.status(), 401);
    assert_eq!(shop.get("1", &["user"], "/orders/2").await.status(), 404);
}

#[tokio::test]
async fn a_caller_lists_its_own_orders_page_by_page_and_an_administrator_all() {
    let shop = Shop::open().await;
    for key in ["a", "b", "c"] {
        shop.order(Some(key), &wish(1.0)).await;
    }
    let list = async |user, roles: &[&str], path: &str| shop.get(user, roles, path).await.json();
    wait_until("the list", LIMIT, async || {
        list("1", &["user"], "/orders").await["orders"].as_array().unwrap().len() == 3
    })
    .await;
    let page = shop.get("1", &["user"], "/orders?limit=2").await;
    assert_eq!(page.header("link"), "<?limit=2&after=2>; rel=\"next\"");
    assert_eq!(page.json()["next"], "/orders?limit=2&after=2");
    let rest = list("1", &["user"], "/orders?limit=2&after=2").await;
    assert_eq!((&rest["orders"][0]["order_id"], &rest["next"]), (&json!(3), &json!(null)));
    assert_eq!(list("2", &["user"], "/orders").await["orders"], json!([]));
    let all = list("2", &["user", "admin"], "/orders").await;
    assert_eq!(all["orders"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_order_that_is_placed_while_the_bus_is_away_is_answered_all_the_same() {
    let nowhere = "events: { url: 'postgres://nobody@127.0.0.1:1/none' }";
    let shop = Shop::open_elsewhere(nowhere).await;
    assert_eq!(shop.order(Some("k"), &wish(1.0)).await.status(), 201);
    assert_eq!(shop.running.get("/health/ready").await.status(), 200);
    let health = shop.running.get("/health").await.json();
    assert_eq!(health["dependencies"]["events"]["status"], "unhealthy", "{health}");
    let request = Request::get("/orders/1").header("authorization", bearer("1", &["user"]));
    let order = shop.running.send(request.body(String::new())).await.json();
    assert_eq!(order["status"], "created");
}
