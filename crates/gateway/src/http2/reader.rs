//! Whether a client goes on reading a stream.
//!
//! While a client takes nothing, hyper asks the body for nothing, so a body cannot see that it is
//! stuck; the task that drives the stream can. That task is made by hyper, on our executor, which
//! wraps it and hands the body a [`Reader`] to note in what it was asked.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::worker::alarm::Alarm;
use crate::worker::spawn;

tokio::task_local! {
    static CURRENT: Arc<Reader>;
}

/// The reader of one stream.
#[derive(Debug)]
pub(super) struct Reader {
    start: Instant,
    /// Nanoseconds after the start by which it must have asked for more; none while it waits for
    /// us. Relaxed, since it guards no other memory.
    deadline: AtomicU64,
}

const NONE: u64 = u64::MAX;

impl Reader {
    fn new(start: Instant) -> Self {
        Self { start, deadline: AtomicU64::new(NONE) }
    }

    /// The reader of the stream whose task this is.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// It was given something, and has so long to ask for more.
    pub(super) fn given(&self, now: Instant, limit: Duration) {
        let nanoseconds = (now.duration_since(self.start) + limit).as_nanos();
        self.deadline.store(u64::try_from(nanoseconds).unwrap_or(NONE), Ordering::Relaxed);
    }

    /// It asks for more.
    pub(super) fn asked(&self) {
        self.deadline.store(NONE, Ordering::Relaxed);
    }

    fn deadline(&self) -> Option<Instant> {
        let nanoseconds = self.deadline.load(Ordering::Relaxed);
        (nanoseconds != NONE).then(|| self.start + Duration::from_nanos(nanoseconds))
    }
}

/// Runs streams on the core they come from, and ends one whose client stopped reading it.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamSpawner;

impl<F> hyper::rt::Executor<F> for StreamSpawner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        spawn(watched(stream));
    }
}

/// Dropping the stream resets it towards the client and frees the service's connection.
async fn watched<F: Future<Output = ()>>(stream: F) {
    let reader = Arc::new(Reader::new(Instant::now()));
    let mut stream = std::pin::pin!(CURRENT.scope(Arc::clone(&reader), stream));
    let mut alarm = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match reader.deadline() {
            Some(deadline) => alarm.get_or_insert_with(|| Alarm::new(deadline)).poll(deadline, cx),
            None => Poll::Pending,
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_stream_whose_reader_asks_for_nothing_is_dropped() {
        let start = Instant::now();
        let stream = async {
            Reader::current().unwrap().given(Instant::now(), LIMIT);
            pending().await
        };
        watched(stream).await;
        assert_eq!(start.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_waits_for_us_is_not_stuck() {
        let start = Instant::now();
        let stream = async {
            let reader = Reader::current().unwrap();
            for _ in 0..3 {
                reader.given(Instant::now(), LIMIT);
                tokio::time::sleep(LIMIT / 2).await;
                reader.asked();
                tokio::time::sleep(LIMIT * 5).await;
            }
        };
        watched(stream).await;
        assert_eq!(start.elapsed(), LIMIT * 33 / 2);
    }
}
