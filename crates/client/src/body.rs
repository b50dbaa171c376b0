//! Bodies on their way out and in.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use regatta_core::{Deadline, Endpoint, ServiceName};
use regatta_resilience::concurrency::{Ending, Permit};
use regatta_telemetry::client::ClientSpan;
use regatta_traffic::answer::{self, Answering};
use regatta_traffic::fault::Fault;
use regatta_traffic::verdict::Silence;
use tokio::time::Sleep;

use crate::Error;
use crate::attempt::annotate;
use crate::classify;
use crate::error::Cause;
use crate::feed::Feed;
use crate::transport::{Pool, PooledBody};
use crate::upload::Upload;

/// The body of a request.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// In memory.
    Full(Full<Bytes>),
    /// What was read to see whether it is small, then the rest.
    Messages { first: VecDeque<Bytes>, rest: tonic::body::Body, failed: Arc<AtomicBool> },
    /// As it comes.
    Upload(Upload),
}

impl RequestBody {
    /// gRPC's messages as they come.
    pub(crate) fn messages(first: VecDeque<Bytes>, rest: tonic::body::Body) -> Self {
        Self::Messages { first, rest, failed: Arc::default() }
    }

    /// What it is fed from, if it comes as a stream.
    pub(crate) fn feed(&self) -> Option<Feed> {
        match self {
            Self::Full(_) => None,
            Self::Messages { failed, .. } => Some(Feed::Messages(Arc::clone(failed))),
            Self::Upload(upload) => Some(Feed::Upload(upload.progress())),
        }
    }
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
            Self::Messages { first, rest, failed } => match first.pop_front() {
                Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
                None => Pin::new(rest).poll_frame(cx).map_err(|error| {
                    // Relaxed, as in the reads: nothing but the flag is looked at.
                    failed.store(true, Ordering::Relaxed);
                    error.into()
                }),
            },
            Self::Upload(upload) => Pin::new(upload).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(full) => full.is_end_stream(),
            Self::Messages { first, rest, .. } => first.is_empty() && rest.is_end_stream(),
            Self::Upload(upload) => upload.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(full) => full.size_hint(),
            Self::Messages { .. } => SizeHint::default(),
            Self::Upload(upload) => upload.size_hint(),
        }
    }
}

/// The body of an answer, read as it comes: what is not asked for stays in the connection, so it
/// takes the memory of a few frames, however long it is.
///
/// It ends at the call's deadline, with [`Error::Timeout`]; a connection that breaks is
/// [`Error::Broken`] and counts against the instance. The call is in flight until its end; dropped
/// before, the rest is cancelled on the wire.
#[derive(Debug)]
#[must_use = "a body that is dropped is cancelled"]
pub struct ResponseBody {
    incoming: PooledBody,
    /// Ends when the body does; dropped early it ends with what the head said.
    span: Option<ClientSpan>,
    limit: Limit,
    /// Held as long as the body lasts.
    answering: Option<Answering<Pool>>,
    /// One of the calls that may be in flight at a time, and how it ended as far as its head says.
    permit: Option<(Permit, Ending)>,
    /// Of the request's own body, which may outlast the answer's head.
    feed: Option<Feed>,
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
    /// How long the body may be silent; none: until the deadline.
    pub(crate) idle: Option<Duration>,
    /// Made when the body first is not there at once.
    pub(crate) sleep: Option<Pin<Box<Sleep>>>,
}

impl ResponseBody {
    pub(crate) fn new(
        incoming: PooledBody,
        span: Option<ClientSpan>,
        limit: Limit,
        answering: Option<Answering<Pool>>,
        permit: Option<(Permit, Ending)>,
        feed: Option<Feed>,
    ) -> Self {
        Self { incoming, span, limit, answering, permit, feed }
    }

    /// The service that answers.
    pub fn service(&self) -> &ServiceName {
        &self.limit.service
    }

    /// Whether nothing that has come says how the call went.
    fn is_unjudged(&self) -> bool {
        self.answering.as_ref().is_some_and(Answering::is_unjudged)
    }

    /// Takes what a frame says of a gRPC answer whose head said nothing: a message that all is well
    /// so far, trailers how it ended.
    fn hear(&mut self, frame: Option<&Frame<Bytes>>) {
        let awaiting = self.answering.as_mut().filter(|answering| answering.awaits_status());
        let Some(answering) = awaiting else { return };
        let trailers = frame.map(Frame::trailers_ref);
        // The end of a stream may come as data without a byte.
        let is_message = frame.and_then(Frame::data_ref).is_some_and(|data| !data.is_empty());
        if is_message && answering.is_unjudged() {
            annotate(self.span.as_ref(), answering.begin(crate::call::now()));
        }
        if trailers == Some(None) && !self.incoming.is_end_stream() {
            return;
        }
        let status = trailers.flatten().and_then(classify::grpc_status);
        let fault = answer::ended(status, !answering.is_unjudged());
        let waited = crate::call::now().saturating_duration_since(self.limit.started);
        self.fail(answer::unless_impatient(fault, self.limit.own(), waited));
    }

    /// The call went so after all.
    fn fail(&mut self, fault: impl Into<Option<Fault>>) {
        if let Some(answering) = self.answering.take() {
            annotate(self.span.as_ref(), answering.finish(crate::call::now(), fault.into()));
        }
    }

    fn end(&mut self, failure: Option<&'static str>) {
        self.answering = None;
        // The call is over, whatever of the request has not been sent.
        let is_ours = self.feed.as_ref().is_some_and(Feed::has_failed);
        self.feed.iter().for_each(Feed::stop);
        if let Some((permit, ending)) = self.permit.take() {
            let is_theirs = !is_ours && !self.limit.is_callers;
            let broken = if is_theirs { Ending::Overloaded } else { Ending::Ignored };
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
                this.limit.moves();
                this.hear(Some(&frame));
                if let (Some(trailers), Some(span)) = (frame.trailers_ref(), &mut this.span) {
                    span.trailers(trailers);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                // What ended the connection may be the request's own body.
                let is_ours = this.feed.as_ref().is_some_and(Feed::has_failed);
                this.fail(if is_ours { Fault::Silent(Silence::Withdrawn) } else { Fault::CutOff });
                let error = this.limit.broken(error, is_ours);
                this.end(Some(error.name()));
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                this.hear(None);
                this.end(None);
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(this.limit.poll(cx));
                // A caller with no patience must not open the breaker for all others; and what has
                // begun may be a stream that is not meant to end.
                if this.is_unjudged() && !this.limit.is_callers {
                    this.fail(Fault::Silent(Silence::Late));
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

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.feed.iter().for_each(Feed::stop);
    }
}

impl Limit {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = self.end();
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        sleep.as_mut().poll(cx)
    }

    /// When the body is waited for no longer, if nothing more comes.
    fn end(&self) -> tokio::time::Instant {
        let deadline = self.deadline.instant();
        let silent = self.idle.map(|idle| Deadline::after(crate::call::now(), idle).instant());
        tokio::time::Instant::from_std(silent.map_or(deadline, |silent| silent.min(deadline)))
    }

    /// The time that the caller itself has set, if that is what ends the call.
    fn own(&self) -> Option<Duration> {
        let time = self.deadline.instant().saturating_duration_since(self.started);
        self.is_callers.then_some(time)
    }

    /// Something came.
    fn moves(&mut self) {
        if self.idle.is_some() {
            let end = self.end();
            self.sleep.iter_mut().for_each(|sleep| sleep.as_mut().reset(end));
        }
    }

    fn broken(&self, source: hyper::Error, is_ours: bool) -> Error {
        let (service, endpoint) = (self.service.clone(), self.endpoint.clone());
        if is_ours {
            return Error::RequestBody { service, source: source.into() };
        }
        Error::Broken { service, endpoint, source: source.into() }
    }

    fn timeout(&self) -> Error {
        let waited = crate::call::now().saturating_duration_since(self.started);
        Error::Timeout { service: self.service.clone(), waited }
    }
}
