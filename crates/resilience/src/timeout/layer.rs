//! Puts a timeout around a service.

use std::time::Duration;

use tower_layer::Layer;

use crate::timeout::Timeout;

/// Bounds the time each call of a service may take.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    timeout: Duration,
}

impl TimeoutLayer {
    /// Calls may take this long; zero cancels every call that does not answer at once.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout::new(inner, self.timeout)
    }
}
