//! The port for operators: how called services fare, and their breakers.

use std::net::SocketAddr;

use axum::extract::{Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use bytes::Bytes;
use http::{StatusCode, header};
use regatta_client::Client;
use regatta_core::{Chain, InstanceId, ServiceName};
use regatta_resilience::breaker::{Override, UnknownOverride};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::reload::Handle;
use crate::serve::{Rules, Serve};
use crate::server::{self, Limits, Phase};
use crate::{Problem, Result, Service, run};

/// The port for operators, taken and not served yet.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    app: Serve,
    limits: Limits,
}

#[derive(Clone)]
struct Shared {
    client: Client,
    configuration: Handle,
}

impl Admin {
    pub(crate) fn bind(
        address: SocketAddr,
        service: &Service,
        configuration: Handle,
    ) -> Result<Self> {
        let (listener, address) = run::listen(address)?;
        let settings = &service.settings.server;
        let rules = Rules {
            max_body_bytes: settings.max_body_bytes.0,
            request_timeout: settings.request_timeout,
            grpc_services: std::collections::HashSet::new(),
            tracker: service.tasks.tracker().clone(),
            admission: None,
        };
        let shared = Shared { client: service.client.clone(), configuration };
        let app = Serve::new(routes(shared), rules);
        Ok(Self { listener, address, app, limits: settings.limits() })
    }

    /// Where it listens, with the real port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the drain, which cuts off what is in flight: no request of it takes long.
    pub(crate) async fn run(self, drain: CancellationToken) {
        let phase = Phase::default();
        let serving = server::serve(self.listener, self.app, self.limits, phase.clone());
        let close = async {
            drain.cancelled().await;
            phase.close(tokio::time::Instant::now());
        };
        tokio::join!(serving, close);
    }
}

fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/clusters", get(clusters))
        .route("/clusters/{service}/breaker", put(breaker_of_service))
        .route("/clusters/{service}/{instance}/breaker", put(breaker_of_instance))
        .route("/config", get(configuration))
        .layer(middleware::from_fn(refuse_browsers))
        .with_state(shared)
}

/// Every service that was called, its instances, and what is known of each.
async fn clusters(State(shared): State<Shared>) -> Response {
    Json(shared.client.clusters()).into_response()
}

/// The effective settings with their origins, secrets hidden.
async fn configuration(State(shared): State<Shared>) -> Json<serde_json::Value> {
    Json(shared.configuration.to_json())
}

/// What an operator decides about a breaker.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    state: String,
}

async fn breaker_of_service(
    State(shared): State<Shared>,
    Path(service): Path<String>,
    body: Bytes,
) -> std::result::Result<StatusCode, Problem> {
    decide(&shared, &service, None, &body)
}

async fn breaker_of_instance(
    State(shared): State<Shared>,
    Path((service, instance)): Path<(String, String)>,
    body: Bytes,
) -> std::result::Result<StatusCode, Problem> {
    decide(&shared, &service, Some(&instance), &body)
}

fn decide(
    shared: &Shared,
    service: &str,
    instance: Option<&str>,
    body: &[u8],
) -> std::result::Result<StatusCode, Problem> {
    // Whatever type it says that it has: curl says it is a form.
    let decision: Decision = serde_json::from_slice(body).map_err(|error| {
        Problem::invalid(format!("the body is not {{\"state\": \"...\"}}: {error}"))
    })?;
    let name =
        ServiceName::try_new(service).map_err(|error| Problem::invalid(error.to_string()))?;
    let id = instance.map(InstanceId::new);
    let wanted: Override = decision
        .state
        .parse()
        .map_err(|error: UnknownOverride| Problem::invalid(error.to_string()))?;
    let decided = shared.client.override_breaker(&name, id.as_ref(), wanted);
    decided.map_err(|error| {
        Problem::not_found(format!("{}; GET /clusters names all", Chain(&error)))
    })?;
    tracing::warn!(service, instance, state = wanted.name(), "a breaker was set by hand");
    Ok(StatusCode::NO_CONTENT)
}

/// Refuses what a web page could have caused: a request that names an origin, or a host that is a
/// name (a page may have its name resolved to this address, "DNS rebinding"). Operators' tools use
/// an address or localhost.
async fn refuse_browsers(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or(request.uri().authority().map(|authority| authority.as_str()));
    let is_plain = host.is_some_and(is_address) && !request.headers().contains_key(header::ORIGIN);
    if is_plain {
        return next.run(request).await;
    }
    let detail = "ask by an IP address or localhost, and not from a web page";
    Problem::of(regatta_core::Code::PermissionDenied, detail).into_response()
}

/// Whether a host, with or without a port, is an IP address or localhost.
fn is_address(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_no_names() {
        for host in ["127.0.0.1:9901", "127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:80"] {
            assert!(is_address(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:80", "", "127.0.0.1.evil.example"] {
            assert!(!is_address(host), "{host}");
        }
    }
}
