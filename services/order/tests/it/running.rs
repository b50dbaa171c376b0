//! The whole service, over users that do as the test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use regatta::auth::{Grant, Issuer, SigningKey, now};
use regatta::events::{CloudEvent, EventBus, HistoryQuery};
use regatta::http::{Method, Request};
use regatta::testing::{Answer, Running};
use regatta::{Config, Secret, Service};
use regatta_discovery::MemoryRegistry;
use regatta_proto::userservice::user_service_server::{UserService, UserServiceServer};
use regatta_proto::userservice::{
    CreateUserRequest, CreateUserResponse, GetUserRequest, GetUserResponse,
};
use regatta_testkit::wait_until;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Status;

pub(crate) const SECRET: &str = "a secret of the tests, 32 bytes or more";
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Knows users under 1000, unless it is away.
#[derive(Clone, Default)]
pub(crate) struct Users {
    pub(crate) are_away: Arc<AtomicBool>,
}

#[tonic::async_trait]
impl UserService for Users {
    async fn get_user(
        &self,
        request: tonic::Request<GetUserRequest>,
    ) -> Result<tonic::Response<GetUserResponse>, Status> {
        if self.are_away.load(Ordering::SeqCst) {
            return Err(Status::unavailable("away"));
        }
        match request.get_ref().user_id {
            user_id @ 1..1000 => {
                Ok(tonic::Response::new(GetUserResponse { user_id, ..Default::default() }))
            }
            _ => Err(Status::not_found("not under 1000")),
        }
    }

    async fn create_user(
        &self,
        _request: tonic::Request<CreateUserRequest>,
    ) -> Result<tonic::Response<CreateUserResponse>, Status> {
        Err(Status::unimplemented("only reads"))
    }
}

/// The order-service, its users and its bus.
pub(crate) struct Shop {
    pub(crate) running: Running,
    pub(crate) users: Users,
    pub(crate) bus: Arc<dyn EventBus>,
    _others: Running,
    _folder: TempDir,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with("").await
    }

    /// With more lines of settings.
    pub(crate) async fn open_with(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bus = format!("events: {{ url: 'sqlite://{}/events.db' }}", folder.path().display());
        Self::start(folder, &format!("{bus}\n{settings}")).await
    }

    /// With another bus.
    pub(crate) async fn open_elsewhere(settings: &str) -> Self {
        Self::start(tempfile::tempdir().unwrap(), settings).await
    }

    async fn start(folder: TempDir, settings: &str) -> Self {
        let (registry, users) = (MemoryRegistry::new(), Users::default());
        let others = start_users(&registry, users.clone()).await;
        let yaml = format!(
            "database: {{ url: 'sqlite://{}/orders.db' }}\nauth: {{ secret: '{SECRET}' }}\n{settings}",
            folder.path().display()
        );
        let config = Config::builder().yaml("config.yaml", &yaml).build().unwrap();
        let opening = Service::builder("order-service").config(config).registry(registry).quiet();
        let (service, settings) = opening.build_with().await.unwrap();
        let service = order_service::assemble(service, &settings).await.unwrap();
        let bus = service.events().unwrap().bus();
        let running = Running::start(service).await.unwrap();
        Self { running, users, bus, _others: others, _folder: folder }
    }

    pub(crate) async fn order(&self, key: Option<&str>, body: &Value) -> Answer {
        order(&self.running, key, body).await
    }

    pub(crate) async fn get(&self, user: &str, roles: &[&str], path: &str) -> Answer {
        let request = Request::builder().method(Method::GET).uri(path);
        let request = request.header("authorization", bearer(user, roles));
        self.running.send(request.body(String::new())).await
    }

    /// The order as its owner sees it.
    pub(crate) async fn read(&self, id: &Value) -> Value {
        self.get("1", &["user"], &format!("/orders/{id}")).await.json()
    }

    /// Waits until the order has this status.
    pub(crate) async fn becomes(&self, id: &Value, status: &str) -> Value {
        let what = format!("order {id} to be {status}");
        wait_until(&what, LIMIT, async || self.read(id).await["status"] == status).await;
        self.read(id).await
    }

    /// The first message of this type that the service told.
    pub(crate) async fn told(&self, event_type: &str) -> CloudEvent {
        let query = HistoryQuery::default();
        let mut found = None;
        wait_until(event_type, LIMIT, async || {
            let history = self.bus.history(&query).await.unwrap();
            let events = history.into_iter().map(|logged| logged.event);
            found = events.into_iter().find(|event| event.event_type() == event_type);
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Tells as the payment-service does.
    pub(crate) async fn tell(&self, event_type: &str, data: Value) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = COUNT.fetch_add(1, Ordering::SeqCst).to_string();
        let event = CloudEvent::try_new(id, "/payment-service", event_type).unwrap();
        self.bus.publish(&[event.with_json(data)]).await.unwrap();
    }
}

/// A user-service in this process.
pub(crate) async fn start_users(registry: &MemoryRegistry, users: Users) -> Running {
    let config = Config::builder().yaml("config.yaml", "{}").build().unwrap();
    let service = Service::builder("user-service").config(config).registry(registry.clone());
    let service = service.quiet().build().await.unwrap();
    Running::start(service.grpc(UserServiceServer::new(users))).await.unwrap()
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

/// An order of user 7.
pub(crate) fn wish(amount: f64) -> Value {
    json!({ "user_id": 7, "amount": amount })
}

pub(crate) fn bearer(user: &str, roles: &[&str]) -> String {
    let issuer = Issuer::new(SigningKey::hs256(&Secret::new(SECRET)).unwrap());
    let grant = Grant::new(user).roles(roles.iter().copied());
    format!("Bearer {}", issuer.issue(&grant, now()).unwrap())
}
