//! The tower shell of the rate limit.

use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::rate_limit::{Limiter, RateLimited};
use crate::{BoxError, now};

/// Answers [`RateLimited`] to calls over their client's limit.
#[derive(Clone, Debug)]
pub struct RateLimit<S, K> {
    inner: S,
    limiter: Limiter,
    key: K,
}

impl<S, K> RateLimit<S, K> {
    pub(crate) fn new(inner: S, limiter: Limiter, key: K) -> Self {
        Self { inner, limiter, key }
    }
}

impl<S, K, Client, Request> Service<Request> for RateLimit<S, K>
where
    S: Service<Request>,
    S::Error: Into<BoxError>,
    K: Fn(&Request) -> Client,
    Client: Hash,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let decision = self.limiter.check(&(self.key)(&request), now());
        let stage = if decision.allowed {
            Stage::Admitted { call: self.inner.call(request) }
        } else {
            let (limit, retry_after) = (decision.limit, decision.retry_after);
            Stage::Rejected { error: RateLimited { limit, retry_after } }
        };
        ResponseFuture { stage }
    }
}

pin_project! {
    /// The answer to a call, or its rejection.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StageProjection]
    enum Stage<F> {
        Admitted { #[pin] call: F },
        Rejected { error: RateLimited },
    }
}

impl<F, Response, Error> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response, Error>>,
    Error: Into<BoxError>,
{
    type Output = Result<Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().stage.project() {
            StageProjection::Admitted { call } => call.poll(cx).map_err(Into::into),
            StageProjection::Rejected { error } => Poll::Ready(Err((*error).into())),
        }
    }
}
