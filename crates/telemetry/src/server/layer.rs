//! The layer that makes a service observed.

use std::time::Duration;

use tower_layer::Layer;

use crate::{Serve, Telemetry};

/// Wraps what serves HTTP and gRPC; see [`Serve`] for what it does to a request.
///
/// With axum, apply it with `Router::layer` after all routes and the fallback are there: the
/// route's pattern is known only inside the router. Or apply it outside of the router, which is
/// cheaper, and a [`RouteLayer`](crate::RouteLayer) inside.
#[derive(Clone, Debug)]
pub struct ServerLayer {
    telemetry: Telemetry,
    timeout: Option<Duration>,
}

impl ServerLayer {
    /// A layer that reports to this telemetry.
    pub fn new(telemetry: Telemetry) -> Self {
        Self { telemetry, timeout: None }
    }

    /// Gives every request a deadline; a caller's earlier one stays. Default none.
    ///
    /// It bounds the calls that the request makes; it does not stop the handler itself.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = Serve<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Serve::new(inner, self.telemetry.clone(), self.timeout)
    }
}
