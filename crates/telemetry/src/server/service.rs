//! The tower shell around an [`Exchange`].

use std::pin::Pin;
use std::task::{self, Poll, ready};
use std::time::Duration;

use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Exchange, Head, Observed, matched};
use crate::Telemetry;

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
    type Response = http::Response<Observed<ResponseBody, S::Future>>;
    type Error = S::Error;
    type Future = ServeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<RequestBody>) -> Self::Future {
        let exchange = Exchange::begin_within(&self.telemetry, Head::from(&request), self.timeout);
        let is_head = request.method() == http::Method::HEAD;
        let mut served = Box::new(Served { exchange, is_head, future: None });
        let Served { exchange, future, .. } = &mut *served;
        // Layers further in may answer, log or call out as soon as they are called.
        let inner = &mut self.inner;
        exchange.enter(|| *future = Some(inner.call(request)));
        ServeFuture { served: Some(Box::into_pin(served)) }
    }
}

pin_project! {
    /// All that belongs to one request, first while it is served and then while its answer goes out.
    ///
    /// In one allocation: futures and bodies are moved a dozen times on their way.
    #[derive(Debug)]
    pub(super) struct Served<F> {
        // Dropped before the inner future would be; a panic in there is seen by its drop.
        pub(super) exchange: Exchange,
        pub(super) is_head: bool,
        // None once it has answered.
        #[pin]
        future: Option<F>,
    }
}

/// The response of [`Serve`]. Dropping it counts the request as cancelled.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ServeFuture<F> {
    served: Option<Pin<Box<Served<F>>>>,
}

impl<F, B, E> Future for ServeFuture<F>
where
    F: Future<Output = Result<http::Response<B>, E>>,
    B: Body,
{
    type Output = Result<http::Response<Observed<B, F>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        const ENDED: &str = "futures are not polled after they end";
        let mut this = self.served.as_mut().expect(ENDED).as_mut().project();
        let future = this.future.as_mut().as_pin_mut().expect(ENDED);
        let polled = this.exchange.enter(|| future.poll(cx));
        // Also while it waits: the next request on this thread must not find it.
        if let Some(path) = matched::take() {
            this.exchange.set_matched(path);
        }
        let result = ready!(polled);
        this.future.set(None);
        Poll::Ready(match result {
            Ok(mut response) => {
                this.exchange.respond(&mut response);
                let served = self.served.take().expect(ENDED);
                Ok(response.map(|body| Observed::new(body, served)))
            }
            Err(error) => {
                this.exchange.fail("service_error");
                this.exchange.finish();
                Err(error)
            }
        })
    }
}
