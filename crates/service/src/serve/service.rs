//! The shell around the router: limits before, problems after.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::routing::Route;
use http::{HeaderMap, Request, header};
use http_body::Body as _;
use tokio_util::task::TaskTracker;
use tower_layer::Layer;
use tower_service::Service;

use super::body::{Bounded, discard};
use super::future::{Protocol, Serving};
use crate::rest::{Problem, body_too_large};

/// What holds for each request.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Bytes of a request's body. gRPC bounds each message instead (tonic, 4 MiB).
    pub(crate) max_body_bytes: u64,
    /// Longest time to the head of an answer; a caller's deadline may only shorten it.
    pub(crate) request_timeout: Duration,
    /// Full names of the gRPC services, such as `userservice.UserService`.
    pub(crate) grpc_services: HashSet<String>,
    /// Where work that outlives its request is counted.
    pub(crate) tracker: TaskTracker,
}

/// Puts what the chassis promises around each route.
#[derive(Clone, Debug)]
pub(crate) struct ServeLayer {
    rules: Arc<Rules>,
}

impl ServeLayer {
    pub(crate) fn new(rules: Arc<Rules>) -> Self {
        Self { rules }
    }
}

impl Layer<Route> for ServeLayer {
    type Service = Serve;

    fn layer(&self, route: Route) -> Serve {
        Serve { route, rules: self.rules.clone() }
    }
}

/// A route, or the fallback, with what the chassis promises around it.
#[derive(Clone)]
pub(crate) struct Serve {
    route: Route,
    rules: Arc<Rules>,
}

impl Serve {
    fn protocol(&self, request: &Request<Body>) -> Protocol {
        let is_grpc = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|media| media.as_bytes().starts_with(b"application/grpc"));
        if !is_grpc {
            return Protocol::Rest;
        }
        let service = request.uri().path().trim_start_matches('/').split('/').next();
        if self.rules.grpc_services.contains(service.unwrap_or_default()) {
            Protocol::Grpc
        } else {
            Protocol::UnknownGrpc
        }
    }

    fn bounded(&self, body: Body) -> Body {
        let limit = self.rules.max_body_bytes;
        if body.size_hint().upper().is_some_and(|bytes| bytes <= limit) {
            // hyper reads no more than the length it was told.
            return body;
        }
        Body::new(Bounded::new(body, limit, self.rules.tracker.clone()))
    }
}

impl Service<Request<Body>> for Serve {
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = Serving;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A route is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Serving {
        let protocol = self.protocol(&request);
        if protocol == Protocol::UnknownGrpc {
            let detail = format!("there is no method `{}` here", request.uri().path());
            let problem = Problem::of(regatta_core::Code::Unimplemented, detail);
            return Serving::answered(problem, Protocol::Grpc);
        }
        let limit = self.rules.max_body_bytes;
        let request = if protocol == Protocol::Grpc {
            request
        } else if content_length(request.headers()).is_some_and(|bytes| bytes > limit) {
            discard(request.into_body(), &self.rules.tracker);
            return Serving::answered(body_too_large(Some(limit)), protocol);
        } else {
            request.map(|body| self.bounded(body))
        };
        let asked = (request.method().clone(), request.uri().clone());
        Serving::routed(self.route.call(request), protocol, self.rules.request_timeout, asked)
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
