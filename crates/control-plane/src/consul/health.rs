//! `/v1/health`: services with their checks.

use axum::extract::{Path, RawQuery, State as Extract};
use axum::response::Response;
use serde_json::Value;

use super::app::App;
use super::blocking::indexed;
use super::encode;
use super::failure::Failure;
use super::query::Query;
use crate::registry::{Service, State, Status, Topic};

/// Whether an instance is among those that a query wants: all `tag`s and `node-meta`s, and with
/// `passing` every check of it and of its node passing.
pub(crate) fn is_wanted(state: &State, service: &Service, query: &Query) -> bool {
    let has_tag = |tag: &str| service.tags.iter().any(|own| own.eq_ignore_ascii_case(tag));
    let node = state.node(&service.node);
    let has_meta = |pair: &str| {
        let (key, value) = pair.split_once(':').unwrap_or((pair, ""));
        node.is_some_and(|node| node.meta.get(key).is_some_and(|own| own == value))
    };
    let is_passing = || state.deciding_checks(service).all(|c| c.status == Status::Passing);
    query.all("tag").filter(|tag| !tag.is_empty()).all(has_tag)
        && query.all("node-meta").all(has_meta)
        && (!query.flag("passing") || is_passing())
}

/// `GET /v1/health/service/:name`.
pub(crate) async fn service(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(&query.unwrap_or_default());
    indexed(&app, &query, Topic::service(&name), |state| {
        let wanted = state.instances(&name).filter(|service| is_wanted(state, service, &query));
        wanted.map(|service| encode::health_entry(state, service, &app.identity)).collect()
    })
    .await
}

/// `GET /v1/health/checks/:service`.
pub(crate) async fn checks(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(&query.unwrap_or_default());
    indexed(&app, &query, Topic::service(&name), |state| {
        let checks = state.instances(&name).flat_map(|s| state.checks_of(&s.node, &s.id));
        checks.map(|check| encode::check(state, check)).collect()
    })
    .await
}

/// `GET /v1/health/state/:status`.
pub(crate) async fn state(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(&query.unwrap_or_default());
    let wanted = Status::parse(&name);
    if wanted.is_none() && name != "any" {
        let text = format!("Invalid state {name:?}; use any, passing, warning or critical");
        return Err(Failure::bad_request(text));
    }
    indexed(&app, &query, Topic::Checks, |state| {
        let checks =
            state.checks().filter(|check| wanted.is_none_or(|status| check.status == status));
        checks.map(|check| encode::check(state, check)).collect()
    })
    .await
}

/// `GET /v1/health/node/:node`.
pub(crate) async fn node(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(&query.unwrap_or_default());
    indexed(&app, &query, Topic::Node(name.clone()), |state| {
        let checks = state.checks_on(&name).map(|check| encode::check(state, check));
        Value::Array(checks.collect())
    })
    .await
}
