//! Peers that do as the test says, and the service over them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use order_service::domain::{
    Authority, Cashier, Desk, Directory, Order, Orders, PeerError, Settlement, UserId,
};
use order_service::{api, store};
use regatta::auth::{Grant, Issuer, SigningKey, now};
use regatta::database::{Database, Options};
use regatta::http::{Method, Request};
use regatta::testing::{Answer, Running};
use regatta::{Config, Secret, Service};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const SECRET: &str = "a secret of the tests, 32 bytes or more";

/// Peers that do as the test says. Users under 1000 exist; up to 1000.00 is paid.
#[derive(Default)]
pub(crate) struct Peers {
    pub(crate) users_are_away: AtomicBool,
    pub(crate) payments_are_away: AtomicBool,
    /// The payment is made, and its answer is lost on the way.
    pub(crate) answers_are_lost: AtomicBool,
    /// Payment numbers by payment key: what was really paid.
    pub(crate) paid: Mutex<HashMap<String, i32>>,
    pub(crate) asked: AtomicU32,
}

#[async_trait]
impl Directory for Peers {
    async fn knows(&self, user: UserId) -> Result<bool, PeerError> {
        if self.users_are_away.load(Ordering::SeqCst) {
            return Err(PeerError::Unavailable { service: "user-service", source: "away".into() });
        }
        Ok(user.number() < 1000)
    }
}

#[async_trait]
impl Cashier for Peers {
    async fn pay(&self, order: &Order, _authority: &Authority) -> Result<Settlement, PeerError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let away = || PeerError::Unavailable { service: "payment-service", source: "away".into() };
        if self.payments_are_away.load(Ordering::SeqCst) {
            return Err(away());
        }
        if order.amount > "1000".parse().unwrap() {
            return Ok(Settlement::Declined { reason: "over the limit".into() });
        }
        let payment_id = {
            let mut paid = self.paid.lock().unwrap();
            let next = i32::try_from(paid.len()).unwrap() + 1;
            *paid.entry(order.payment_key.clone()).or_insert(next)
        };
        if self.answers_are_lost.load(Ordering::SeqCst) {
            return Err(away());
        }
        Ok(Settlement::Paid { payment_id })
    }
}

/// A desk over a store of its own.
pub(crate) struct Shop {
    pub(crate) desk: Desk,
    pub(crate) orders: Arc<dyn Orders>,
    pub(crate) peers: Arc<Peers>,
    folder: TempDir,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/orders.db", folder.path().display());
        let database = Database::open(&url, &Options::default()).unwrap();
        database.migrate(store::MIGRATIONS).await.unwrap();
        let (orders, peers) = (store::orders(&database), Arc::new(Peers::default()));
        let desk = Desk::new(orders.clone(), peers.clone(), peers.clone());
        Self { desk, orders, peers, folder }
    }

    /// Serves the desk over REST.
    pub(crate) async fn serve(self) -> OrderService {
        let yaml = format!("auth: {{ secret: '{SECRET}' }}");
        let config = Config::builder().yaml("config.yaml", &yaml).build().unwrap();
        let service = Service::builder("order-service").config(config).quiet();
        let service = service.build().await.unwrap();
        let routes = api::rest::routes(self.desk, &service.auth().unwrap());
        let running = Running::start(service.rest(routes)).await.unwrap();
        OrderService { running, peers: self.peers, _folder: self.folder }
    }
}

/// The service over peers that do as the test says.
pub(crate) struct OrderService {
    pub(crate) running: Running,
    pub(crate) peers: Arc<Peers>,
    _folder: TempDir,
}

impl OrderService {
    pub(crate) async fn order(&self, key: Option<&str>, body: &Value) -> Answer {
        order(&self.running, key, body).await
    }

    pub(crate) async fn get(&self, user: &str, roles: &[&str], path: &str) -> Answer {
        let request = Request::builder().method(Method::GET).uri(path);
        let request = request.header("authorization", bearer(user, roles));
        self.running.send(request.body(String::new())).await
    }
}

/// Places an order as user 1.
pub(crate) async fn order(running: &Running, key: Option<&str>, body: &Value) -> Answer {
    let mut request = Request::post("/orders").header("content-type", "application/json");
    request = request.header("authorization", bearer("1", &["user"]));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    running.send(request.body(body.to_string())).await
}

pub(crate) fn bearer(user: &str, roles: &[&str]) -> String {
    let issuer = Issuer::new(SigningKey::hs256(&Secret::new(SECRET)).unwrap());
    let grant = Grant::new(user).roles(roles.iter().copied());
    format!("Bearer {}", issuer.issue(&grant, now()).unwrap())
}
