//! The body of a response, watched to its end.

use std::pin::Pin;
use std::task::{self, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::service::Served;

pin_project! {
    /// A response's body that ends its [`Exchange`] with its last frame.
    ///
    /// Dropped before that, the request counts as cancelled.
    #[derive(Debug)]
    pub struct Observed<B, F> {
        #[pin]
        body: B,
        // What is left of the future `F` that answered; none once the exchange is over.
        served: Option<Pin<Box<Served<F>>>>,
    }
}

impl<B: Body, F> Observed<B, F> {
    pub(super) fn new(body: B, mut served: Pin<Box<Served<F>>>) -> Self {
        // Nobody polls a body that has nothing to give, or one that answers HEAD.
        let is_over = served.is_head || body.is_end_stream();
        if is_over {
            served.as_mut().project().exchange.finish();
        }
        Self { body, served: (!is_over).then_some(served) }
    }
}

impl<B: Body, F> Body for Observed<B, F> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let polled = this.body.as_mut().poll_frame(cx);
        let Some(served) = this.served.as_mut() else { return polled };
        let exchange = served.as_mut().project().exchange;
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
        if is_over {
            exchange.finish();
            *this.served = None;
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
