//! The body of a response, which gives its connection back.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::http1::Lease;
use super::http2::OpenStream;

/// The body of a response. When it was read to its end its connection serves the next request;
/// dropped before that, an HTTP/2 stream is reset, and an HTTP/1.1 connection serves on if the rest
/// is there already, else closes.
#[derive(Debug)]
pub(crate) struct PooledBody {
    incoming: Incoming,
    held: Held,
}

/// What a response keeps until its body ends.
#[derive(Debug)]
pub(crate) enum Held {
    Http1(Lease),
    Http2(#[expect(dead_code, reason = "held to be dropped")] OpenStream),
    Nothing,
}

impl PooledBody {
    pub(super) fn new(incoming: Incoming, held: Held) -> Self {
        let mut body = Self { incoming, held };
        body.look_for_end();
        body
    }

    fn look_for_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Held::Http1(lease) = std::mem::replace(&mut self.held, Held::Nothing) {
            lease.give_back();
        }
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(_))) => self.look_for_end(),
            Poll::Ready(None) => self.end(),
            Poll::Ready(Some(Err(_))) => self.held = Held::Nothing,
            Poll::Pending => (),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for PooledBody {
    fn drop(&mut self) {
        // The connection reads what is there of the rest, or closes; whoever takes it waits to see.
        self.end();
    }
}
