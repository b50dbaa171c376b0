//! Puts a breaker in front of a service.

use tower_layer::Layer;

use crate::breaker::{Breaker, BreakerService, Outcome};

/// Says which outcomes count; any `Fn(&Result<Response, Error>) -> Outcome` is one.
pub trait Classify<Response, Error> {
    /// What this result says about the dependency.
    fn classify(&self, result: &Result<Response, Error>) -> Outcome;
}

impl<F, Response, Error> Classify<Response, Error> for F
where
    F: Fn(&Result<Response, Error>) -> Outcome,
{
    fn classify(&self, result: &Result<Response, Error>) -> Outcome {
        self(result)
    }
}

/// The default classifier: every error is a failure, every response a success.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorsFail;

impl<Response, Error> Classify<Response, Error> for ErrorsFail {
    fn classify(&self, result: &Result<Response, Error>) -> Outcome {
        if result.is_ok() { Outcome::Success } else { Outcome::Failure }
    }
}

/// Puts one breaker in front of every service it wraps.
#[derive(Clone, Debug)]
pub struct BreakerLayer<C = ErrorsFail> {
    breaker: Breaker,
    classifier: C,
}

impl BreakerLayer {
    /// A layer in which every error counts as a failure.
    pub fn new(breaker: Breaker) -> Self {
        Self { breaker, classifier: ErrorsFail }
    }

    /// The same layer in which this classifier says what counts.
    pub fn with_classifier<C>(self, classifier: C) -> BreakerLayer<C> {
        BreakerLayer { breaker: self.breaker, classifier }
    }
}

impl<S, C: Clone> Layer<S> for BreakerLayer<C> {
    type Service = BreakerService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        BreakerService::new(inner, self.breaker.clone(), self.classifier.clone())
    }
}
