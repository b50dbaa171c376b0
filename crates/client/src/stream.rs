//! The body of an answer, read as it comes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use regatta_core::ServiceName;

use crate::Error;
use crate::body::ResponseBody;

/// The body of an answer, read as it comes: what is not asked for stays in the connection, so it
/// takes the memory of a few frames, however long it is.
///
/// It ends at the call's deadline, with [`Error::Timeout`]; a connection that breaks is
/// [`Error::Broken`] and counts against the instance. The call is in flight until its end; dropped
/// before, the rest is cancelled on the wire.
#[derive(Debug)]
#[must_use = "a body that is dropped is cancelled"]
pub struct Body(ResponseBody);

/// The same as a stream of its bytes; trailers are left out.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct BytesStream(ResponseBody);

impl Body {
    pub(crate) fn new(body: ResponseBody) -> Self {
        Self(body)
    }

    /// The service that answered.
    pub fn service(&self) -> &ServiceName {
        &self.0.limit().service
    }
}

impl BytesStream {
    pub(crate) fn new(body: ResponseBody) -> Self {
        Self(body)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Stream for BytesStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(Pin::new(&mut self.0).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }
}
