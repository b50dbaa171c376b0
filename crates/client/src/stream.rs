//! The body of an answer as a stream of its bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use http_body::Body;

use crate::{Error, ResponseBody};

/// A [`ResponseBody`] as a stream of its bytes; trailers are left out.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct BytesStream(ResponseBody);

impl BytesStream {
    pub(crate) fn new(body: ResponseBody) -> Self {
        Self(body)
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
