//! The tower shell of hedging.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use crate::hedge::Hedge;
use crate::now;
use crate::retry::Budget;

/// Sends a slow call once more; the first answer counts.
///
/// A success is put into the budget, as with retries. When one try fails, the other is waited for;
/// when both fail, the error of the first is the answer.
#[derive(Clone, Debug)]
pub struct HedgeService<S, F> {
    inner: S,
    hedge: Hedge,
    budget: Budget,
    may: F,
}

impl<S, F> HedgeService<S, F> {
    pub(crate) fn new(inner: S, hedge: Hedge, budget: Budget, may: F) -> Self {
        Self { inner, hedge, budget, may }
    }
}

impl<S, F, Request> Service<Request> for HedgeService<S, F>
where
    S: Service<Request> + Clone,
    F: Fn(&Request) -> bool,
    Request: Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let began = now();
        let delay = (self.may)(&request).then(|| self.hedge.delay(began)).flatten();
        let spare = delay.map(|_| (self.inner.clone(), request.clone()));
        ResponseFuture {
            first: Some(self.inner.call(request)),
            second: None,
            wait: delay.map(sleep),
            spare,
            hedge: self.hedge.clone(),
            budget: self.budget.clone(),
            began,
            error: None,
        }
    }
}

pin_project! {
    /// The first answer of one or two tries.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, both tries are dropped.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, Request>
    where
        S: Service<Request>,
    {
        #[pin]
        first: Option<S::Future>,
        #[pin]
        second: Option<S::Future>,
        #[pin]
        wait: Option<Sleep>,
        // What the second try is made of; none when there will be none.
        spare: Option<(S, Request)>,
        hedge: Hedge,
        budget: Budget,
        began: Instant,
        error: Option<S::Error>,
    }
}

impl<S, Request> Future for ResponseFuture<S, Request>
where
    S: Service<Request>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(first) = this.first.as_mut().as_pin_mut()
            && let Poll::Ready(result) = first.poll(cx)
        {
            this.first.set(None);
            let now = now();
            match result {
                Ok(response) => {
                    this.hedge.observe(now, now.saturating_duration_since(*this.began));
                    this.budget.deposit(now);
                    return Poll::Ready(Ok(response));
                }
                // Failed before it was slow: retries are for that.
                Err(error) if this.second.is_none() => return Poll::Ready(Err(error)),
                Err(error) => *this.error = Some(error),
            }
        }
        // The spare's turn: the wait is over, the service ready, the budget not empty.
        if this.wait.as_mut().as_pin_mut().is_some_and(|wait| wait.poll(cx).is_ready()) {
            this.wait.set(None);
            if !this.budget.withdraw(now()) {
                *this.spare = None;
            }
        }
        if this.wait.is_none()
            && let Some((service, _)) = this.spare.as_mut()
        {
            match service.poll_ready(cx) {
                Poll::Ready(Ok(())) => {
                    let second =
                        this.spare.take().map(|(mut service, request)| service.call(request));
                    this.second.set(second);
                }
                Poll::Ready(Err(_)) => *this.spare = None,
                Poll::Pending => (),
            }
        }
        if let Some(second) = this.second.as_mut().as_pin_mut()
            && let Poll::Ready(result) = second.poll(cx)
        {
            this.second.set(None);
            match (result, this.error.take()) {
                (Ok(response), _) => {
                    let now = now();
                    // The first try took at least so long: else slow calls would teach nothing.
                    this.hedge.observe(now, now.saturating_duration_since(*this.began));
                    this.budget.deposit(now);
                    return Poll::Ready(Ok(response));
                }
                (Err(_), Some(first)) => return Poll::Ready(Err(first)),
                // The first is still under way.
                (Err(_), None) => (),
            }
        }
        Poll::Pending
    }
}

impl<S: Service<Request>, Request> fmt::Debug for ResponseFuture<S, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
