//! The tower shell around an [`Exchange`].

use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

use http_body::Body;
use pin_project_lite::pin_project;
use regatta_core::Context;
use tower_service::Service;

use super::{Exchange, Head, Observed, matched};
use crate::Telemetry;
use crate::span::{self, Current};

/// A service whose requests have a context, a span and a measurement.
///
/// Each request continues its caller's trace or starts one, keeps or gets an `X-Request-Id`
/// (echoed in the response), takes its caller's deadline, and runs in a
/// [`Context`](regatta_core::Context) of all that. It is measured until the last byte of the
/// response's body was handed over, so a stream counts for as long as it lasts.
#[derive(Clone, Debug)]
pub struct Serve<S> {
    inner: S,
    telemetry: Telemetry,
    timeout: Option<Duration>,
}

impl<S> Serve<S> {
    pub(super) fn new(inner: S, telemetry: Telemetry, timeout: Option<Duration>) -> Self {
        Self { inner, telemetry, timeout }
    }
}

impl<S, RequestBody, ResponseBody> Service<http::Request<RequestBody>> for Serve<S>
where
    S: Service<http::Request<RequestBody>, Response = http::Response<ResponseBody>>,
    ResponseBody: Body,
{
    type Response = http::Response<Observed<ResponseBody>>;
    type Error = S::Error;
    type Future = ServeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<RequestBody>) -> Self::Future {
        let exchange = Exchange::begin_within(&self.telemetry, Head::from(&request), self.timeout);
        // Futures and bodies are moved a dozen times on their way; this is the larger part of them.
        let exchange = Box::new(exchange);
        let is_head = request.method() == http::Method::HEAD;
        let mut scope =
            Scope { context: Some(exchange.context().clone()), current: Some(exchange.current()) };
        // Layers further in may answer, log or call out as soon as they are called.
        let inner = &mut self.inner;
        let future = scope.enter(|| inner.call(request));
        ServeFuture { exchange: Some(exchange), is_head, scope, future }
    }
}

/// What is current while a request is served.
#[derive(Debug)]
struct Scope {
    context: Option<Arc<Context>>,
    current: Option<Current>,
}

impl Scope {
    fn enter<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let current = &mut self.current;
        Context::enter(&mut self.context, || span::enter(current, work))
    }
}

pin_project! {
    /// The response of [`Serve`]. Dropping it counts the request as cancelled.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ServeFuture<F> {
        // Dropped before the inner future would be; a panic in there is seen by its drop.
        exchange: Option<Box<Exchange>>,
        is_head: bool,
        scope: Scope,
        #[pin]
        future: F,
    }
}

impl<F, B, E> Future for ServeFuture<F>
where
    F: Future<Output = Result<http::Response<B>, E>>,
    B: Body,
{
    type Output = Result<http::Response<Observed<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let future = this.future;
        let polled = this.scope.enter(|| future.poll(cx));
        // Also while it waits: the next request on this thread must not find it.
        if let (Some(path), Some(exchange)) = (matched::take(), this.exchange.as_mut()) {
            exchange.set_matched(path);
        }
        let result = ready!(polled);
        let mut exchange = this.exchange.take().expect("futures are not polled after they end");
        Poll::Ready(match result {
            Ok(mut response) => {
                exchange.respond(&mut response);
                let is_head = *this.is_head;
                Ok(response.map(|body| Observed::new(body, exchange, is_head)))
            }
            Err(error) => {
                exchange.fail("service_error");
                exchange.end();
                Err(error)
            }
        })
    }
}
