//! `/v1/agent/check`: checks of this node's services, and what services report on themselves.

use axum::extract::{Path, State as Extract};
use axum::response::Response;
use serde_json::{Map, Value};

use super::app::{App, json};
use super::body::Sent;
use super::failure::Failure;
use super::filter::Filter;
use super::query::Query;
use super::rows::Checked;
use super::{decode, encode};
use crate::registry::{Command, Key, Rejection, SERF_HEALTH, Status, Turn};
use crate::store::SubmitError;

/// `GET /v1/agent/checks`.
pub(crate) async fn list(Extract(app): Extract<App>, query: Query) -> Result<Response, Failure> {
    query.check(&app.identity.datacenter)?;
    let filter = Filter::of(&query)?;
    let checks: Vec<_> = app.engine.read(|state| {
        let own = state.checks_on(&app.identity.node).filter(|check| check.id != SERF_HEALTH);
        own.map(|check| Checked::find(state, check)).collect()
    });
    let pair = |checked: &Checked| (checked.check.id.clone(), encode::check(checked));
    let checks: Map<_, _> = checks.iter().map(pair).collect();
    Ok(json(&query, &filter.apply(Value::Object(checks))?))
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
pub(crate) async fn pass(app: Extract<App>, id: Path<String>, query: Query) -> Result<(), Failure> {
    note(app, id, query, Status::Passing).await
}

/// `PUT /v1/agent/check/warn/:id`.
pub(crate) async fn warn(app: Extract<App>, id: Path<String>, query: Query) -> Result<(), Failure> {
    note(app, id, query, Status::Warning).await
}

/// `PUT /v1/agent/check/fail/:id`.
pub(crate) async fn fail(app: Extract<App>, id: Path<String>, query: Query) -> Result<(), Failure> {
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
    query: Query,
    status: Status,
) -> Result<(), Failure> {
    report(&app, &id, status, query.get("note").unwrap_or_default().to_owned()).await
}

async fn report(app: &App, id: &str, status: Status, output: String) -> Result<(), Failure> {
    let key = Key::new(&app.identity.node, id);
    let output = decode::output(output);
    let command = Command::Report { key: key.clone(), status, output };
    let (schedule, renewed, reported) = (app.schedule.clone(), app.schedule.clone(), key.clone());
    let report = move |turn: &mut Turn<'_>| {
        // In the order of the commits: an expiry after this one is of the silence before it.
        schedule.heard(&key);
        turn.command(command)
    };
    // Where the commit is seen, since the client may have gone away by then.
    let renew = move |done: &Result<(), Rejection>| {
        if done.is_ok() {
            renewed.reported(&reported);
        }
    };
    Ok(app.engine.write_seen(report, renew).await?.map_err(SubmitError::from)?)
}
