//! A request's body with a limit, polite to the client that is over it.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, Limited};
use tokio_util::task::TaskTracker;

/// Most bytes that are read and thrown away after an answer, so that the client sees the answer
/// before the connection closes on it. A client that sends more gets a reset.
const DISCARD_BYTES: u64 = 16 * 1024 * 1024;

/// Longest time for that.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// An error as bodies carry it.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body of at most `left` more bytes. One byte more ends it with
/// [`http_body_util::LengthLimitError`], which axum knows and answers with 413.
///
/// What is left of it when it is dropped is read and thrown away if `is_polite`: a handler that
/// answers without reading the body (401, say) would have the connection reset otherwise, on
/// HTTP/1.1, and the client might never see the answer.
pub(super) struct Bounded<B>
where
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
{
    body: Option<B>,
    left: u64,
    is_polite: bool,
    tracker: TaskTracker,
}

impl<B> Bounded<B>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(body: B, limit: u64, is_polite: bool, tracker: TaskTracker) -> Self {
        Self { body: Some(body), left: limit, is_polite, tracker }
    }

    fn over_limit(&mut self) -> BoxError {
        if let Some(body) = self.body.take() {
            discard(body, &self.tracker);
        }
        length_limit_error()
    }
}

impl<B> Body for Bounded<B>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let frame = match ready!(Pin::new(body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => {
                // Over, or broken: there is nothing to throw away.
                self.body = None;
                return Poll::Ready(other.map(|frame| frame.map_err(Into::into)));
            }
        };
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => Poll::Ready(Some(Err(self.over_limit()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(|body| body.size_hint()).unwrap_or_else(|| SizeHint::with_exact(0))
    }
}

impl<B> Drop for Bounded<B>
where
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
{
    fn drop(&mut self) {
        // Outside of a runtime there is no connection either.
        if let Some(body) = self.body.take().filter(|body| self.is_polite && !body.is_end_stream())
            && tokio::runtime::Handle::try_current().is_ok()
        {
            discard(body, &self.tracker);
        }
    }
}

/// Reads a body that nobody wants, for a while: a server that closes with bytes unread resets the
/// connection, and the client may never see why.
pub(super) fn discard<B>(mut body: B, tracker: &TaskTracker)
where
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
{
    use bytes::Buf;
    tracker.spawn(async move {
        let mut left = DISCARD_BYTES;
        let reading = async {
            while let Some(Ok(frame)) = body.frame().await {
                let bytes = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                match left.checked_sub(bytes) {
                    Some(rest) => left = rest,
                    None => break,
                }
            }
        };
        let _elapsed = tokio::time::timeout(DISCARD_TIME, reading).await;
    });
}

/// The error that axum's extractors recognise; it can only be had from a body over its limit.
fn length_limit_error() -> BoxError {
    let mut body = Limited::new(Full::new(Bytes::from_static(b"x")), 0);
    match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Err(error))) => error,
        _ => "the body is over the limit".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use futures::StreamExt;
    use http_body_util::{LengthLimitError, StreamBody};

    use super::*;

    fn chunks(
        sizes: &[usize],
    ) -> impl Body<Data = Bytes, Error = std::convert::Infallible> + Unpin + use<> {
        let frames: Vec<_> =
            sizes.iter().map(|size| Ok(Frame::data(Bytes::from(vec![b'x'; *size])))).collect();
        StreamBody::new(futures::stream::iter(frames))
    }

    #[tokio::test]
    async fn passes_what_is_within_the_limit() {
        let body = Bounded::new(chunks(&[3, 4, 3]), 10, true, TaskTracker::new());
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 10);
    }

    #[tokio::test]
    async fn ends_with_the_error_that_axum_knows_on_the_first_byte_over() {
        let tracker = TaskTracker::new();
        let body = Bounded::new(chunks(&[3, 4, 4]), 10, true, tracker.clone());
        let error = body.collect().await.unwrap_err();
        assert!(error.is::<LengthLimitError>(), "{error}");
        tracker.close();
        tracker.wait().await;
    }

    #[tokio::test]
    async fn what_nobody_read_is_thrown_away_where_a_connection_would_be_reset() {
        for (is_polite, expected) in [(true, 0), (false, 2)] {
            let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
            (0..2).for_each(|_| sender.send(Ok(Frame::data(Bytes::from_static(b"x")))).unwrap());
            drop(sender);
            let (tracker, left) = (TaskTracker::new(), Arc::new(AtomicUsize::new(2)));
            let counted = left.clone();
            let frames = futures::stream::poll_fn(move |cx| {
                let frame = receiver.poll_recv(cx);
                if let Poll::Ready(Some(_)) = &frame {
                    counted.fetch_sub(1, Relaxed);
                }
                frame
            });
            let body = StreamBody::new(frames.map(|frame: Result<_, std::io::Error>| frame));
            drop(Bounded::new(body, 10, is_polite, tracker.clone()));
            tracker.close();
            tracker.wait().await;
            assert_eq!(left.load(Relaxed), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_not_read_for_ever() {
        let tracker = TaskTracker::new();
        let endless = futures::stream::pending::<Result<Frame<Bytes>, std::convert::Infallible>>();
        discard(Box::pin(StreamBody::new(endless)), &tracker);
        tracker.close();
        tracker.wait().await;
    }
}
