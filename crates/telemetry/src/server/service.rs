//! The tower shell around an [`Exchange`].

use std::pin::Pin;
use std::task::{self, Poll, ready};
use std::time::Duration;

use http_body::Body;
use pin_project_lite::pin_project;
use regatta_core::InContext;
use tower_service::Service;

use super::{Exchange, Head, Observed, matched};
use crate::Telemetry;
use crate::span::Scoped;

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
        let mut exchange = Exchange::begin(&self.telemetry, Head::from(&request));
        if let Some(timeout) = self.timeout {
            exchange = exchange.with_timeout(timeout);
        }
        // Futures and bodies are moved a dozen times on their way; this is the larger part of them.
        let exchange = Box::new(exchange);
        let is_head = request.method() == http::Method::HEAD;
        // Layers further in may answer, log or call out as soon as they are called.
        let inner = &mut self.inner;
        let future = exchange.enter(|| inner.call(request));
        let future = exchange.context().clone().scope(Scoped::new(exchange.current(), future));
        ServeFuture { exchange: Some(exchange), is_head, future }
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
        #[pin]
        future: InContext<Scoped<F>>,
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
        let polled = this.future.poll(cx);
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
