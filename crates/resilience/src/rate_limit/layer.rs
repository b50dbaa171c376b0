//! Puts a rate limit in front of a service.

use tower_layer::Layer;

use crate::rate_limit::{Limiter, RateLimit};

/// Limits the calls per client; `key` says who the client of a request is.
#[derive(Clone, Debug)]
pub struct RateLimitLayer<K> {
    limiter: Limiter,
    key: K,
}

impl<K> RateLimitLayer<K> {
    /// A layer whose clients are what `key` answers, any `Fn(&Request) -> impl Hash`.
    pub fn new(limiter: impl Into<Limiter>, key: K) -> Self {
        Self { limiter: limiter.into(), key }
    }
}

impl<S, K: Clone> Layer<S> for RateLimitLayer<K> {
    type Service = RateLimit<S, K>;

    fn layer(&self, inner: S) -> RateLimit<S, K> {
        RateLimit::new(inner, self.limiter.clone(), self.key.clone())
    }
}
