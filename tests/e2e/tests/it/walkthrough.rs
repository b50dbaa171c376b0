//! The README's walk-through, step by step, through the gateway.

use std::time::Duration;

use regatta_e2e::{Answer, Caller, System};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_user_signs_up_changes_and_leaves() {
    let system = System::start().unwrap();
    let gateway = system.url("gateway").unwrap();
    let anyone = Caller::new(&gateway).unwrap();
    let user = anyone.clone().with_token(&system.token("1", &["user"]).unwrap());

    let created = anyone.post("/user-service/users", &ada()).await.unwrap();
    assert_eq!(created.status, 201, "{}", created.text);
    let id = created.json()["user_id"].as_i64().unwrap();
    let path = format!("/user-service/users/{id}");
    assert!(path.ends_with(created.header("location")), "{}", created.header("location"));

    let read = user.get(&path).await.unwrap();
    assert_eq!(read.status, 200, "{}", read.text);
    let members: Vec<_> = read.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["created_at", "email", "name", "user_id"]);
    assert_eq!(read.json()["name"], "Ada");

    let whole = json!({"name": "Ada King", "email": "king@example.com"});
    let put = user.send(Method::PUT, &path, &whole).await.unwrap();
    assert_eq!((put.status, &put.json()["email"]), (200, &json!("king@example.com")));
    let patched = user.send(Method::PATCH, &path, &json!({"name": "Countess"})).await.unwrap();
    assert_eq!((patched.status, &patched.json()["name"]), (200, &json!("Countess")));
    assert_eq!(patched.json()["email"], "king@example.com");

    let again = json!({"name": "Other", "email": "king@example.com"});
    let duplicate = anyone.post("/user-service/users", &again).await.unwrap();
    assert_eq!(duplicate.status, 409, "{}", duplicate.text);
    assert_eq!(duplicate.header("content-type"), "application/problem+json");

    assert_eq!(user.delete(&path).await.unwrap().status, 204);
    assert_eq!(user.delete(&path).await.unwrap().status, 404);
    assert_eq!(user.get(&path).await.unwrap().status, 404);
}

#[tokio::test]
async fn an_administrator_pages_through_all_users() {
    let system = System::start().unwrap();
    let gateway = system.url("gateway").unwrap();
    let anyone = Caller::new(&gateway).unwrap();
    for number in 0..5 {
        let user = json!({"name": "U", "email": format!("u{number}@example.com")});
        assert_eq!(anyone.post("/user-service/users", &user).await.unwrap().status, 201);
    }
    let admin = anyone.clone().with_token(&system.token("9", &["admin"]).unwrap());
    let user = anyone.with_token(&system.token("9", &["user"]).unwrap());

    let mut seen = Vec::new();
    let mut path = "/user-service/admin/users?limit=2".to_owned();
    for _ in 0..10 {
        let page = admin.get(&path).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.text);
        let users = page.json()["users"].as_array().cloned().unwrap();
        assert!(users.len() <= 2);
        seen.extend(users.iter().map(|user| user["email"].clone()));
        match page.json()["next"].as_str() {
            Some(next) => path = format!("/user-service{next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5, "{seen:?}");

    let refused = user.get("/user-service/admin/users").await.unwrap();
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json()["error"], "Insufficient permissions");
}

#[tokio::test]
async fn an_order_is_placed_once_under_its_key() {
    let system = System::start().unwrap();
    let gateway = system.url("gateway").unwrap();
    let caller = Caller::new(&gateway).unwrap();
    let caller = caller.with_token(&system.token("1", &["user"]).unwrap());
    let user = caller.post("/user-service/users", &ada()).await.unwrap().json()["user_id"].clone();

    let order = json!({"user_id": user, "amount": 42.50});
    let placed = caller.post_once("/order-service/orders", "key-1", &order).await.unwrap();
    assert_eq!(placed.status, 201, "{}", placed.text);
    assert_eq!(placed.json()["status"], "created");
    let id = placed.json()["order_id"].clone();

    let repeated = caller.post_once("/order-service/orders", "key-1", &order).await.unwrap();
    assert_eq!((repeated.status, &repeated.json()["order_id"]), (201, &id));
    let other = json!({"user_id": user, "amount": 1});
    let reused = caller.post_once("/order-service/orders", "key-1", &other).await.unwrap();
    assert_eq!(reused.status, 422, "{}", reused.text);

    let paid = settled(&caller, &id).await;
    assert_eq!((&paid["order_id"], &paid["status"]), (&id, &json!("paid")), "{paid}");
    let payments = format!("/payment-service/payments?order_id={id}");
    let payments = caller.get(&payments).await.unwrap().json();
    assert_eq!(payments["payments"].as_array().map(Vec::len), Some(1), "{payments}");
    assert_eq!(payments["payments"][0]["payment_id"], paid["payment_id"]);
    let again = caller.post_once("/order-service/orders", "key-1", &order).await.unwrap();
    assert_eq!((again.status, again.json()), (201, placed.json()), "the answer of the first");
}

#[tokio::test]
async fn an_order_that_cannot_be_says_why() {
    let system = System::start().unwrap();
    let gateway = system.url("gateway").unwrap();
    let caller = Caller::new(&gateway).unwrap();
    let caller = caller.with_token(&system.token("1", &["user"]).unwrap());
    let user = caller.post("/user-service/users", &ada()).await.unwrap().json()["user_id"].clone();

    let dear = json!({"user_id": user, "amount": 1_000_000});
    let placed = caller.post("/order-service/orders", &dear).await.unwrap();
    assert_eq!((placed.status, &placed.json()["status"]), (201, &json!("created")));
    let cancelled = settled(&caller, &placed.json()["order_id"]).await;
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    assert_eq!(cancelled["reason"], "amount 1000000.00 is over the limit of 1000.00");

    let nobody = json!({"user_id": 2_000_000_000, "amount": 1});
    let refused = caller.post("/order-service/orders", &nobody).await.unwrap();
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert_eq!(refused.json()["code"], "user_not_found");
}

#[tokio::test]
async fn every_service_tells_of_itself() {
    let system = System::start().unwrap();
    for service in ["user-service", "order-service", "payment-service"] {
        let caller = Caller::new(&system.url(service).unwrap()).unwrap();
        let health = healthy(&caller).await;
        for member in ["timestamp", "system", "dependencies", "version"] {
            assert!(!health.json()[member].is_null(), "{service} {member}: {}", health.text);
        }
        for path in ["/health/ready", "/readyz"] {
            assert_eq!(caller.get(path).await.unwrap().json(), json!({"status": "ready"}));
        }
        for path in ["/health/live", "/livez"] {
            assert_eq!(caller.get(path).await.unwrap().json(), json!({"status": "alive"}));
        }
        let metrics = caller.get("/metrics").await.unwrap().text;
        assert!(metrics.contains("http_server_request_duration_seconds"), "{metrics}");
        let api = caller.get("/openapi.json").await.unwrap().json();
        assert!(api["openapi"].as_str().unwrap().starts_with("3.1"), "{service}");
        assert!(!api["paths"].as_object().unwrap().is_empty(), "{service}");
    }
}

fn ada() -> Value {
    json!({"name": "Ada", "email": "ada@example.com"})
}

/// The first healthy answer: a service is ready before it is in the registry, and says so.
async fn healthy(caller: &Caller) -> Answer {
    for _ in 0..200 {
        let health = caller.get("/health").await.unwrap();
        if health.status == 200 && health.json()["status"] == "healthy" {
            return health;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not healthy within 10 s: {}", caller.get("/health").await.unwrap().text);
}

/// The order once it is paid or cancelled.
async fn settled(caller: &Caller, id: &Value) -> Value {
    for _ in 0..600 {
        let read = caller.get(&format!("/order-service/orders/{id}")).await.unwrap();
        assert!([200, 429].contains(&read.status), "{}", read.text);
        if read.status == 200 && read.json()["status"] != "created" {
            return read.json();
        }
        // Slow enough for the rate limit of the reference manifest.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("order {id} is neither paid nor cancelled within a minute");
}
