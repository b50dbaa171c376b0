//! A small registry on a simulated host, with the part of Consul's API that is used.
//!
//! Registrations with TCP checks, deregistration, and blocking queries for the passing instances.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use turmoil::net::TcpStream;

/// What a registry has on its disk: it outlives a crash of the host, not [`Disk::wipe`].
#[derive(Clone, Debug, Default)]
pub struct Disk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    rows: Mutex<Rows>,
    /// The index of the last change.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Rows {
    index: u64,
    services: BTreeMap<String, Row>,
}

#[derive(Debug)]
struct Row {
    registration: Value,
    created: u64,
    is_passing: bool,
}

impl Default for Shared {
    fn default() -> Self {
        Self { rows: Mutex::default(), changed: watch::Sender::new(0) }
    }
}

impl Disk {
    /// Forgets everything, as a registry whose disk was lost.
    pub fn wipe(&self) {
        *self.rows() = Rows::default();
        self.shared.changed.send_replace(0);
    }

    /// The ids of the instances that are registered and pass their check.
    pub fn passing(&self) -> Vec<String> {
        let rows = self.rows();
        let passing = rows.services.iter().filter(|(_, row)| row.is_passing);
        passing.map(|(id, _)| id.clone()).collect()
    }

    /// Serves the API until the host crashes.
    ///
    /// # Errors
    ///
    /// When the simulated host cannot listen.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the registry; what it acknowledged stays.
    pub async fn serve(self) -> io::Result<()> {
        let routes = Router::new()
            .route("/v1/agent/service/register", put(register))
            .route("/v1/agent/service/deregister/{id}", put(deregister))
            .route("/v1/agent/health/service/id/{id}", get(registered))
            .route("/v1/health/service/{name}", get(health))
            .with_state(self.clone());
        tokio::select! {
            served = crate::serve(routes, CancellationToken::new()) => served,
            () = self.check() => Ok(()),
        }
    }

    /// Connects to each instance every second.
    async fn check(self) {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            let due: Vec<(String, String)> = self
                .rows()
                .services
                .iter()
                .filter(|(_, row)| row.registration["Check"].is_object())
                .map(|(id, row)| (id.clone(), address(&row.registration)))
                .collect();
            for (id, address) in due {
                let connected = tokio::time::timeout(CHECK_EVERY, TcpStream::connect(address));
                let is_passing = matches!(connected.await, Ok(Ok(_)));
                self.change(|rows| match rows.services.get_mut(&id) {
                    Some(row) if row.is_passing != is_passing => {
                        row.is_passing = is_passing;
                        true
                    }
                    _ => false,
                });
            }
        }
    }

    /// Makes a change; whoever waits for one is woken if it says that it was one.
    fn change(&self, change: impl FnOnce(&mut Rows) -> bool) {
        let mut rows = self.rows();
        rows.index += 1;
        if change(&mut rows) {
            self.shared.changed.send_replace(rows.index);
        } else {
            rows.index -= 1;
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.shared.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time between two checks of an instance, and for one.
pub const CHECK_EVERY: Duration = Duration::from_secs(1);

async fn register(State(disk): State<Disk>, Json(registration): Json<Value>) -> StatusCode {
    let Some(id) = registration["ID"].as_str().map(str::to_owned) else {
        return StatusCode::BAD_REQUEST;
    };
    disk.change(|rows| {
        let created = rows.services.get(&id).map_or(rows.index, |row| row.created);
        rows.services.insert(id, Row { registration, created, is_passing: true });
        true
    });
    StatusCode::OK
}

async fn deregister(State(disk): State<Disk>, Path(id): Path<String>) -> StatusCode {
    disk.change(|rows| rows.services.remove(&id).is_some());
    StatusCode::OK
}

async fn registered(State(disk): State<Disk>, Path(id): Path<String>) -> Response {
    let rows = disk.rows();
    let Some(row) = rows.services.get(&id) else { return StatusCode::NOT_FOUND.into_response() };
    let check = json!({ "CheckID": row.registration["Check"]["CheckID"] });
    Json(json!({ "Service": service(&id, row), "Checks": [check] })).into_response()
}

async fn health(
    State(disk): State<Disk>,
    Path(name): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let asked: Option<u64> = query.get("index").and_then(|index| index.parse().ok());
    let wait = query.get("wait").and_then(|wait| wait.strip_suffix("ms")?.parse().ok());
    if let (Some(asked), Some(wait)) = (asked, wait) {
        let mut changed = disk.shared.changed.subscribe();
        // An index ahead of ours is of a disk that was wiped: answer at once.
        let news = changed.wait_for(|index| *index != asked);
        drop(tokio::time::timeout(Duration::from_millis(wait), news).await);
    }
    let rows = disk.rows();
    let found = rows.services.iter().filter(|(_, row)| {
        row.is_passing && row.registration["Name"].as_str() == Some(name.as_str())
    });
    let entries: Vec<Value> = found
        .map(|(id, row)| json!({ "Node": { "Address": "" }, "Service": service(id, row) }))
        .collect();
    let index = [("x-consul-index", rows.index.max(1).to_string())];
    (index, Json(entries)).into_response()
}

fn service(id: &str, row: &Row) -> Value {
    let sent = &row.registration;
    json!({
        "ID": id, "Service": sent["Name"], "Address": sent["Address"], "Port": sent["Port"],
        "Tags": sent["Tags"], "Meta": sent["Meta"], "Weights": sent["Weights"],
        "CreateIndex": row.created,
    })
}

fn address(registration: &Value) -> String {
    let host = registration["Address"].as_str().unwrap_or_default();
    format!("{host}:{}", registration["Port"])
}
