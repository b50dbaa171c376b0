//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use http::{HeaderValue, Request, Response, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use pin_project_lite::pin_project;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tower_service::Service;

use super::gauge::{Gauge, Gauged, InFlight, InFlightBody};
use super::phase::Phase;
use super::watchdog::{Verdict, Watchdog};

/// How long a connection without a request yet holds up a drain.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);

/// Serves one connection until its client or the drain ends it.
pub(super) async fn serve<S, F>(
    stream: TcpStream,
    permit: OwnedSemaphorePermit,
    builder: Arc<auto::Builder<TokioExecutor>>,
    service: S,
    mut watchdog: Watchdog,
    phase: Phase,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = F>,
    S: Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let gauge = Arc::new(Gauge::default());
    let stream = Gauged { stream, gauge: gauge.clone(), permit };
    let requests = Requests { service, gauge: gauge.clone(), phase: phase.clone() };
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), requests));
    let mut ticks = tokio::time::interval(watchdog.period());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // Clones of their own, so that connections do not meet at one lock with each wake-up.
    let (leaving, closed) = (phase.leaving().child_token(), phase.closed().child_token());
    let (mut has_left, mut has_closed, mut is_graced) = (false, false, false);
    let mut grace = pin!(tokio::time::sleep(FIRST_REQUEST_GRACE));
    loop {
        tokio::select! {
            // The connection comes first: a request that has arrived is answered, also in a drain.
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            // GOAWAY at once: an HTTP/2 client takes its next request elsewhere and loses none.
            () = leaving.cancelled(), if !has_left => {
                has_left = true;
                if gauge.activity().is_http2 {
                    connection.as_mut().graceful_shutdown();
                }
            }
            () = closed.cancelled(), if !has_closed => {
                has_closed = true;
                let activity = gauge.activity();
                if activity.requests > 0 || activity.is_http2 {
                    connection.as_mut().graceful_shutdown();
                } else {
                    // A client that has just connected is about to send: it gets one answer.
                    grace.as_mut().reset(Instant::now() + FIRST_REQUEST_GRACE);
                    is_graced = true;
                }
            }
            () = grace.as_mut(), if is_graced => {
                is_graced = false;
                connection.as_mut().graceful_shutdown();
            }
            now = ticks.tick() => match watchdog.look(now.into_std(), gauge.activity()) {
                Verdict::Keep => (),
                verdict => {
                    tracing::debug!(?verdict, "closing a connection");
                    return;
                }
            }
        }
    }
}

/// What hyper calls for each request of one connection.
struct Requests<S> {
    service: S,
    gauge: Arc<Gauge>,
    phase: Phase,
}

impl<S> hyper::service::Service<Request<Incoming>> for Requests<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Requested<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_flight = Some(self.gauge.begin());
        let is_http1 = request.version() < Version::HTTP_2;
        // The common GET: an empty body needs no allocation.
        let request = request.map(|body| match body.is_end_stream() {
            true => Body::empty(),
            false => Body::new(body),
        });
        // The chassis is ready at any time, so a fresh clone needs no `poll_ready`.
        let answer = self.service.clone().call(request);
        Requested { answer, in_flight, is_http1, phase: self.phase.clone() }
    }
}

pin_project! {
    /// The answer to one request of a connection.
    struct Requested<F> {
        #[pin]
        answer: F,
        in_flight: Option<InFlight>,
        is_http1: bool,
        phase: Phase,
    }
}

impl<F> Future for Requested<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Poll::Ready(Ok(mut response)) = this.answer.poll(cx) else { return Poll::Pending };
        let in_flight = this.in_flight.take();
        if *this.is_http1 && this.phase.is_leaving() {
            // The client opens its next connection where the registry sends it, and no request of
            // its own is on the wire when this one closes.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if response.body().size_hint().exact().is_none() {
            // A stream is in flight to its end; an idle moment in it is not an idle connection.
            response = response.map(|body| Body::new(InFlightBody { body, in_flight }));
        }
        Poll::Ready(Ok(response))
    }
}
