//! The body of a gRPC answer, which ends at the caller's deadline.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// A body that ends with the status `DEADLINE_EXCEEDED` when its caller stops waiting: gRPC's
/// deadline is one of the whole call, streams included. The handler's stream is dropped then.
pub(super) struct Until {
    body: Option<Body>,
    // Boxed: it is pinned, and the body around it need not be then.
    end: Pin<Box<Sleep>>,
}

impl Until {
    pub(super) fn new(body: Body, end: Instant) -> Self {
        Self { body: Some(body), end: Box::pin(tokio::time::sleep_until(end)) }
    }
}

impl http_body::Body for Until {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if self.end.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.body = None;
        let mut trailers = HeaderMap::new();
        let late = tonic::Status::deadline_exceeded("the call's deadline is over");
        // The text has no byte that a header could not hold.
        let _ = late.add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(http_body::Body::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::StreamExt;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_with_the_deadlines_status() {
        let ticks = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, axum::Error>(Bytes::from_static(b"tick")), ()))
        });
        let end = Instant::now() + Duration::from_millis(2500);
        let body = Until::new(Body::from_stream(ticks.boxed()), end);
        let collected = body.collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "4");
        assert_eq!(collected.to_bytes(), "ticktick");
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_in_time_is_as_it_was() {
        let body = Until::new(Body::from("all"), Instant::now() + Duration::from_secs(1));
        let collected = body.collect().await.unwrap();
        assert!(collected.trailers().is_none());
        assert_eq!(collected.to_bytes(), "all");
    }
}
