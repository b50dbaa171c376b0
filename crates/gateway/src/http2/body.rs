//! Bodies of HTTP/2 exchanges, with what must be known when they end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use regatta_traffic::cluster::Effect;
use tokio::time::Instant;

use super::idle::Idle;
use super::judged::Judged;
use super::progress::{Failure, Progress};
use super::reader::Reader;
use super::replay::{Again, Kept};
use super::streams::Open;
use crate::record::Record;
use crate::shared::Shared;
use crate::upstream::Slot;

/// A request's body on its way to an upstream.
#[derive(Debug)]
pub(super) struct Upload {
    inner: Source,
    /// What a repetition needs; none for a body that is sent once.
    kept: Option<Kept>,
    /// Bytes that may still come; none for gRPC, whose streams have no length.
    left: Option<u64>,
    progress: Arc<Progress>,
    /// None for a body that is known to be empty.
    idle: Option<Idle>,
}

/// Where a request's body comes from.
#[derive(Debug)]
enum Source {
    Client(Incoming),
    /// Sent before; nothing for no body.
    Kept(Again),
}

/// Why a request's body did not get through; the client's doing.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    #[error("the body is longer than this gateway accepts")]
    TooLong,
    #[error("the body stopped coming")]
    TooSlow,
    #[error("the client broke off")]
    Client(#[source] hyper::Error),
}

impl UploadError {
    fn failure(&self) -> Failure {
        match self {
            Self::TooLong => Failure::TooLong,
            Self::TooSlow | Self::Client(_) => Failure::Withheld,
        }
    }
}

impl Upload {
    /// A body of at most `most` bytes; `progress` is told how it ends.
    /// Frames are noted in `kept` as they are taken.
    pub(super) fn new(
        inner: Incoming,
        most: Option<u64>,
        kept: Option<Kept>,
        progress: Arc<Progress>,
        idle: Idle,
    ) -> Self {
        Self { inner: Source::Client(inner), left: most, kept, progress, idle: Some(idle) }
    }

    /// A body that was sent before.
    pub(super) fn again(again: Again, progress: Arc<Progress>) -> Self {
        Self { inner: Source::Kept(again), left: None, kept: None, progress, idle: None }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = &mut *self;
        let progress = &this.progress;
        let fail = |error: UploadError| {
            progress.fail(error.failure());
            error
        };
        let inner = match &mut this.inner {
            Source::Client(inner) => inner,
            Source::Kept(again) => return Poll::Ready(again.next().map(Ok)),
        };
        let Poll::Ready(found) = Pin::new(&mut *inner).poll_frame(cx) else {
            let Some(idle) = &mut this.idle else { return Poll::Pending };
            return idle.poll(cx).map(|()| Some(Err(fail(UploadError::TooSlow))));
        };
        if let Some(idle) = &mut this.idle {
            idle.moved();
        }
        let frame = match found {
            None => {
                this.kept.iter().for_each(Kept::end);
                return Poll::Ready(None);
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(fail(UploadError::Client(error))))),
            Some(Ok(frame)) => frame,
        };
        if let (Some(data), Some(left)) = (frame.data_ref(), this.left) {
            match left.checked_sub(data.len() as u64) {
                Some(rest) => this.left = Some(rest),
                None => return Poll::Ready(Some(Err(fail(UploadError::TooLong)))),
            }
        }
        if let Some(kept) = &this.kept {
            kept.add(&frame);
            if inner.is_end_stream() {
                kept.end();
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Source::Client(inner) => inner.is_end_stream(),
            Source::Kept(again) => again.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Source::Client(inner) => inner.size_hint(),
            Source::Kept(again) if again.trailers.is_some() => SizeHint::default(),
            Source::Kept(again) => {
                SizeHint::with_exact(again.data.iter().map(|data| data.len() as u64).sum())
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Dropped when its last frame was taken, or when nobody wants the rest.
        self.progress.end();
    }
}

/// A response's body on its way to the client; counts the request when it ends.
#[derive(Debug)]
pub(crate) struct Download {
    inner: Inner,
    done: Option<(Record, Arc<Shared>)>,
    /// Told what the client is given and asks for.
    reader: Option<(Arc<Reader>, Duration)>,
    /// The stream is open as long as this is.
    open: Option<Open>,
    slot: Option<Slot>,
    /// The call whose answer it is; none for an answer of the gateway's own.
    judged: Option<Judged>,
    /// Whether the last frame was seen; not every body knows before it is asked for one more.
    is_over: bool,
}

#[derive(Debug)]
enum Inner {
    Own(Full<Bytes>),
    Upstream(Incoming, Idle),
}

/// Why a response's body ended before its end; the client sees a reset stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    #[error("the service broke off")]
    Upstream(#[source] hyper::Error),
    #[error("the service sent nothing for too long")]
    Idle,
}

impl Download {
    pub(super) fn own(body: Bytes, record: Record, shared: &Arc<Shared>) -> Self {
        Self {
            inner: Inner::Own(Full::new(body)),
            done: Some((record, Arc::clone(shared))),
            reader: None,
            open: None,
            slot: None,
            judged: None,
            is_over: true,
        }
    }

    /// Keeps the request's place among those in flight.
    pub(super) fn keeps(&mut self, slot: Slot) {
        self.slot = Some(slot);
    }

    /// Keeps the call in flight to the instance that answers, and judges it.
    pub(super) fn judges(&mut self, call: Judged) {
        self.judged = Some(call);
    }

    /// Tells the call, and notes what that did to its instance.
    fn tell(&mut self, what: impl FnOnce(&mut Judged) -> Effect) {
        if let (Some(judged), Some((record, _))) = (&mut self.judged, &mut self.done) {
            record.effect(what(judged));
        }
    }

    /// Keeps the stream counted as open.
    pub(super) fn holds(&mut self, open: Open) {
        self.open = Some(open);
    }

    pub(super) fn upstream(
        body: Incoming,
        idle: Idle,
        limit: Duration,
        record: Record,
        shared: &Arc<Shared>,
    ) -> Self {
        let reader = Reader::current().map(|reader| (reader, limit));
        if let Some((reader, limit)) = &reader {
            // The head is given to it.
            reader.given(Instant::now(), *limit);
        }
        Self {
            inner: Inner::Upstream(body, idle),
            done: Some((record, Arc::clone(shared))),
            reader,
            open: None,
            slot: None,
            judged: None,
            is_over: false,
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        let this = &mut *self;
        if let Some((reader, _)) = &this.reader {
            reader.asked();
        }
        match &mut this.inner {
            Inner::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            Inner::Upstream(body, idle) => match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => {
                    ready!(idle.poll(cx));
                    this.tell(Judged::rested);
                    Poll::Ready(Some(Err(DownloadError::Idle)))
                }
                Poll::Ready(Some(Err(error))) => {
                    this.tell(Judged::broke);
                    Poll::Ready(Some(Err(DownloadError::Upstream(error))))
                }
                Poll::Ready(frame) => {
                    idle.moved();
                    let is_last = body.is_end_stream();
                    this.is_over = frame.is_none();
                    if let (Some((reader, limit)), false) = (&this.reader, this.is_over) {
                        reader.given(Instant::now(), *limit);
                    }
                    if let (Some(Ok(frame)), Some((record, _))) = (&frame, &mut this.done)
                        && let Some(trailers) = frame.trailers_ref()
                    {
                        record.trailers(trailers);
                    }
                    let heard = frame.as_ref().and_then(|frame| frame.as_ref().ok());
                    this.tell(|call| call.hear(heard, is_last));
                    Poll::Ready(frame.map(|frame| frame.map_err(DownloadError::Upstream)))
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Own(body) => body.is_end_stream(),
            Inner::Upstream(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Own(body) => body.size_hint(),
            Inner::Upstream(body, _) => body.size_hint(),
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some((mut record, shared)) = self.done.take() {
            if !self.is_over && !self.is_end_stream() {
                record.broke();
            }
            record.finish(&shared, Instant::now());
        }
    }
}
