//! A body that has to be there within a time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use futures::FutureExt;
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

/// The body took too long.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the body took longer than {0:?}; send it again")]
pub(crate) struct Late(Duration);

/// The same body, which ends with [`Late`] when it is not there within `longest` from now.
pub(crate) fn in_time(body: Body, longest: Duration) -> Body {
    match body.is_end_stream() {
        true => body,
        false => Body::new(Timed { body, longest, over: Box::pin(tokio::time::sleep(longest)) }),
    }
}

struct Timed {
    body: Body,
    longest: Duration,
    over: Pin<Box<Sleep>>,
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.over.poll_unpin(cx));
        Poll::Ready(Some(Err(Late(self.longest).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.body)
    }
}
