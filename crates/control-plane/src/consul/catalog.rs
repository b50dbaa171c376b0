//! `/v1/catalog`: nodes and services, without their health.

use std::sync::Arc;

use axum::extract::{Path, State as Extract};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::app::{App, json};
use super::blocking::{filtered, indexed};
use super::body::Sent;
use super::failure::Failure;
use super::health::is_wanted;
use super::query::Query;
use super::rows::Instance;
use super::{decode, encode};
use crate::registry::{Node, Service, State, Topic};

/// `GET /v1/catalog/datacenters`.
pub(crate) async fn datacenters(Extract(app): Extract<App>, query: Query) -> Response {
    json(&query, &json!([app.identity.datacenter]))
}

/// `GET /v1/catalog/nodes`.
pub(crate) async fn nodes(Extract(app): Extract<App>, query: Query) -> Result<Response, Failure> {
    let has_meta = |node: &Node| {
        query.all("node-meta").all(|pair| {
            let (key, value) = pair.split_once(':').unwrap_or((pair, ""));
            node.meta.get(key).is_some_and(|own| own == value)
        })
    };
    let read = |state: &State| -> Vec<_> {
        state.nodes().filter(|node| has_meta(node)).cloned().collect()
    };
    let write = |nodes: Vec<_>| {
        nodes.iter().map(|node: &Arc<Node>| encode::node(node, &app.identity)).collect()
    };
    filtered(&app, &query, Topic::Nodes, read, write).await
}

/// `GET /v1/catalog/services`.
pub(crate) async fn services(
    Extract(app): Extract<App>,
    query: Query,
) -> Result<Response, Failure> {
    let by_nodes = query.all("node-meta").next().is_some();
    let topic = if by_nodes { Topic::ServicesOfNodes } else { Topic::Services };
    let read = |state: &State| -> Vec<_> {
        state.services().filter(|service| is_wanted(state, service, &query)).cloned().collect()
    };
    indexed(&app, &query, topic, read, |services| encode::names_with_tags(&services)).await
}

/// `GET /v1/catalog/service/:name`.
pub(crate) async fn service(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    let read = |state: &State| -> Vec<_> {
        let wanted = state.instances(&name).filter(|service| is_wanted(state, service, &query));
        wanted.map(|service| Instance::find(state, service)).collect()
    };
    let write = |found: Vec<_>| {
        found.iter().map(|instance| encode::catalog_service(instance, &app.identity)).collect()
    };
    filtered(&app, &query, Topic::service(&name), read, write).await
}

/// `GET /v1/catalog/node/:node`: `null` when there is none.
pub(crate) async fn node(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    let name = app.engine.read(|state| state.node_name(&name));
    let write = |found: Option<(Arc<Node>, Vec<Arc<Service>>)>| {
        let Some((node, services)) = found else { return Value::Null };
        let pair = |service: &Service| (service.id.clone(), encode::service(service));
        let services: Map<_, _> = services.iter().map(|service| pair(service)).collect();
        json!({"Node": encode::node(&node, &app.identity), "Services": services})
    };
    let read = |state: &State| with_services(state, &name);
    filtered(&app, &query, Topic::Node(name.clone()), read, write).await
}

/// `GET /v1/catalog/node-services/:node`: the same as a list.
pub(crate) async fn node_services(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    let name = app.engine.read(|state| state.node_name(&name));
    let write = |found: Option<(Arc<Node>, Vec<Arc<Service>>)>| {
        let Some((node, services)) = found else { return json!({"Node": null, "Services": null}) };
        let services: Vec<_> = services.iter().map(|service| encode::service(service)).collect();
        json!({"Node": encode::node(&node, &app.identity), "Services": services})
    };
    let read = |state: &State| with_services(state, &name);
    filtered(&app, &query, Topic::Node(name.clone()), read, write).await
}

/// A node, if it is there, and what is on it.
fn with_services(state: &State, name: &str) -> Option<(Arc<Node>, Vec<Arc<Service>>)> {
    let node = state.node(name)?;
    Some((Arc::clone(node), state.services_on(name).cloned().collect()))
}

/// `PUT /v1/catalog/register`.
pub(crate) async fn register(
    Extract(app): Extract<App>,
    query: Query,
    Sent(body): Sent,
) -> Result<Response, Failure> {
    query.check(&app.identity.datacenter)?;
    app.engine.submit(decode::catalog(&body, &app.identity.datacenter)?).await?;
    Ok(json(&query, &Value::Bool(true)))
}

/// `PUT /v1/catalog/deregister`.
pub(crate) async fn deregister(
    Extract(app): Extract<App>,
    query: Query,
    Sent(body): Sent,
) -> Result<Response, Failure> {
    query.check(&app.identity.datacenter)?;
    app.engine.submit(decode::catalog_removal(&body, &app.identity.datacenter)?).await?;
    Ok(json(&query, &Value::Bool(true)))
}
