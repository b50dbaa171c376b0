//! One connection, from its first byte to its end.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
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

use super::gauge::{Gauge, Gauged, InFlight, InFlightBody, RequestBody};
use super::phase::Phase;
use super::rarely::Rarely;
use super::watchdog::{Verdict, Watchdog};
use crate::serve::Peer;

/// How long a connection without a request yet holds up a drain.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);

/// Serves one connection until its client or the drain ends it.
pub(super) async fn serve<S, F, B>(
    (stream, peer, permit): (TcpStream, Option<Peer>, OwnedSemaphorePermit),
    builder: Arc<auto::Builder<TokioExecutor>>,
    service: S,
    mut watchdog: Watchdog,
    phase: Phase,
) where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible, Future = F>,
    S: Clone + Send + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let gauge = Arc::new(Gauge::new(phase.is_leaving()));
    let stream = Gauged { stream, gauge: gauge.clone(), permit };
    let requests = Requests { service: RefCell::new(service), gauge: gauge.clone(), peer };
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), requests));
    let mut ticks = tokio::time::interval(watchdog.period());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // First of leaving, then of closing. A child, so that connections do not meet at one lock.
    let mut next = phase.leaving().child_token();
    let (mut has_left, mut has_closed, mut is_graced) = (false, false, false);
    let mut is_sent_away = false;
    let mut grace = pin!(tokio::time::sleep(FIRST_REQUEST_GRACE));
    let rarely = Rarely::new();
    loop {
        rarely.renew();
        let event = {
            let mut timers = pin!(async {
                tokio::select! {
                    () = next.cancelled(), if !has_closed => Event::Phase,
                    () = grace.as_mut(), if is_graced => Event::GraceOver,
                    now = ticks.tick() => Event::Tick(now),
                }
            });
            poll_fn(|cx| match connection.as_mut().poll(cx) {
                // The connection comes first: a request that has arrived is answered, also in a drain.
                Poll::Ready(result) => Poll::Ready(Event::Ended(result)),
                Poll::Pending => rarely.poll(timers.as_mut(), cx),
            })
            .await
        };
        match event {
            Event::Ended(result) => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            Event::Phase if !has_left => {
                has_left = true;
                next = phase.closed().child_token();
                // GOAWAY at once: an HTTP/2 client takes its next request elsewhere and loses none.
                if gauge.activity().is_http2 {
                    connection.as_mut().graceful_shutdown();
                }
            }
            Event::Phase => {
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
            Event::GraceOver => {
                is_graced = false;
                connection.as_mut().graceful_shutdown();
            }
            Event::Tick(now) => match watchdog.look(now.into_std(), gauge.activity()) {
                Verdict::Keep => (),
                // GOAWAY: a request that is on its way is answered, and so is what a slow peer still
                // reads. At the next verdict of this kind that has lasted for too long.
                Verdict::Idle if gauge.activity().is_http2 && !is_sent_away => {
                    is_sent_away = true;
                    watchdog.begin_again();
                    connection.as_mut().graceful_shutdown();
                }
                verdict => {
                    tracing::debug!(?verdict, "closing a connection");
                    return;
                }
            },
        }
    }
}

/// What ends the wait of a connection.
enum Event<R> {
    /// The connection is over.
    Ended(R),
    /// The server has gone one step further on its way out.
    Phase,
    /// A connection without a request was waited for long enough.
    GraceOver,
    /// It is time for a look at the connection.
    Tick(Instant),
}

/// What hyper calls for each request of one connection.
struct Requests<S> {
    /// Borrowed for a call, which waits for nothing: a clone for each request would cost it six
    /// counters that all cores share.
    service: RefCell<S>,
    gauge: Arc<Gauge>,
    /// None unless somebody asks for it.
    peer: Option<Peer>,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Requests<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body,
{
    type Response = Response<InFlightBody<B>>;
    type Error = Infallible;
    type Future = Requested<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_flight = Some(self.gauge.begin());
        let is_http1 = request.version() < Version::HTTP_2;
        // The common GET: an empty body needs no allocation.
        let mut request = request.map(|body| match body.is_end_stream() {
            true => Body::empty(),
            false => Body::new(RequestBody { body, gauge: self.gauge.clone() }),
        });
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        // The chassis is ready at any time, so it needs no `poll_ready`.
        let answer = self.service.borrow_mut().call(request);
        Requested { answer, in_flight, is_http1 }
    }
}

pin_project! {
    /// The answer to one request of a connection.
    struct Requested<F> {
        #[pin]
        answer: F,
        in_flight: Option<InFlight>,
        is_http1: bool,
    }
}

impl<F, B> Future for Requested<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: http_body::Body,
{
    type Output = Result<Response<InFlightBody<B>>, Infallible>;

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Poll::Ready(Ok(mut response)) = this.answer.poll(cx) else { return Poll::Pending };
        let in_flight = this.in_flight.take();
        if *this.is_http1 && in_flight.as_ref().is_some_and(InFlight::is_leaving) {
            // The client opens its next connection where the registry sends it, and no request of
            // its own is on the wire when this one closes.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        // A stream is in flight to its end; an idle moment in it is not an idle connection.
        let is_stream = response.body().size_hint().exact().is_none();
        let in_flight = in_flight.filter(|_| is_stream);
        Poll::Ready(Ok(response.map(|body| InFlightBody { body, in_flight })))
    }
}
