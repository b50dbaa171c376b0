//! A request's body that comes as a stream: sent as it comes, once.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::call::now;
use crate::error::Cause;

/// A request's body that comes as a stream. Nothing is read ahead of what the connection takes.
pub(crate) struct Upload {
    inner: UnsyncBoxBody<Bytes, Cause>,
    progress: Arc<Progress>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// How far an upload has come, for those who wait for what comes of it.
#[derive(Debug)]
pub(crate) struct Progress {
    phase: AtomicU8,
    /// Whether the connection would take more than the stream gives.
    waits: AtomicBool,
    /// When it last moved, or ended.
    moved: Mutex<Instant>,
    ended: Notify,
    stop: CancellationToken,
}

const SENDING: u8 = 0;
const ENDED: u8 = 1;
const FAILED: u8 = 2;

/// The stream of a request's body failed; this process's doing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("the stream of the request's body failed")]
    Stream(#[source] Cause),
    #[error("the call was over before the request's body")]
    Stopped,
    #[error("the stream of the request's body gave nothing for {idle:?}")]
    Silent { idle: Duration },
}

impl Upload {
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<Cause>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let stopped = Box::pin(stop.clone().cancelled_owned());
        let progress = Progress {
            phase: AtomicU8::new(SENDING),
            waits: AtomicBool::new(false),
            moved: Mutex::new(now()),
            ended: Notify::new(),
            stop,
        };
        let inner = body.map_err(Into::into).boxed_unsync();
        Self { inner, progress: Arc::new(progress), stopped }
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Cause;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        let this = &mut *self;
        if this.stopped.as_mut().poll(cx).is_ready() {
            this.progress.end(FAILED);
            return Poll::Ready(Some(Err(UploadError::Stopped.into())));
        }
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        this.progress.waits.store(polled.is_pending(), Ordering::Relaxed);
        match &polled {
            Poll::Pending => (),
            Poll::Ready(Some(Ok(_))) => this.progress.moves(),
            Poll::Ready(None) => this.progress.end(ENDED),
            Poll::Ready(Some(Err(_))) => this.progress.end(FAILED),
        }
        polled.map(|frame| {
            frame.map(|frame| frame.map_err(|error| UploadError::Stream(error).into()))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Its last frame was taken, or nobody wants the rest.
        self.progress.end(ENDED);
    }
}

impl Progress {
    /// It begins, or has come further.
    pub(crate) fn moves(&self) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = now();
    }

    /// The first end stands.
    fn end(&self, phase: u8) {
        // Relaxed, as in the reads: nothing but the number is looked at.
        let order = Ordering::Relaxed;
        if self.phase.compare_exchange(SENDING, phase, order, order).is_ok() {
            self.moves();
            self.ended.notify_one();
        }
    }

    /// Whether the connection has yet to take some of it.
    pub(crate) fn is_sending(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == SENDING
    }

    /// Whether the stream itself failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == FAILED
    }

    /// Sends no more of it: whoever made the call has what it wants, or has left.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until it has stood still for so long, or has ended so long ago, whichever it is; says
    /// whether it is the stream that stands still.
    pub(crate) async fn late(&self, idle: Duration, after_end: Duration) -> bool {
        loop {
            let is_sending = self.is_sending();
            let limit = if is_sending { idle } else { after_end };
            let moved = *self.moved.lock().unwrap_or_else(PoisonError::into_inner);
            let left = limit.saturating_sub(now().saturating_duration_since(moved));
            if left.is_zero() {
                return is_sending && self.waits.load(Ordering::Relaxed);
            }
            tokio::select! {
                () = tokio::time::sleep(left) => (),
                () = self.ended.notified() => (),
            }
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("progress", &self.progress).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::StreamBody;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn frames(count: usize) -> impl Body<Data = Bytes, Error = Cause> + Send + 'static {
        let frame = |_| Ok(Frame::data(Bytes::from_static(b"x")));
        StreamBody::new(stream::iter((0..count).map(frame)))
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_late_when_it_stands_still_and_from_its_end_on_when_no_answer_comes() {
        let mut upload = Upload::new(frames(2));
        let progress = upload.progress();
        let begun = tokio::time::Instant::now();
        tokio::time::advance(SECOND).await;
        upload.frame().await.unwrap().unwrap();
        assert!(progress.is_sending());
        assert!(!progress.late(3 * SECOND, 9 * SECOND).await, "nobody asks the stream for more");
        assert_eq!(begun.elapsed().as_secs(), 4, "three seconds after it last moved");
        drop(upload);
        assert!(!progress.late(3 * SECOND, 9 * SECOND).await);
        assert_eq!(begun.elapsed().as_secs(), 13, "nine seconds after its end");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_told_when_the_stream_is_what_stands_still() {
        let waiting = stream::pending::<Result<Frame<Bytes>, Cause>>();
        let mut upload = Upload::new(StreamBody::new(waiting));
        let progress = upload.progress();
        tokio::select! {
            _never = upload.frame() => unreachable!("the stream gives nothing"),
            is_ours = progress.late(SECOND, 9 * SECOND) => assert!(is_ours),
        }
    }

    #[tokio::test]
    async fn its_end_is_told_whether_it_is_read_or_dropped_and_a_failure_stays_one() {
        let mut upload = Upload::new(frames(1));
        let progress = upload.progress();
        while upload.frame().await.is_some() {
            assert!(progress.is_sending());
        }
        assert!(!progress.is_sending() && !progress.has_failed());

        let broken = stream::iter([Err::<Frame<Bytes>, _>(Cause::from("broken"))]);
        let mut upload = Upload::new(StreamBody::new(broken));
        let progress = upload.progress();
        let error = upload.frame().await.unwrap().unwrap_err();
        assert!(error.downcast_ref::<UploadError>().is_some(), "{error}");
        drop(upload);
        assert!(progress.has_failed());
    }

    #[tokio::test]
    async fn what_is_stopped_sends_no_more_also_when_its_stream_waits() {
        let waiting = stream::pending::<Result<Frame<Bytes>, Cause>>();
        let mut upload = Upload::new(StreamBody::new(waiting));
        let progress = upload.progress();
        let (frame, ()) = futures::join!(upload.frame(), async { progress.stop() });
        assert!(frame.unwrap().is_err() && progress.has_failed());
    }
}
