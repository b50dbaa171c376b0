//! The tower shell of the deadline.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;

use crate::deadline::{DeadlineOver, left};
use crate::{BoxError, now};

/// Does not begin calls whose deadline is over, and cancels those that reach theirs.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineService<S, F> {
    inner: S,
    deadline: F,
}

impl<S, F> DeadlineService<S, F> {
    pub(crate) fn new(inner: S, deadline: F) -> Self {
        Self { inner, deadline }
    }
}

impl<S, F, Request> Service<Request> for DeadlineService<S, F>
where
    S: Service<Request>,
    S::Error: Into<BoxError>,
    F: Fn(&Request) -> Option<Instant>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let deadline = (self.deadline)(&request);
        if deadline.is_some_and(|deadline| left(now(), deadline).is_none()) {
            return ResponseFuture { call: None, sleep: None };
        }
        let sleep = deadline.map(|deadline| sleep_until(deadline.into()));
        ResponseFuture { call: Some(self.inner.call(request)), sleep }
    }
}

pin_project! {
    /// The answer to a call, or the end of its time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, the call is dropped.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        // None when the deadline was over before it began.
        #[pin]
        call: Option<F>,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<F, Response, Error> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response, Error>>,
    Error: Into<BoxError>,
{
    type Output = Result<Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(call) = this.call.as_pin_mut() else {
            return Poll::Ready(Err(DeadlineOver::NotBegun.into()));
        };
        // The call first: an answer that came in time is not thrown away.
        if let Poll::Ready(result) = call.poll(cx) {
            return Poll::Ready(result.map_err(Into::into));
        }
        match this.sleep.as_pin_mut().map(|sleep| sleep.poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Err(DeadlineOver::Cancelled.into())),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
