//! The layer that makes a service observed.

use tower_layer::Layer;

use crate::{Serve, Telemetry};

/// Wraps what serves HTTP and gRPC; see [`Serve`] for what it does to a request.
///
/// With axum, apply it with `Router::layer` after all routes and the fallback are there: the
/// route's pattern is known only inside the router.
#[derive(Clone, Debug)]
pub struct ServerLayer {
    telemetry: Telemetry,
}

impl ServerLayer {
    /// A layer that reports to this telemetry.
    pub fn new(telemetry: Telemetry) -> Self {
        Self { telemetry }
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = Serve<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Serve::new(inner, self.telemetry.clone())
    }
}
