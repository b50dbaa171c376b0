//! The whole service with the other services' interfaces, found by discovery.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use regatta::axum::extract::State;
use regatta::axum::response::{IntoResponse, Response};
use regatta::axum::{Json, Router, routing::post};
use regatta::http::{HeaderMap, StatusCode};
use regatta::testing::Running;
use regatta::{Config, Problem, Service};
use regatta_discovery::MemoryRegistry;
use regatta_proto::userservice::user_service_server::{UserService, UserServiceServer};
use regatta_proto::userservice::{
    CreateUserRequest, CreateUserResponse, GetUserRequest, GetUserResponse,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Request, Status};

use crate::running::{SECRET, bearer, order};

#[tokio::test]
async fn the_user_is_asked_over_grpc_and_the_payment_made_over_rest() {
    let system = System::start().await;
    let placed = order(&system.orders, Some("k"), &json!({ "user_id": 7, "amount": 5 })).await;
    assert_eq!(placed.status(), 201, "{}", placed.text());
    let seen = system.till.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 1);
    let (_, request) = seen.iter().next().unwrap();
    assert_eq!(request.body, json!({ "order_id": 1, "amount": "5.00" }));
    assert!(request.token.starts_with("Bearer ey"), "the caller's own token is passed on");
    let nobody = order(&system.orders, Some("n"), &json!({ "user_id": 8, "amount": 5 })).await;
    assert_eq!(nobody.json()["code"], "user_not_found");
}

#[tokio::test]
async fn a_declined_payment_and_an_odd_answer_are_told_apart() {
    let system = System::start().await;
    system.till.answer(402);
    let declined = order(&system.orders, Some("a"), &json!({ "user_id": 7, "amount": 5 })).await;
    assert_eq!((declined.status().as_u16(), &declined.json()["reason"]), (402, &json!("no money")));
    for (key, status) in [("b", 200), ("c", 400), ("d", 500)] {
        system.till.answer(status);
        let odd = order(&system.orders, Some(key), &json!({ "user_id": 7, "amount": 5 })).await;
        assert_eq!(odd.status(), 502, "{status}: {}", odd.text());
        assert_eq!(odd.json()["order_status"], "pending", "{status}");
    }
}

#[tokio::test]
async fn while_payments_are_refused_the_order_waits_and_is_paid_once_later() {
    let system = System::start().await;
    let body = json!({ "user_id": 7, "amount": 5 });
    system.till.answer(503);
    let pending = order(&system.orders, Some("k"), &body).await;
    assert_eq!(pending.status(), 503, "{}", pending.text());
    assert_eq!(pending.json()["order_id"], 1);
    system.till.answer(201);
    let placed = order(&system.orders, Some("k"), &body).await;
    assert_eq!(placed.status(), 201, "{}", placed.text());
    assert_eq!(system.till.seen.lock().unwrap().len(), 1, "every try has the same payment key");
}

#[tokio::test]
async fn with_no_user_service_known_nothing_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let orders = start_orders(&MemoryRegistry::new(), &folder).await;
    let answer = order(&orders, Some("k"), &json!({ "user_id": 7, "amount": 5 })).await;
    assert_eq!(answer.status(), 503, "{}", answer.text());
    assert_eq!(answer.json()["service"], "user-service");
    assert!(answer.json()["order_id"].is_null());
}

struct System {
    orders: Running,
    till: Arc<Till>,
    _others: [Running; 2],
    _folder: TempDir,
}

impl System {
    async fn start() -> Self {
        let (registry, folder) = (MemoryRegistry::new(), tempfile::tempdir().unwrap());
        let till = Arc::new(Till::default());
        let others = [start_users(&registry).await, start_payments(&registry, &till).await];
        let orders = start_orders(&registry, &folder).await;
        Self { orders, till, _others: others, _folder: folder }
    }
}

async fn start_orders(registry: &MemoryRegistry, folder: &TempDir) -> Running {
    let yaml = format!(
        "database: {{ url: 'sqlite://{}/orders.db' }}\nauth: {{ secret: '{SECRET}' }}\n",
        folder.path().display()
    );
    let service = open("order-service", &yaml, registry).await;
    Running::start(order_service::assemble(service, &Default::default()).await.unwrap())
        .await
        .unwrap()
}

pub(crate) async fn start_users(registry: &MemoryRegistry) -> Running {
    let service = open("user-service", "{}", registry).await;
    Running::start(service.grpc(UserServiceServer::new(OnlySeven))).await.unwrap()
}

pub(crate) async fn start_payments(registry: &MemoryRegistry, till: &Arc<Till>) -> Running {
    let routes = Router::new().route("/payments", post(pay)).with_state(till.clone());
    let service = open("payment-service", "{}", registry).await;
    Running::start(service.rest(routes)).await.unwrap()
}

async fn open(name: &str, yaml: &str, registry: &MemoryRegistry) -> Service {
    let config = Config::builder().yaml("config.yaml", yaml).build().unwrap();
    let service = Service::builder(name).config(config).registry(registry.clone()).quiet();
    service.build().await.unwrap()
}

/// Knows user 7.
struct OnlySeven;

#[tonic::async_trait]
impl UserService for OnlySeven {
    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<tonic::Response<GetUserResponse>, Status> {
        match request.get_ref().user_id {
            7 => Ok(tonic::Response::new(GetUserResponse { user_id: 7, ..Default::default() })),
            _ => Err(Status::not_found("only 7")),
        }
    }

    async fn create_user(
        &self,
        _request: Request<CreateUserRequest>,
    ) -> Result<tonic::Response<CreateUserResponse>, Status> {
        Err(Status::unimplemented("only reads"))
    }
}

/// A payment-service that answers with the status it is told, 201 at first.
#[derive(Default)]
pub(crate) struct Till {
    status: AtomicU16,
    /// By idempotency key.
    pub(crate) seen: Mutex<HashMap<String, Asked>>,
}

#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) body: Value,
    token: String,
}

impl Till {
    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
}

async fn pay(
    State(till): State<Arc<Till>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let asked = Asked { body, token: text("authorization") };
    let number = {
        let mut seen = till.seen.lock().unwrap();
        seen.insert(text("idempotency-key"), asked);
        seen.len()
    };
    match till.status.load(Ordering::SeqCst) {
        0 | 201 => (StatusCode::CREATED, Json(json!({ "payment_id": number }))).into_response(),
        402 => Problem::new(402, "payment_declined", "Payment declined", "no")
            .with_member("reason", "no money")
            .into_response(),
        status => (StatusCode::from_u16(status).unwrap(), "garbage").into_response(),
    }
}

#[test]
fn a_bearer_token_is_never_printed() {
    let authority = order_service::domain::Authority::new(bearer("1", &["user"]));
    assert_eq!(format!("{authority:?}"), "Authority(***)");
}
