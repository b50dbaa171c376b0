//! The tower shell of the breaker.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::breaker::{Breaker, BreakerOpen, Classify, Permit};
use crate::{BoxError, now};

/// Rejects calls with [`BreakerOpen`] while the breaker is open.
#[derive(Clone, Debug)]
pub struct BreakerService<S, C> {
    inner: S,
    breaker: Breaker,
    classifier: C,
}

impl<S, C> BreakerService<S, C> {
    pub(crate) fn new(inner: S, breaker: Breaker, classifier: C) -> Self {
        Self { inner, breaker, classifier }
    }
}

impl<S, C, Request> Service<Request> for BreakerService<S, C>
where
    S: Service<Request>,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // An error here would tell the caller to throw this service away, so `call` rejects.
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let stage = match self.breaker.admit(now()) {
            Ok(permit) => {
                let classifier = self.classifier.clone();
                Stage::Admitted { call: self.inner.call(request), permit: Some(permit), classifier }
            }
            Err(error) => Stage::Rejected { error: Some(error) },
        };
        ResponseFuture { stage }
    }
}

pin_project! {
    /// The answer to a call, or its rejection.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, C> {
        #[pin]
        stage: Stage<F, C>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F, C> {
        Admitted { #[pin] call: F, permit: Option<Permit>, classifier: C },
        Rejected { error: Option<BreakerOpen> },
    }
}

impl<F, C, Response, Error> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<Response, Error>>,
    Error: Into<BoxError>,
    C: Classify<Response, Error>,
{
    type Output = Result<Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().stage.project() {
            StageProjection::Admitted { call, permit, classifier } => {
                let result = ready!(call.poll(cx));
                // Counts now and not when the caller drops this future.
                if let Some(permit) = permit.take() {
                    permit.record(now(), classifier.classify(&result));
                }
                Poll::Ready(result.map_err(Into::into))
            }
            StageProjection::Rejected { error } => {
                let error = error.take().expect("a future is not polled after it completed");
                Poll::Ready(Err(error.into()))
            }
        }
    }
}

impl<F, C> std::fmt::Debug for ResponseFuture<F, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
