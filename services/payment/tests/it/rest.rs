//! Payments over REST, through the whole service.

use payment_service::settings::PaymentSettings;
use regatta::auth::{Grant, Issuer, SigningKey, now};
use regatta::http::{Method, Request};
use regatta::testing::{Answer, Running};
use regatta::{Config, Secret, Service};
use serde_json::{Value, json};
use tempfile::TempDir;

const SECRET: &str = "a secret of the tests, 32 bytes or more";

#[tokio::test]
async fn a_payment_is_made_and_read() {
    let service = PaymentService::start("").await;
    let paid = service.pay("1", Some("k"), &json!({ "order_id": 7, "amount": 19.99 })).await;
    assert_eq!((paid.status().as_u16(), paid.header("location")), (201, "payments/1"));
    assert_eq!(paid.json()["status"], "paid");
    assert_eq!(paid.json()["amount"], 19.99);
    assert_eq!(service.get("1", &["user"], "/payments/1").await.json(), paid.json());
}

#[tokio::test]
async fn what_is_over_the_limit_is_declined_and_recorded() {
    let service = PaymentService::start("payments: { limit: 50 }").await;
    let at_limit = json!({ "order_id": 1, "amount": "50.00" });
    assert_eq!(service.pay("1", Some("a"), &at_limit).await.status(), 201);
    let over = json!({ "order_id": 2, "amount": "50.01" });
    let declined = service.pay("1", Some("b"), &over).await;
    assert_eq!(declined.status(), 402);
    let problem = declined.json();
    assert_eq!(problem["code"], "payment_declined");
    assert_eq!(problem["reason"], "amount 50.01 is over the limit of 50.00");
    let path = format!("/payments/{}", problem["payment_id"]);
    assert_eq!(service.get("1", &["user"], &path).await.json()["status"], "declined");
}

#[tokio::test]
async fn a_key_pays_once() {
    let service = PaymentService::start("").await;
    let payment = json!({ "order_id": 7, "amount": "19.99" });
    let first = service.pay("1", Some("k"), &payment).await;
    let again = service.pay("1", Some("\"k\""), &payment).await;
    assert_eq!((again.status(), again.json()), (first.status(), first.json()));
    let other = service.pay("1", Some("k"), &json!({ "order_id": 7, "amount": "20" })).await;
    assert_eq!(other.status(), 422);
    assert_eq!(other.json()["code"], "idempotency_key_reused");
    assert_eq!(service.pay("2", Some("k"), &payment).await.json()["payment_id"], 2);
}

#[tokio::test]
async fn a_payment_without_a_proper_key_is_refused() {
    let service = PaymentService::start("").await;
    let payment = json!({ "order_id": 7, "amount": "19.99" });
    let none = service.pay("1", None, &payment).await;
    assert_eq!(none.status(), 400);
    assert_eq!(none.json()["code"], "idempotency_key_required");
    for key in ["", "a b", &"k".repeat(256)] {
        let answer = service.pay("1", Some(key), &payment).await;
        assert_eq!(answer.json()["code"], "invalid_idempotency_key", "{key}");
    }
}

#[tokio::test]
async fn bad_fields_are_refused() {
    let service = PaymentService::start("").await;
    for body in [
        json!({ "order_id": 0, "amount": 1 }),
        json!({ "order_id": 2_147_483_648_i64, "amount": 1 }),
        json!({ "order_id": 1, "amount": 0 }),
        json!({ "order_id": 1, "amount": -1 }),
        json!({ "order_id": 1, "amount": "1.005" }),
        json!({ "order_id": 1, "amount": 1.005 }),
        json!({ "order_id": 1, "amount": "a lot" }),
        json!({ "order_id": 1, "amount": 1, "currency": "EUR" }),
        json!({ "order_id": 1 }),
    ] {
        let answer = service.pay("1", Some("k"), &body).await;
        assert_eq!(answer.status(), 400, "{body}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{body}");
    }
}

#[tokio::test]
async fn only_the_payer_and_an_administrator_see_a_payment() {
    let service = PaymentService::start("").await;
    service.pay("1", Some("k"), &json!({ "order_id": 7, "amount": 1 })).await;
    assert_eq!(service.get("1", &["user"], "/payments/1").await.status(), 200);
    assert_eq!(service.get("2", &["user"], "/payments/1").await.status(), 404);
    assert_eq!(service.get("2", &["user", "admin"], "/payments/1").await.status(), 200);
    assert_eq!(service.get("2", &["guest"], "/payments/1").await.status(), 403);
    assert_eq!(service.running.get("/payments/1").await.status(), 401);
    assert_eq!(service.get("1", &["user"], "/payments/0").await.status(), 400);
}

struct PaymentService {
    running: Running,
    _folder: TempDir,
}

impl PaymentService {
    async fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let yaml = format!(
            "database: {{ url: 'sqlite://{}/p.db' }}\nauth: {{ secret: '{SECRET}' }}\n{settings}\n",
            folder.path().display()
        );
        let config = Config::builder().yaml("config.yaml", &yaml).build().unwrap();
        let opening = Service::builder("payment-service").config(config).quiet();
        let (service, settings) = opening.build_with::<PaymentSettings>().await.unwrap();
        let service = payment_service::assemble(service, &settings).await.unwrap();
        Self { running: Running::start(service).await.unwrap(), _folder: folder }
    }

    async fn pay(&self, payer: &str, key: Option<&str>, body: &Value) -> Answer {
        let mut request = Request::post("/payments").header("content-type", "application/json");
        request = request.header("authorization", bearer(payer, &["user"]));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.running.send(request.body(body.to_string())).await
    }

    async fn get(&self, user: &str, roles: &[&str], path: &str) -> Answer {
        let request = Request::builder().method(Method::GET).uri(path);
        let request = request.header("authorization", bearer(user, roles));
        self.running.send(request.body(String::new())).await
    }
}

fn bearer(user: &str, roles: &[&str]) -> String {
    let issuer = Issuer::new(SigningKey::hs256(&Secret::new(SECRET)).unwrap());
    let grant = Grant::new(user).roles(roles.iter().copied());
    format!("Bearer {}", issuer.issue(&grant, now()).unwrap())
}
