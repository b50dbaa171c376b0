//! `/v1/catalog`: nodes and services, without their health.

use axum::extract::{Path, RawQuery, State as Extract};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::app::{App, json};
use super::blocking::indexed;
use super::body::Sent;
use super::failure::Failure;
use super::health::is_wanted;
use super::query::Query;
use super::{decode, encode};
use crate::registry::{Service, Topic};

/// `GET /v1/catalog/datacenters`.
pub(crate) async fn datacenters(Extract(app): Extract<App>, RawQuery(query): RawQuery) -> Response {
    json(&Query::parse(&query.unwrap_or_default()), &json!([app.identity.datacenter]))
}

/// `GET /v1/catalog/nodes`.
pub(crate) async fn nodes(
    Extract(app): Extract<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(&query.unwrap_or_default());
    indexed(&app, &query, Topic::Nodes, |state| {
        let wanted = state.nodes().filter(|node| {
            query.all("node-meta").all(|pair| {
                let (key, value) = pair.split_once(':').unwrap_or((pair, ""));
                node.meta.get(key).is_some_and(|own| own == value)
            })
        });
        wanted.map(|node| encode::node(node, &app.identity)).collect()
    })
    .await
}

/// `GET /v1/catalog/services`.
pub(crate) async fn services(
    Extract(app): Extract<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(&query.unwrap_or_default());
    indexed(&app, &query, Topic::Services, |state| {
        let wanted = state.services().map(|service| &**service);
        encode::names_with_tags(wanted.filter(|service| is_wanted(state, service, &query)))
    })
    .await
}

/// `GET /v1/catalog/service/:name`.
pub(crate) async fn service(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(&query.unwrap_or_default());
    indexed(&app, &query, Topic::service(&name), |state| {
        let wanted = state.instances(&name).filter(|service| is_wanted(state, service, &query));
        wanted.map(|service| encode::catalog_service(state, service, &app.identity)).collect()
    })
    .await
}

/// `GET /v1/catalog/node/:node`: `null` when there is none.
pub(crate) async fn node(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(&query.unwrap_or_default());
    let name = app.engine.read(|state| state.node_name(&name));
    indexed(&app, &query, Topic::Node(name.clone()), |state| {
        let Some(node) = state.node(&name) else { return Value::Null };
        let pair = |service: &Service| (service.id.clone(), encode::service(service));
        let services: Map<_, _> = state.services_on(&name).map(|service| pair(service)).collect();
        json!({"Node": encode::node(node, &app.identity), "Services": services})
    })
    .await
}

/// `GET /v1/catalog/node-services/:node`: the same as a list.
pub(crate) async fn node_services(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(&query.unwrap_or_default());
    let name = app.engine.read(|state| state.node_name(&name));
    indexed(&app, &query, Topic::Node(name.clone()), |state| {
        let Some(node) = state.node(&name) else { return json!({"Node": null, "Services": null}) };
        let services: Vec<_> = state.services_on(&name).map(|s| encode::service(s)).collect();
        json!({"Node": encode::node(node, &app.identity), "Services": services})
    })
    .await
}

/// `PUT /v1/catalog/register`.
pub(crate) async fn register(
    Extract(app): Extract<App>,
    RawQuery(query): RawQuery,
    Sent(body): Sent,
) -> Result<Response, Failure> {
    let query = Query::parse(&query.unwrap_or_default());
    query.check(&app.identity.datacenter)?;
    app.engine.submit(decode::catalog(&body, &app.identity.datacenter)?).await?;
    Ok(json(&query, &Value::Bool(true)))
}

/// `PUT /v1/catalog/deregister`.
pub(crate) async fn deregister(
    Extract(app): Extract<App>,
    RawQuery(query): RawQuery,
    Sent(body): Sent,
) -> Result<Response, Failure> {
    let query = Query::parse(&query.unwrap_or_default());
    query.check(&app.identity.datacenter)?;
    app.engine.submit(decode::catalog_removal(&body, &app.identity.datacenter)?).await?;
    Ok(json(&query, &Value::Bool(true)))
}
