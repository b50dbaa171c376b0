//! The tower shell of the concurrency limit.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::concurrency::layer::{AT_MOST, Prioritise};
use crate::concurrency::{Acquire, Ending, Limit, Permit};
use crate::{BoxError, now};

/// Makes calls wait or rejects them with [`super::Rejected`] while too many are in flight.
///
/// To an adaptive limit every answer is an ordinary end, and every error one that says nothing:
/// whoever knows which errors mean overload holds a [`Limit`] and says so.
#[derive(Clone, Debug)]
pub struct LimitService<S, P> {
    inner: S,
    limit: Limit,
    priority: P,
}

impl<S, P> LimitService<S, P> {
    pub(crate) fn new(inner: S, limit: Limit, priority: P) -> Self {
        Self { inner, limit, priority }
    }
}

impl<S, P, Request> Service<Request> for LimitService<S, P>
where
    S: Service<Request> + Clone,
    S::Error: Into<BoxError>,
    P: Prioritise<Request>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The one that is ready goes along; its clone gets ready for the next call.
        let clone = self.inner.clone();
        let service = std::mem::replace(&mut self.inner, clone);
        let acquire = self.limit.acquire(self.priority.priority(&request), AT_MOST);
        ResponseFuture { stage: Stage::Waits { acquire, call: Some((service, request)) } }
    }
}

pin_project! {
    /// The answer to a call, or its rejection.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, the call is dropped and its room is the next call's.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, Request>
    where
        S: Service<Request>,
    {
        #[pin]
        stage: Stage<S, Request>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<S, Request>
    where
        S: Service<Request>,
    {
        Waits { #[pin] acquire: Acquire, call: Option<(S, Request)> },
        Calls { #[pin] call: S::Future, permit: Option<Permit> },
    }
}

impl<S, Request> Future for ResponseFuture<S, Request>
where
    S: Service<Request>,
    S::Error: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Waits { acquire, call } => {
                    let permit = Some(ready!(acquire.poll(cx))?);
                    let (mut service, request) =
                        call.take().expect("a call begins once, when it has its permit");
                    let call = service.call(request);
                    this.stage.set(Stage::Calls { call, permit });
                }
                StageProjection::Calls { call, permit } => {
                    let result = ready!(call.poll(cx));
                    if let Some(permit) = permit.take() {
                        let ending = if result.is_ok() { Ending::Done } else { Ending::Ignored };
                        permit.finish(now(), ending);
                    }
                    return Poll::Ready(result.map_err(Into::into));
                }
            }
        }
    }
}

impl<S: Service<Request>, Request> fmt::Debug for ResponseFuture<S, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
