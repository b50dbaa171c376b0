//! Which path is which call.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

use super::app::App;
use super::failure::Failure;
use super::guard::guard;
use super::web_pages::refuse_web_pages;
use super::{agent, agent_checks, catalog, health};
use crate::metrics::Text;

/// Consul's API, and the control plane's own health and metrics beside it.
pub(crate) fn router(app: App) -> Router {
    let max_body_bytes = app.max_body_bytes;
    let is_open = !app.access.is_enabled();
    let routes = Router::new()
        .route("/v1/agent/self", get(agent::self_))
        .route("/v1/agent/members", get(agent::members))
        .route("/v1/agent/maintenance", put(agent::maintain_node))
        .route("/v1/agent/services", get(agent::services))
        .route("/v1/agent/service/register", put(agent::register))
        .route("/v1/agent/service/deregister/{*id}", put(agent::deregister))
        .route("/v1/agent/service/maintenance/{*id}", put(agent::maintain_service))
        .route("/v1/agent/service/{*id}", get(agent::service))
        .route("/v1/agent/health/service/id/{*id}", get(agent::health_by_id))
        .route("/v1/agent/health/service/name/{*name}", get(agent::health_by_name))
        .route("/v1/agent/checks", get(agent_checks::list))
        .route("/v1/agent/check/register", put(agent_checks::register))
        .route("/v1/agent/check/deregister/{*id}", put(agent_checks::deregister))
        .route("/v1/agent/check/pass/{*id}", put(agent_checks::pass))
        .route("/v1/agent/check/warn/{*id}", put(agent_checks::warn))
        .route("/v1/agent/check/fail/{*id}", put(agent_checks::fail))
        .route("/v1/agent/check/update/{*id}", put(agent_checks::update))
        .route("/v1/catalog/datacenters", get(catalog::datacenters))
        .route("/v1/catalog/nodes", get(catalog::nodes))
        .route("/v1/catalog/services", get(catalog::services))
        .route("/v1/catalog/service/{*name}", get(catalog::service))
        .route("/v1/catalog/node/{*node}", get(catalog::node))
        .route("/v1/catalog/register", put(catalog::register))
        .route("/v1/catalog/deregister", put(catalog::deregister))
        .route("/v1/health/service/{*name}", get(health::service))
        .route("/v1/health/checks/{*name}", get(health::checks))
        .route("/v1/health/state/{*state}", get(health::state))
        .route("/v1/health/node/{*node}", get(health::node))
        .route("/v1/status/leader", get(agent::leader))
        .route("/v1/status/peers", get(agent::peers))
        .route("/health/live", get(|| async { own_health("alive") }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .layer(middleware::from_fn_with_state(app.clone(), guard));
    // A page has no token, and a server that asks for one may have any name.
    let routes = if is_open { routes.layer(middleware::from_fn(refuse_web_pages)) } else { routes };
    routes.layer(middleware::from_fn_with_state(app.clone(), in_consuls_words)).with_state(app)
}

async fn unknown(request: Request) -> Failure {
    if request.uri().path().starts_with("/v1/") {
        // Consul's words.
        return Failure::not_found("Invalid URL path: not a recognized HTTP API endpoint\n");
    }
    Failure::not_found("404 page not found\n")
}

/// Counts the request, and gives the bodies that axum leaves empty or words its own way: 405 (with
/// `Allow`, which axum sets) and 413.
async fn in_consuls_words(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let response = next.run(request).await;
    app.metrics.request(&method, response.status());
    let text = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => format!("method {method} not allowed"),
        StatusCode::PAYLOAD_TOO_LARGE => "Request body too large; see `max_body_bytes`".to_owned(),
        _ => return response,
    };
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
    let (services, index) = app.engine.read(|state| (state.service_count(), state.index()));
    text.gauge("regatta_control_services", "Services registered.", services);
    text.gauge("regatta_control_checks", "Health checks known.", app.schedule.len());
    text.gauge("regatta_control_index", "Index of the latest change.", index);
    if let Some(store) = &app.store {
        store.figures(&mut text);
    }
    ([(CONTENT_TYPE, Text::MEDIA_TYPE)], text.finish())
}

fn own_health(status: &str) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, "application/json")], format!(r#"{{"status":"{status}"}}"#))
}
