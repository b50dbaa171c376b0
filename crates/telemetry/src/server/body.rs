//! The body of a response, watched to its end.

use std::pin::Pin;
use std::task::{self, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::Exchange;

pin_project! {
    /// A response's body that ends its [`Exchange`] with its last frame.
    ///
    /// Dropped before that, the request counts as cancelled.
    #[derive(Debug)]
    pub struct Observed<B> {
        #[pin]
        body: B,
        exchange: Option<Box<Exchange>>,
    }
}

impl<B: Body> Observed<B> {
    pub(super) fn new(body: B, exchange: Box<Exchange>, is_head: bool) -> Self {
        // Nobody polls a body that has nothing to give, or one that answers HEAD.
        let mut exchange = Some(exchange);
        if (is_head || body.is_end_stream())
            && let Some(exchange) = exchange.take()
        {
            exchange.end();
        }
        Self { body, exchange }
    }
}

impl<B: Body> Body for Observed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let polled = this.body.as_mut().poll_frame(cx);
        let Some(exchange) = this.exchange else { return polled };
        let is_over = match &polled {
            Poll::Pending => false,
            Poll::Ready(None) => true,
            Poll::Ready(Some(Err(_))) => {
                exchange.fail("response_body");
                true
            }
            Poll::Ready(Some(Ok(frame))) => match frame.trailers_ref() {
                Some(trailers) => {
                    exchange.trailers(trailers);
                    true
                }
                // Whoever polls may see this too and stop.
                None => this.body.is_end_stream(),
            },
        };
        if is_over && let Some(exchange) = this.exchange.take() {
            exchange.end();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
