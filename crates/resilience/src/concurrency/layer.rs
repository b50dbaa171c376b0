//! Puts a concurrency limit in front of a service.

use std::time::Duration;

use tower_layer::Layer;

use crate::concurrency::{Limit, LimitService, Priority};

/// Puts one limit in front of every service it wraps; all calls are as urgent as the default.
#[derive(Clone, Debug)]
pub struct LimitLayer<P = ()> {
    limit: Limit,
    priority: P,
}

impl LimitLayer {
    /// A layer whose calls are all as urgent as the default.
    pub fn new(limit: Limit) -> Self {
        Self { limit, priority: () }
    }
}

impl<P> LimitLayer<P> {
    /// The same layer in which this says how urgent a request is.
    pub fn with_priority<Q>(self, priority: Q) -> LimitLayer<Q> {
        LimitLayer { limit: self.limit, priority }
    }
}

impl<S, P: Clone> Layer<S> for LimitLayer<P> {
    type Service = LimitService<S, P>;

    fn layer(&self, inner: S) -> LimitService<S, P> {
        LimitService::new(inner, self.limit.clone(), self.priority.clone())
    }
}

/// Says how urgent a request is; any `Fn(&Request) -> Priority` does, and nothing says the default.
pub trait Prioritise<Request> {
    /// How urgent it is.
    fn priority(&self, request: &Request) -> Priority;
}

impl<Request> Prioritise<Request> for () {
    fn priority(&self, _: &Request) -> Priority {
        Priority::default()
    }
}

impl<Request, F: Fn(&Request) -> Priority> Prioritise<Request> for F {
    fn priority(&self, request: &Request) -> Priority {
        self(request)
    }
}

/// As long as the limit's own settings allow.
pub(super) const AT_MOST: Duration = Duration::MAX;
