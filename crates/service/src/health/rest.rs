//! Health over REST: the bodies of the design, and Kubernetes' names for them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Extension, Json, Router};
use http::StatusCode;
use regatta_telemetry::Probed;
use serde_json::json;

use super::Health;

#[derive(Clone)]
struct Shared {
    health: Health,
    version: Arc<str>,
}

/// `/health`, `/health/ready`, `/health/live`, and `/livez`, `/readyz`, `/healthz`.
pub(crate) fn routes(health: Health, version: Arc<str>) -> Router {
    let (whole, ready, live): (MethodRouter<Shared>, MethodRouter<Shared>, MethodRouter<Shared>) =
        (get(whole), get(ready), get(live));
    Router::new()
        .route("/health", whole.clone())
        .route("/healthz", whole)
        .route("/health/ready", ready.clone())
        .route("/readyz", ready)
        .route("/health/live", live.clone())
        .route("/livez", live)
        .with_state(Shared { health, version })
}

async fn whole(State(shared): State<Shared>) -> Response {
    let report = shared.health.report().await;
    let status = if report.is_healthy() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Extension(Probed), Json(report.to_json(&shared.version))).into_response()
}

async fn ready(State(shared): State<Shared>) -> Response {
    if shared.health.is_ready().await {
        Json(json!({ "status": "ready" })).into_response()
    } else {
        let body = Json(json!({ "status": "not ready" }));
        (StatusCode::SERVICE_UNAVAILABLE, Extension(Probed), body).into_response()
    }
}

/// Never asks a dependency: a restart would not bring one back.
async fn live() -> Json<serde_json::Value> {
    Json(json!({ "status": "alive" }))
}
