//! `/v1/agent/health`: how a service of this node is, as a status that load balancers read.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use regatta_telemetry::Probed;
use serde_json::{Value, json};

use super::app::{App, json};
use super::encode;
use super::query::Query;
use super::rows::{Checked, Health};
use crate::registry::{Check, Key, SERF_HEALTH, Status};

/// The worst of a service's checks and its node's. The order is from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Aggregated {
    As(Status),
    Maintenance,
}

/// `GET /v1/agent/health/service/id/:id`: the worst status, also as the HTTP status.
pub(crate) async fn by_id(
    Extract(app): Extract<App>,
    Path(id): Path<String>,
    query: Query,
) -> Response {
    let found = app.engine.read(|state| {
        let service = state.service(&Key::new(&app.identity.node, &id))?;
        Some(Health::find(state, service))
    });
    match found.map(aggregated) {
        Some((status, value)) => answer(&query, Some(status), status.name(), &value),
        None => {
            let value = json!({"AggregatedStatus": "critical", "Service": null, "Checks": null});
            answer(&query, None, &format!("ServiceId {id} not found"), &value)
        }
    }
}

/// `GET /v1/agent/health/service/name/:name`: the same over all instances of this node.
pub(crate) async fn by_name(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    query: Query,
) -> Response {
    let found: Vec<_> = app.engine.read(|state| {
        let own = state.instances(&name).filter(|service| service.node == app.identity.node);
        own.map(|service| Health::find(state, service)).collect()
    });
    let found: Vec<_> = found.into_iter().map(aggregated).collect();
    let worst = found.iter().map(|(status, _)| *status).max();
    let text = worst.map_or_else(|| format!("ServiceName {name} Not Found"), |s| s.name().into());
    let value = found.into_iter().map(|(_, value)| value).collect();
    answer(&query, worst, &text, &value)
}

impl Aggregated {
    fn name(self) -> &'static str {
        match self {
            Self::As(status) => status.name(),
            Self::Maintenance => "maintenance",
        }
    }
}

fn aggregated(health: Health) -> (Aggregated, Value) {
    let service = health.instance.service;
    // What the agent itself checks, which the health of its node is not.
    let checks = health.checks.into_iter().filter(|check| check.id != SERF_HEALTH);
    let checked = |check: Arc<Check>| {
        let service = (check.service_id == service.id).then(|| Arc::clone(&service));
        Checked { check, service }
    };
    let checks: Vec<_> = checks.map(checked).collect();
    let worst = checks.iter().map(|checked| checked.check.status).max();
    let status = if checks.iter().any(|checked| checked.check.is_maintenance()) {
        Aggregated::Maintenance
    } else {
        Aggregated::As(worst.unwrap_or(Status::Passing))
    };
    let checks: Vec<_> = checks.iter().map(encode::check).collect();
    let service = encode::agent_service(&service);
    (status, json!({"AggregatedStatus": status.name(), "Service": service, "Checks": checks}))
}

fn answer(query: &Query, status: Option<Aggregated>, text: &str, value: &Value) -> Response {
    let code = match status {
        Some(Aggregated::As(Status::Passing)) => StatusCode::OK,
        Some(Aggregated::As(Status::Warning)) => StatusCode::TOO_MANY_REQUESTS,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
        None => StatusCode::NOT_FOUND,
    };
    let probed = Extension(Probed);
    if query.get("format") == Some("text") {
        let plain = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
        return (code, probed, plain, text.to_owned()).into_response();
    }
    (code, probed, json(query, value)).into_response()
}
