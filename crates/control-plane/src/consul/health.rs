//! `/v1/health`: services with their checks.

use std::sync::Arc;

use axum::extract::{Path, State as Extract};
use axum::response::Response;
use serde_json::Value;

use super::app::App;
use super::blocking::filtered;
use super::encode;
use super::failure::Failure;
use super::query::Query;
use super::rows::{Checked, Health};
use crate::registry::{Check, Service, State, Status, Topic};

/// Whether an instance is among those that a query wants: all its `tag`s and `node-meta`s.
pub(crate) fn is_wanted(state: &State, service: &Service, query: &Query) -> bool {
    let has_tag = |tag: &str| service.tags.iter().any(|own| own.eq_ignore_ascii_case(tag));
    query.all("tag").all(has_tag) && is_on_wanted_node(state, &service.node, query)
}

/// Whether a node has all the `node-meta`s that a query asks for.
fn is_on_wanted_node(state: &State, node: &str, query: &Query) -> bool {
    let node = state.node(node);
    query.all("node-meta").all(|pair| {
        let (key, value) = pair.split_once(':').unwrap_or((pair, ""));
        node.is_some_and(|node| node.meta.get(key).is_some_and(|own| own == value))
    })
}

/// Whether every check of an instance and of its node passes.
fn passes(state: &State, service: &Service) -> bool {
    state.deciding_checks(service).all(|check| check.status == Status::Passing)
}

/// `GET /v1/health/service/:name`.
pub(crate) async fn service(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    let all = !query.strict_flag("passing")?;
    let read = |state: &State| -> Vec<_> {
        let wanted = state.instances(&name);
        let wanted = wanted.filter(|service| is_wanted(state, service, &query));
        let wanted = wanted.filter(|service| all || passes(state, service));
        wanted.map(|service| Health::find(state, service)).collect()
    };
    let write = |found: Vec<_>| {
        found.iter().map(|health| encode::health_entry(health, &app.identity)).collect()
    };
    filtered(&app, &query, Topic::service(&name), read, write).await
}

/// `GET /v1/health/checks/:service`.
pub(crate) async fn checks(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    let read = |state: &State| -> Vec<_> {
        let wanted = state.instances(&name);
        let wanted = wanted.filter(|service| is_on_wanted_node(state, &service.node, &query));
        let checks = wanted.flat_map(|service| state.checks_of(&service.node, &service.id));
        checks.map(|check| Checked::find(state, check)).collect()
    };
    filtered(&app, &query, Topic::service(&name), read, all_checks).await
}

/// `GET /v1/health/state/:status`.
pub(crate) async fn state(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    let read = |state: &State| -> Vec<_> {
        // A word that is no status is one that no check has.
        let is_so = |check: &Check| name == "any" || check.status.name() == name;
        let wanted =
            |check: &&Arc<Check>| is_so(check) && is_on_wanted_node(state, &check.node, &query);
        state.checks().filter(wanted).map(|check| Checked::find(state, check)).collect()
    };
    filtered(&app, &query, Topic::Checks, read, all_checks).await
}

/// `GET /v1/health/node/:node`.
pub(crate) async fn node(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    let name = app.engine.read(|state| state.node_name(&name));
    let read = |state: &State| -> Vec<_> {
        state.checks_on(&name).map(|check| Checked::find(state, check)).collect()
    };
    filtered(&app, &query, Topic::Node(name.clone()), read, all_checks).await
}

fn all_checks(found: Vec<Checked>) -> Value {
    found.iter().map(encode::check).collect()
}
