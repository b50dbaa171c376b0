//! `/v1/agent/check`: checks of this node's services, and what services report on themselves.

use axum::extract::{Path, RawQuery, State as Extract};
use axum::response::Response;
use serde_json::{Map, Value};

use super::app::{App, json};
use super::body::Sent;
use super::failure::Failure;
use super::query::Query;
use super::{decode, encode};
use crate::registry::{Command, Key, SERF_HEALTH, Status};

/// `GET /v1/agent/checks`.
pub(crate) async fn list(
    Extract(app): Extract<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(&query.unwrap_or_default());
    query.check(&app.identity.datacenter)?;
    let checks: Map<_, _> = app.engine.read(|state| {
        let own = state.checks_on(&app.identity.node).filter(|check| check.id != SERF_HEALTH);
        own.map(|check| (check.id.clone(), encode::check(state, check))).collect()
    });
    Ok(json(&query, &Value::Object(checks)))
}

/// `PUT /v1/agent/check/register`.
pub(crate) async fn register(Extract(app): Extract<App>, Sent(body): Sent) -> Result<(), Failure> {
    let command = decode::check(&body, &app.identity.node)?;
    Ok(app.engine.submit(command).await?)
}

/// `PUT /v1/agent/check/deregister/:id`; an unknown id is fine.
pub(crate) async fn deregister(
    Extract(app): Extract<App>,
    Path(id): Path<String>,
) -> Result<(), Failure> {
    if id == SERF_HEALTH {
        return Ok(());
    }
    let key = Key::new(&app.identity.node, &id);
    Ok(app.engine.submit(Command::DeregisterCheck { key }).await?)
}

/// `PUT /v1/agent/check/pass/:id`.
pub(crate) async fn pass(
    app: Extract<App>,
    id: Path<String>,
    query: RawQuery,
) -> Result<(), Failure> {
    note(app, id, query, Status::Passing).await
}

/// `PUT /v1/agent/check/warn/:id`.
pub(crate) async fn warn(
    app: Extract<App>,
    id: Path<String>,
    query: RawQuery,
) -> Result<(), Failure> {
    note(app, id, query, Status::Warning).await
}

/// `PUT /v1/agent/check/fail/:id`.
pub(crate) async fn fail(
    app: Extract<App>,
    id: Path<String>,
    query: RawQuery,
) -> Result<(), Failure> {
    note(app, id, query, Status::Critical).await
}

/// `PUT /v1/agent/check/update/:id`.
pub(crate) async fn update(
    Extract(app): Extract<App>,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> Result<(), Failure> {
    let (status, output) = decode::update(&body)?;
    report(&app, &id, status, output).await
}

async fn note(
    Extract(app): Extract<App>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    status: Status,
) -> Result<(), Failure> {
    let query = Query::parse(&query.unwrap_or_default());
    report(&app, &id, status, query.get("note").unwrap_or_default().to_owned()).await
}

/// The most of a report's text that is kept, in bytes (Consul's value).
const MAX_OUTPUT: usize = 4096;

async fn report(app: &App, id: &str, status: Status, mut output: String) -> Result<(), Failure> {
    output.truncate(output.floor_char_boundary(MAX_OUTPUT));
    let key = Key::new(&app.identity.node, id);
    app.engine.submit(Command::Report { key: key.clone(), status, output }).await?;
    app.schedule.reported(&key);
    Ok(())
}
