//! All services of etcd's interface, and its two pages in plain HTTP.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use regatta_proto::etcdserverpb::auth_server::AuthServer;
use regatta_proto::etcdserverpb::cluster_server::ClusterServer;
use regatta_proto::etcdserverpb::kv_server::KvServer;
use regatta_proto::etcdserverpb::lease_server::LeaseServer;
use regatta_proto::etcdserverpb::maintenance_server::MaintenanceServer;
use regatta_proto::etcdserverpb::watch_server::WatchServer;
use regatta_proto::v3electionpb::election_server::ElectionServer;
use regatta_proto::v3lockpb::lock_server::LockServer;
use serde_json::json;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

use super::access::{identify, now, token};
use super::app::{App, VERSION};
use super::auth::AuthService;
use super::cluster::ClusterService;
use super::election::ElectionService;
use super::half_sent::given_up;
use super::health::health;
use super::health_service::HealthService;
use super::json;
use super::kv::KvService;
use super::lease::LeaseService;
use super::lock::LockService;
use super::maintenance::MaintenanceService;
use super::watch::WatchService;
use crate::access::{Level, Resource};
use crate::metrics::{Text, process};

/// What a message may have beside its payload, in bytes: etcd's.
const OVERHEAD: usize = 512 * 1024;
/// gRPC's codes in a header.
const OUT_OF_RANGE: &str = "11";
const RESOURCE_EXHAUSTED: &str = "8";
const UNIMPLEMENTED: &str = "12";

/// The routes of the listener.
pub(crate) fn routes(app: App) -> Router {
    let most = app.bounds.request_bytes + OVERHEAD;
    let mut services = Routes::builder();
    services
        .add_service(KvServer::new(KvService(app.clone())).max_decoding_message_size(most))
        .add_service(WatchServer::new(WatchService(app.clone())).max_decoding_message_size(most))
        .add_service(LeaseServer::new(LeaseService(app.clone())))
        .add_service(ClusterServer::new(ClusterService(app.clone())))
        .add_service(MaintenanceServer::new(MaintenanceService(app.clone())))
        .add_service(AuthServer::new(AuthService(app.clone())))
        .add_service(HealthServer::new(HealthService(app.clone())))
        .add_service(LockServer::new(LockService(app.clone())))
        .add_service(
            ElectionServer::new(ElectionService(app.clone())).max_decoding_message_size(most),
        );
    let pages = Router::new()
        .route("/health", get(health))
        .route("/version", get(version))
        .route("/metrics", get(metrics))
        .with_state(app.clone());
    let is_open = !app.access.is_enabled();
    let longest = app.bounds.body_read_timeout;
    let calls = services
        .routes()
        .into_axum_router()
        .layer(from_fn_with_state(longest, given_up))
        .layer(from_fn_with_state(app.clone(), identify))
        .layer(from_fn_with_state(app, observe));
    calls.clone().merge(json::routes(calls, most, longest, is_open)).merge(pages)
}

/// Counts the call, and puts into words what the library below answers without any, or with others
/// than etcd.
async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().clone();
    let response = named(path.path(), next.run(request).await);
    // What ends well says so behind its answer.
    let code = response.headers().get("grpc-status").and_then(|code| code.to_str().ok());
    app.metrics.call(path.path(), code.and_then(|code| code.parse().ok()).unwrap_or_default());
    response
}

fn named(path: &str, mut response: Response) -> Response {
    let headers = response.headers_mut();
    let begins = |name: &str, with: &str| {
        headers.get(name).is_some_and(|value| value.as_bytes().starts_with(with.as_bytes()))
    };
    let is_nameless = begins("grpc-status", UNIMPLEMENTED) && !headers.contains_key("grpc-message");
    // Set by the decoder only: our own texts begin with `etcdserver`.
    if begins("grpc-status", OUT_OF_RANGE) && begins("grpc-message", "Error") {
        // Of a message that is too large etcd says: too much of a resource.
        headers.insert("grpc-status", HeaderValue::from_static(RESOURCE_EXHAUSTED));
    }
    if is_nameless && let Ok(text) = HeaderValue::try_from(unknown(path)) {
        headers.insert("grpc-message", text);
    }
    response
}

/// What is said of a call that is not offered: gRPC for Go's words, which etcd's clients know.
fn unknown(path: &str) -> String {
    let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    match service {
        "etcdserverpb.Auth" => {
            format!("unknown method {method}; users are in the access file, see `--access`")
        }
        service => format!("unknown method {method} for service {service}"),
    }
}

/// The store's figures and the calls; for whom may read everything when there is access control.
async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    let grant = app.access.grant(now(), token(&headers));
    if !grant.is_ok_and(|grant| grant.rules.allows(Resource::Node, b"", Level::Read)) {
        app.metrics.denied("etcd");
        return (StatusCode::FORBIDDEN, "Permission denied").into_response();
    }
    let mut text = Text::default();
    app.metrics.write(&mut text);
    app.store.figures(&mut text);
    process(&mut text);
    ([(CONTENT_TYPE, Text::MEDIA_TYPE)], text.finish()).into_response()
}

async fn version() -> axum::Json<serde_json::Value> {
    axum::Json(json!({ "etcdserver": VERSION, "etcdcluster": "3.4.0" }))
}
