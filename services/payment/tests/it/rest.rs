//! Payments by events and over REST, through the whole service.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use payment_service::settings::PaymentSettings;
use regatta::auth::{Grant, Issuer, SigningKey, now};
use regatta::events::{CloudEvent, EventBus, GroupName, HistoryQuery};
use regatta::http::{Method, Request};
use regatta::testing::{Answer, Running};
use regatta::{Config, Secret, Service};
use regatta_testkit::wait_until;
use serde_json::{Value, json};
use tempfile::TempDir;

const SECRET: &str = "a secret of the tests, 32 bytes or more";
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_order_that_is_placed_is_paid_told_of_and_read() {
    let service = PaymentService::start("").await;
    service.place(7, "19.99").await;
    let made = service.told("payment.made").await;
    assert_eq!(made.json(), Some(&json!({ "payment_id": 1, "order_id": 7 })));
    assert_eq!(made.extension(CloudEvent::CORRELATION_ID), Some("whole"));
    let paid = service.get("1", &["user"], "/payments/1").await.json();
    assert_eq!((&paid["status"], &paid["amount"]), (&json!("paid"), &json!(19.99)));
    let found = service.get("1", &["user"], "/payments?order_id=7").await.json();
    assert_eq!(found["payments"], json!([paid]));
    let none = service.get("1", &["user"], "/payments?order_id=8").await.json();
    assert_eq!(none["payments"], json!([]));
}

#[tokio::test]
async fn what_is_over_the_limit_is_declined_and_told_with_the_reason() {
    let service = PaymentService::start("payments: { limit: 50 }").await;
    service.place(1, "50.01").await;
    let reason = "amount 50.01 is over the limit of 50.00";
    let declined = service.told("payment.declined").await;
    assert_eq!(declined.json().unwrap()["reason"], reason);
    let read = service.get("1", &["user"], "/payments/1").await.json();
    assert_eq!((&read["status"], &read["reason"]), (&json!("declined"), &json!(reason)));
    service.place(2, "50.00").await;
    service.told("payment.made").await;
}

#[tokio::test]
async fn money_goes_back_when_the_order_service_asks_for_it() {
    let service = PaymentService::start("").await;
    service.place(7, "5").await;
    service.told("payment.made").await;
    let data = json!({ "order_id": 7, "payment_id": 1 });
    service.tell("order.refund_requested", data.clone()).await;
    assert_eq!(service.told("payment.refunded").await.json().unwrap()["order_id"], 7);
    assert_eq!(service.get("1", &["user"], "/payments/1").await.json()["status"], "refunded");
}

#[tokio::test]
async fn a_message_that_makes_no_sense_is_a_dead_letter_and_stops_nobody() {
    let service = PaymentService::start("").await;
    service.tell("order.placed", json!({ "order_id": 7 })).await;
    service.tell("order.refund_requested", json!({ "payment_id": 99 })).await;
    service.place(8, "5").await;
    service.told("payment.made").await;
    let group = GroupName::try_new("payment-service").unwrap();
    wait_until("two dead letters", LIMIT, async || {
        service.bus.dead_letters(&group, 0, 10).await.unwrap().len() == 2
    })
    .await;
}

#[tokio::test]
async fn nobody_pays_over_rest_and_bad_questions_are_refused() {
    let service = PaymentService::start("").await;
    let post = Request::post("/payments").header("authorization", bearer("1", &["user"]));
    assert_eq!(service.running.send(post.body(String::new())).await.status(), 405);
    for path in ["/payments", "/payments?order_id=0", "/payments?order_id=x", "/payments/0"] {
        assert_eq!(service.get("1", &["user"], path).await.status(), 400, "{path}");
    }
}

#[tokio::test]
async fn only_the_payer_and_an_administrator_see_a_payment() {
    let service = PaymentService::start("").await;
    service.place(7, "1").await;
    service.told("payment.made").await;
    assert_eq!(service.get("1", &["user"], "/payments/1").await.status(), 200);
    assert_eq!(service.get("2", &["user"], "/payments/1").await.status(), 404);
    assert_eq!(service.get("2", &["user", "admin"], "/payments/1").await.status(), 200);
    assert_eq!(service.get("2", &["guest"], "/payments/1").await.status(), 403);
    assert_eq!(service.running.get("/payments/1").await.status(), 401);
    let hidden = service.get("2", &["user"], "/payments?order_id=7").await.json();
    assert_eq!(hidden["payments"], json!([]));
}

struct PaymentService {
    running: Running,
    bus: Arc<dyn EventBus>,
    _folder: TempDir,
}

impl PaymentService {
    async fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().display();
        let yaml = format!(
            "database: {{ url: 'sqlite://{name}/p.db' }}\n\
             events: {{ url: 'sqlite://{name}/events.db' }}\n\
             auth: {{ secret: '{SECRET}' }}\n{settings}\n"
        );
        let config = Config::builder().yaml("config.yaml", &yaml).build().unwrap();
        let opening = Service::builder("payment-service").config(config).quiet();
        let (service, settings) = opening.build_with::<PaymentSettings>().await.unwrap();
        let service = payment_service::assemble(service, &settings).await.unwrap();
        let bus = service.events().unwrap().bus();
        Self { running: Running::start(service).await.unwrap(), bus, _folder: folder }
    }

    /// Tells, as the order-service does, that user 1 placed an order.
    async fn place(&self, order_id: i32, amount: &str) {
        let data = json!({ "order_id": order_id, "amount": amount, "payer": "1" });
        self.tell("order.placed", data).await;
    }

    async fn tell(&self, event_type: &str, data: Value) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = COUNT.fetch_add(1, Ordering::SeqCst).to_string();
        let event = CloudEvent::try_new(id, "/order-service", event_type).unwrap();
        let event = event.with_extension(CloudEvent::CORRELATION_ID, "whole").unwrap();
        self.bus.publish(&[event.with_json(data)]).await.unwrap();
    }

    /// The first message of this type that the service told.
    async fn told(&self, event_type: &str) -> CloudEvent {
        let mut found = None;
        wait_until(event_type, LIMIT, async || {
            let history = self.bus.history(&HistoryQuery::default()).await.unwrap();
            let events = history.into_iter().map(|logged| logged.event);
            found = events.into_iter().find(|event| event.event_type() == event_type);
            found.is_some()
        })
        .await;
        found.unwrap()
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
