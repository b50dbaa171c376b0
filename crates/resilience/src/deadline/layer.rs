//! Puts deadlines around a service.

use tower_layer::Layer;

use crate::deadline::DeadlineService;

/// Bounds each call by its own deadline; `deadline` says which, any
/// `Fn(&Request) -> Option<Instant>`. A call without one is not bounded.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineLayer<F> {
    deadline: F,
}

impl<F> DeadlineLayer<F> {
    /// A layer that asks this for the deadline of a request.
    pub fn new(deadline: F) -> Self {
        Self { deadline }
    }
}

impl<S, F: Clone> Layer<S> for DeadlineLayer<F> {
    type Service = DeadlineService<S, F>;

    fn layer(&self, inner: S) -> DeadlineService<S, F> {
        DeadlineService::new(inner, self.deadline.clone())
    }
}
