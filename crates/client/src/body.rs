//! Bodies on their way out and in.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use regatta_core::{Deadline, Endpoint, ServiceName};
use regatta_resilience::concurrency::{Ending, Permit};
use regatta_telemetry::client::ClientSpan;
use regatta_traffic::cluster::Outcome;
use tokio::time::Sleep;

use crate::Error;
use crate::attempt::Answering;
use crate::classify;
use crate::error::Cause;
use crate::transport::PooledBody;

/// The body of a request.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// In memory.
    Full(Full<Bytes>),
    /// What was read to see whether it is small, then the rest.
    Stream { first: std::collections::VecDeque<Bytes>, rest: tonic::body::Body },
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Cause;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        match self.get_mut() {
            Self::Full(full) => Pin::new(full).poll_frame(cx).map_err(|never| match never {}),
            Self::Stream { first, rest } => match first.pop_front() {
                Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
                None => Pin::new(rest).poll_frame(cx).map_err(Into::into),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(full) => full.is_end_stream(),
            Self::Stream { first, rest } => first.is_empty() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(full) => full.size_hint(),
            Self::Stream { .. } => SizeHint::default(),
        }
    }
}

/// The body of a response: ends with its span, and at the deadline.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    incoming: PooledBody,
    /// Ends when the body does; dropped early it ends with what the head said.
    span: Option<ClientSpan>,
    limit: Limit,
    /// Held as long as the body lasts.
    answering: Option<Answering>,
    /// One of the calls that may be in flight at a time, and how it ended as far as its head says.
    permit: Option<(Permit, Ending)>,
}

/// By when the body must be here, and what to say if it is not.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) service: ServiceName,
    pub(crate) endpoint: Endpoint,
    pub(crate) started: Instant,
    pub(crate) deadline: Deadline,
    /// Whether that is the caller's own wish, sooner than what the policy gives.
    pub(crate) is_callers: bool,
    /// Made when the body first is not there at once.
    pub(crate) sleep: Option<Pin<Box<Sleep>>>,
}

impl ResponseBody {
    pub(crate) fn new(
        incoming: PooledBody,
        span: Option<ClientSpan>,
        limit: Limit,
        answering: Option<Answering>,
        permit: Option<(Permit, Ending)>,
    ) -> Self {
        Self { incoming, span, limit, answering, permit }
    }

    pub(crate) fn limit(&self) -> &Limit {
        &self.limit
    }

    /// Whether nothing that has come says how the call went.
    fn is_unjudged(&self) -> bool {
        self.answering.as_ref().is_some_and(|answering| !answering.has_begun())
    }

    /// Takes what the first frame says, where the head said nothing.
    fn judge(&mut self, outcome: Outcome) {
        match &mut self.answering {
            Some(answering) if outcome == Outcome::Success => answering.begin(self.span.as_ref()),
            _ => self.fail(outcome),
        }
    }

    /// The call went so after all; a success needs no word.
    fn fail(&mut self, outcome: Outcome) {
        if let Some(answering) = self.answering.take() {
            answering.finish(outcome, self.span.as_ref());
        }
    }

    fn end(&mut self, failure: Option<&'static str>) {
        self.answering = None;
        if let Some((permit, ending)) = self.permit.take() {
            let broken = if self.limit.is_callers { Ending::Ignored } else { Ending::Overloaded };
            permit.finish(crate::call::now(), failure.map_or(ending, |_| broken));
        }
        if let Some(mut span) = self.span.take() {
            failure.into_iter().for_each(|name| span.fail(name));
            span.end();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if this.is_unjudged() {
                    this.judge(classify::first_frame(frame.trailers_ref()));
                }
                if let (Some(trailers), Some(span)) = (frame.trailers_ref(), &mut this.span) {
                    span.trailers(trailers);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.fail(Outcome::Failure);
                this.end(Some("broken"));
                Poll::Ready(Some(Err(this.limit.broken(error))))
            }
            Poll::Ready(None) => {
                // A gRPC answer that ends without a status is none.
                if this.is_unjudged() {
                    this.fail(Outcome::Failure);
                }
                this.end(None);
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(this.limit.poll(cx));
                // A caller with no patience must not open the breaker for all others; and what has
                // begun may be a stream that is not meant to end.
                if this.is_unjudged() && !this.limit.is_callers {
                    this.fail(Outcome::Failure);
                }
                this.end(Some("timeout"));
                Poll::Ready(Some(Err(this.limit.timeout())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Limit {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = tokio::time::Instant::from_std(self.deadline.instant());
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        sleep.as_mut().poll(cx)
    }

    fn broken(&self, source: hyper::Error) -> Error {
        let (service, endpoint) = (self.service.clone(), self.endpoint.clone());
        Error::Broken { service, endpoint, source: source.into() }
    }

    fn timeout(&self) -> Error {
        let waited = crate::call::now().saturating_duration_since(self.started);
        Error::Timeout { service: self.service.clone(), waited }
    }
}
