//! Keeps a small request's body for another try.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use futures::stream;
use http_body::{Body, Frame};
use http_body_util::{Full, StreamBody};
use tonic::Status;

use crate::body::RequestBody;
use crate::feed::Feed;

/// The body of a call, for one try or for several.
#[derive(Debug)]
pub(crate) enum Replay {
    /// In memory, for any number of tries.
    Kept(Bytes),
    /// For one try; none when it is used.
    Once(Option<Box<RequestBody>>),
}

impl Replay {
    /// Reads the body as far as it is there without waiting, up to a limit.
    ///
    /// A unary message is there at once. A stream may wait for what the other side says, so waiting
    /// for its end would wait for ever: it is sent once, as it comes.
    pub(crate) async fn read(mut body: tonic::body::Body, limit: usize) -> Self {
        let mut first = VecDeque::new();
        let mut length = 0;
        let is_whole = poll_fn(|cx| {
            loop {
                match Pin::new(&mut body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        // A request has no trailers in gRPC; what is no data has no use here.
                        let Ok(data) = frame.into_data() else { continue };
                        length += data.len();
                        first.push_back(data);
                        if length > limit {
                            return Poll::Ready(false);
                        }
                    }
                    Poll::Ready(None) => return Poll::Ready(true),
                    // What is asked again after that would end as if it were whole.
                    Poll::Ready(Some(Err(error))) => {
                        body = failing(error);
                        return Poll::Ready(false);
                    }
                    Poll::Pending => return Poll::Ready(false),
                }
            }
        })
        .await;
        match (is_whole, first.len()) {
            (false, _) => Self::Once(Some(Box::new(RequestBody::messages(first, body)))),
            (true, 1) => Self::Kept(first.pop_front().unwrap_or_default()),
            (true, _) => {
                let mut whole = BytesMut::with_capacity(length);
                first.iter().for_each(|data| whole.extend_from_slice(data));
                Self::Kept(whole.freeze())
            }
        }
    }

    /// What the body is fed from, if it comes as a stream.
    pub(crate) fn feed(&self) -> Option<Feed> {
        match self {
            Self::Once(Some(body)) => body.feed(),
            Self::Once(None) | Self::Kept(_) => None,
        }
    }

    /// The body for the next try; none when it was sent and not kept.
    pub(crate) fn next(&mut self) -> Option<RequestBody> {
        match self {
            Self::Kept(bytes) => Some(RequestBody::Full(Full::new(bytes.clone()))),
            Self::Once(body) => body.take().map(|body| *body),
        }
    }

    /// Takes back a body of which nothing was sent, so that it can go elsewhere.
    pub(crate) fn give_back(&mut self, unsent: RequestBody) {
        if let Self::Once(body) = self {
            *body = Some(Box::new(unsent));
        }
    }

    /// Whether there is a body for another try now.
    pub(crate) fn is_at_hand(&self) -> bool {
        !matches!(self, Self::Once(None))
    }

    /// Whether there is one for any number of tries.
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }
}

/// A body that fails so.
fn failing(error: Status) -> tonic::body::Body {
    let error = Err::<Frame<Bytes>, Status>(error);
    tonic::body::Body::new(StreamBody::new(stream::iter([error])))
}
