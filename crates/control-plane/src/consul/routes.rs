//! Which path is which call.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};

use super::app::App;
use super::body::timed;
use super::failure::{Failure, Worded};
use super::guard::guard;
use super::methods::{missing, missing_to_put, only_get, only_put, other_method};
use super::query::Query;
use super::web_pages::refuse_web_pages;
use super::{
    agent, agent_checks, agent_health, backup, catalog, definitions, event, health, kv, session,
    txn,
};
use crate::metrics::{Text, process};

/// Consul's API, and the control plane's own health and metrics beside it.
pub(crate) fn router(app: App) -> Router {
    let body_read_timeout = app.body_read_timeout;
    let is_open = !app.access.is_enabled();
    let routes = Router::new()
        .route("/v1/agent/self", only_get(agent::self_))
        .route("/v1/agent/members", only_get(agent::members))
        .route("/v1/agent/maintenance", only_put(agent::maintain_node))
        .route("/v1/agent/services", only_get(agent::services))
        .route("/v1/agent/service/register", only_put(agent::register))
        .route("/v1/agent/service/deregister/{*id}", only_put(agent::deregister))
        .route("/v1/agent/service/maintenance/{*id}", only_put(agent::maintain_service))
        .route("/v1/agent/service/deregister/", missing_to_put("service ID"))
        .route("/v1/agent/service/maintenance/", missing_to_put("service ID"))
        .route("/v1/agent/service/{*id}", only_get(agent::service))
        .route("/v1/agent/health/service/id/{*id}", only_get(agent_health::by_id))
        .route("/v1/agent/health/service/name/{*name}", only_get(agent_health::by_name))
        .route("/v1/agent/checks", only_get(agent_checks::list))
        .route("/v1/agent/check/register", only_put(agent_checks::register))
        .route("/v1/agent/check/deregister/{*id}", only_put(agent_checks::deregister))
        .route("/v1/agent/check/pass/{*id}", only_put(agent_checks::pass))
        .route("/v1/agent/check/warn/{*id}", only_put(agent_checks::warn))
        .route("/v1/agent/check/fail/{*id}", only_put(agent_checks::fail))
        .route("/v1/agent/check/update/{*id}", only_put(agent_checks::update))
        .route("/v1/catalog/datacenters", only_get(catalog::datacenters))
        .route("/v1/catalog/nodes", only_get(catalog::nodes))
        .route("/v1/catalog/services", only_get(catalog::services))
        .route("/v1/catalog/service/{*name}", only_get(catalog::service))
        .route("/v1/catalog/node/{*node}", only_get(catalog::node))
        .route("/v1/catalog/node-services/{*node}", only_get(catalog::node_services))
        .route("/v1/catalog/service/", missing("service name"))
        .route("/v1/catalog/node/", missing("node name"))
        .route("/v1/health/service/", missing("service name"))
        .route("/v1/health/checks/", missing("service name"))
        .route("/v1/health/state/", missing("check state"))
        .route("/v1/health/node/", missing("node name"))
        .route("/v1/catalog/register", only_put(catalog::register))
        .route("/v1/catalog/deregister", only_put(catalog::deregister))
        .route("/v1/health/service/{*name}", only_get(health::service))
        .route("/v1/health/checks/{*name}", only_get(health::checks))
        .route("/v1/health/state/{*state}", only_get(health::state))
        .route("/v1/health/node/{*node}", only_get(health::node))
        .route("/v1/kv", keys())
        .route("/v1/kv/", keys())
        .route("/v1/kv/{*key}", keys())
        .route("/v1/session/create", only_put(session::create))
        .route("/v1/session/destroy/", missing_to_put("session"))
        .route("/v1/session/destroy/{*id}", only_put(session::destroy))
        .route("/v1/session/renew/", missing_to_put("session"))
        .route("/v1/session/renew/{*id}", only_put(session::renew))
        .route("/v1/session/info/", missing("session"))
        .route("/v1/session/info/{*id}", only_get(session::info))
        .route("/v1/session/node/", missing("node name"))
        .route("/v1/session/node/{*node}", only_get(session::on_node))
        .route("/v1/session/list", only_get(session::list))
        .route("/v1/event/fire/", missing_to_put("name"))
        .route("/v1/event/fire/{*name}", only_put(event::fire))
        .route("/v1/event/list", only_get(event::list))
        .route("/v1/txn", only_put(txn::apply))
        .route("/v1/status/leader", only_get(agent::leader))
        .route("/v1/status/peers", only_get(agent::peers))
        .route("/", only_get(async || "Consul Agent"))
        .route(crate::backup::PATH, only_get(backup::backup))
        .route(crate::transfer::DEFINITIONS, only_get(definitions::definitions))
        .route("/health/live", get(|| async { own_health("alive") }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .fallback(unknown)
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .layer(middleware::from_fn_with_state(body_read_timeout, timed));
    // A page has no token, and a server that asks for one may have any name.
    let routes = if is_open { routes.layer(middleware::from_fn(refuse_web_pages)) } else { routes };
    routes.layer(middleware::from_fn_with_state(app.clone(), in_consuls_words)).with_state(app)
}

fn keys() -> MethodRouter<App> {
    let other = async |method: Method| other_method(&method, "OPTIONS,GET,PUT,DELETE");
    get(kv::get).head(other).put(kv::put).delete(kv::delete).fallback(other)
}

async fn unknown(State(app): State<App>, request: Request) -> Failure {
    let path = request.uri().path();
    if path.starts_with("/v1/acl/") && !app.access.is_enabled() {
        // By this clients tell that there is nothing to manage.
        return Failure::new(StatusCode::UNAUTHORIZED, "ACL support disabled");
    }
    if path == "/v1/snapshot" {
        // With what stands for it here; Consul's words first.
        return Failure::not_found(
            "Invalid URL path: not a recognized HTTP API endpoint; `regatta backup` makes a snapshot\n",
        );
    }
    if path.starts_with("/v1/") {
        // Consul's words.
        return Failure::not_found("Invalid URL path: not a recognized HTTP API endpoint\n");
    }
    Failure::not_found("404 page not found\n")
}

/// Counts and times the request, and words what axum words its own way.
async fn in_consuls_words(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let blocks = Query::parse(request.uri().query().unwrap_or_default()).may_block();
    let begun = tokio::time::Instant::now();
    let response = next.run(request).await;
    app.metrics.request(&method, response.status());
    if !blocks {
        app.metrics.answered(begun.elapsed());
    }
    if response.extensions().get::<Worded>().is_some() {
        return response;
    }
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let text = format!("method {method} not allowed");
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(http::header::CONTENT_LENGTH);
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    parts.headers.insert(CONTENT_TYPE, plain);
    Response::from_parts(parts, text.into())
}

async fn ready(State(app): State<App>) -> Response {
    if app.drain.is_cancelled() || !app.engine.is_writable() {
        return (StatusCode::SERVICE_UNAVAILABLE, own_health("not ready")).into_response();
    }
    own_health("ready").into_response()
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let mut text = Text::default();
    app.metrics.write(&mut text);
    app.engine.read(|state| {
        let (keys, sessions) = (state.keys(), state.sessions());
        text.gauge("regatta_control_services", "Services registered.", state.service_count());
        text.gauge("regatta_control_nodes", "Nodes registered.", state.node_count());
        let help = "Memory that nodes, services and checks take, about.";
        text.gauge("regatta_control_registry_bytes", help, state.bytes());
        text.gauge("regatta_control_kv_keys", "Keys of Consul's interface.", keys.len());
        text.gauge("regatta_control_kv_bytes", "Memory that they take, about.", keys.bytes());
        text.gauge("regatta_control_sessions", "Sessions that live.", sessions.len());
        text.gauge("regatta_control_index", "Index of the latest change.", state.index());
    });
    text.gauge("regatta_control_checks", "Health checks known.", app.schedule.len());
    app.store.figures(&mut text);
    process(&mut text);
    ([(CONTENT_TYPE, Text::MEDIA_TYPE)], text.finish())
}

fn own_health(status: &str) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, "application/json")], format!(r#"{{"status":"{status}"}}"#))
}
