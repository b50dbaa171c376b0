//! The whole service on a free port, and callers of it.

use std::sync::Arc;

use regatta::auth::{Grant, Issuer, SigningKey, now};
use regatta::events::EventBus;
use regatta::http::{Method, Request};
use regatta::testing::{Answer, Running};
use regatta::{Config, Secret, Service};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const SECRET: &str = "a secret of the tests, 32 bytes or more";

/// A user-service with a database of its own.
pub(crate) struct UserService {
    pub(crate) running: Running,
    pub(crate) bus: Arc<dyn EventBus>,
    _folder: TempDir,
}

impl UserService {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more settings, as YAML.
    pub(crate) async fn start_with(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/users.db", folder.path().display());
        Self::start_on(&url, folder, settings).await
    }

    /// On this database.
    pub(crate) async fn start_on(database: &str, folder: TempDir, settings: &str) -> Self {
        let yaml = format!(
            "database: {{ url: '{database}', acquire_timeout: 500ms }}\nauth: {{ secret: '{SECRET}' }}\nevents: {{ url: 'sqlite://{}/events.db' }}\n{settings}",
            folder.path().display()
        );
        let config = Config::builder().yaml("config.yaml", &yaml).build().unwrap();
        let service = Service::builder("user-service").config(config).quiet();
        let service = user_service::assemble(service.build().await.unwrap()).await.unwrap();
        let bus = service.events().unwrap().bus();
        Self { running: Running::start(service).await.unwrap(), bus, _folder: folder }
    }

    /// Sends JSON without a token.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.running.json(Method::POST, path, body).await
    }

    /// Sends a body with a token of this role.
    pub(crate) async fn send(&self, method: Method, path: &str, role: &str, body: &str) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {}", token(role)));
        let request = request.header("content-type", "application/json");
        self.running.send(request.body(body.to_owned())).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "user", "").await
    }
}

pub(crate) fn token(role: &str) -> String {
    let issuer = Issuer::new(SigningKey::hs256(&Secret::new(SECRET)).unwrap());
    issuer.issue(&Grant::new("1").role(role), now()).unwrap()
}
