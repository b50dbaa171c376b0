//! The operators' listener: metrics, health, clusters and their breakers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use regatta_core::{Code, InstanceId, Problem};
use regatta_traffic::cluster::{Override, View};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::health;
use crate::policy::{Denial, Health};
use crate::shared::Shared;
use crate::upstream::Target;

/// Connections at once; scrapers need few.
const MOST: usize = 64;

/// Bytes of a request's body.
const MOST_BODY: usize = 4096;

/// From a connection to the end of a request's head.
const HEADER_READ: Duration = Duration::from_secs(5);

/// From the head to the end of a request's body.
const BODY_READ: Duration = Duration::from_secs(5);

/// Serves until the drain is over, so that the last numbers can be read.
///
/// # Cancel safety
///
/// Cancel safe: open connections are closed.
pub(crate) async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        if tasks.len() >= MOST {
            continue;
        }
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            let service = service_fn(|request| {
                let shared = &shared;
                async move { Ok::<_, Infallible>(answer(request, shared).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_READ)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => (),
                () = shared.stop.cancelled() => (),
            }
        });
    }
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if path.starts_with("/clusters") && is_from_a_page(&request) {
        let detail = "ask by an IP address or localhost, and not from a web page";
        return deny(Problem::of(Code::PermissionDenied, detail.into()));
    }
    match path.as_str() {
        "/metrics" if reads => {
            let now = Instant::now().into_std();
            let text = shared.metrics.text(shared.open(), &services(shared), now);
            respond(200, "text/plain; version=0.0.4; charset=utf-8", text)
        }
        "/clusters" if reads => {
            let now = Instant::now().into_std();
            let views: Vec<View> =
                services(shared).iter().map(|it| it.upstream.cluster.view(now)).collect();
            // Plain data with text for keys always has a JSON.
            let json = serde_json::to_string(&views).unwrap_or_default();
            respond(200, "application/json", json)
        }
        path => match (Health::of(path), path.strip_prefix("/clusters/")) {
            (Some(health), _) if reads => {
                if health == Health::Whole {
                    shared.findings.renew(shared).await;
                }
                let (status, body) = health::answer(health, shared);
                respond(status, "application/json", body)
            }
            (None, Some(rest)) if *request.method() == Method::PUT => {
                match set_breaker(rest, request.into_body(), shared).await {
                    Ok(()) => respond(204, "", String::new()),
                    Err(problem) => deny(problem),
                }
            }
            _ => {
                let detail = "this listener has GET /metrics, /clusters, /health, /health/live, \
                              /health/ready and PUT /clusters/{service}[/{instance}]/breaker";
                deny(Problem::of(Code::NotFound, detail.into()))
            }
        },
    }
}

/// Whether a web page could have caused it: a request that names an origin, or a host that is a
/// name (a page may have its name resolved to this address, "DNS rebinding"). Operators' tools use
/// an address or localhost. Metrics and health are read by name and decide nothing.
fn is_from_a_page(request: &Request<Incoming>) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or(request.uri().authority().map(|authority| authority.as_str()));
    !host.is_some_and(is_address) || request.headers().contains_key(header::ORIGIN)
}

/// Whether a host, with or without a port, is an IP address or localhost.
fn is_address(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

/// The services of the rules in force, by name.
fn services(shared: &Shared) -> Vec<Arc<Target>> {
    let rules = shared.rules.load();
    let mut all: Vec<_> = rules.targets().cloned().collect();
    all.sort_by(|one, other| one.name().cmp(other.name()));
    all
}

/// What an operator says about a breaker.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    state: String,
}

/// `{service}/breaker` or `{service}/{instance}/breaker`.
async fn set_breaker(rest: &str, body: Incoming, shared: &Shared) -> Result<(), Problem> {
    let parts: Vec<&str> = rest.split('/').collect();
    let (service, instance) = match parts[..] {
        [service, "breaker"] => (service, None),
        [service, instance, "breaker"] => (service, Some(InstanceId::new(instance))),
        _ => {
            let detail =
                "write /clusters/{service}/breaker or /clusters/{service}/{instance}/breaker";
            return Err(Problem::of(Code::NotFound, detail.into()));
        }
    };
    let invalid = |detail: String| Problem::of(Code::InvalidArgument, detail);
    let body = timeout(BODY_READ, Limited::new(body, MOST_BODY).collect()).await;
    let body = body.map_err(|_| *Denial::body_too_slow().problem)?;
    let bytes = body.map_err(|_| invalid(format!("the body has more than {MOST_BODY} bytes")))?;
    let said: Said = serde_json::from_slice(&bytes.to_bytes())
        .map_err(|error| invalid(format!("the body is not {{\"state\": \"...\"}}: {error}")))?;
    let choices = [Override::Automatic, Override::ForcedOpen, Override::ForcedClosed];
    let chosen = choices.into_iter().find(|choice| choice.name() == said.state);
    let chosen = chosen.ok_or_else(|| {
        let state = &said.state;
        invalid(format!("state `{state}` is none; use forced_open, forced_closed or automatic"))
    })?;
    let known = services(shared);
    let target = known.iter().find(|it| it.name() == service).ok_or_else(|| {
        Problem::of(Code::NotFound, format!("no service `{service}` is offered here"))
    })?;
    let now = Instant::now().into_std();
    let set = target.upstream.cluster.override_breaker(now, instance.as_ref(), chosen);
    set.map_err(|error| Problem::of(Code::NotFound, error.to_string()))?;
    let instance = instance.as_ref().map_or("all", |id| id.as_str());
    tracing::warn!(service, instance, state = said.state, "an operator set the circuit breaker");
    Ok(())
}

fn deny(problem: Problem) -> Response<Full<Bytes>> {
    respond(problem.status, Problem::MEDIA_TYPE, problem.to_json())
}

fn respond(status: u16, media_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if !media_type.is_empty() {
        let media_type = HeaderValue::from_static(media_type);
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    }
    response
}
