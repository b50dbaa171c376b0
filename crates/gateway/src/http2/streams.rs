//! The open streams of a connection, and when the last one ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::worker::activity::Activity;

/// How many streams a client has open, and when the last one ended.
#[derive(Debug)]
pub(super) struct Streams {
    /// Relaxed, since it guards no other memory.
    open: AtomicUsize,
    ended: Activity,
}

/// One open stream.
#[derive(Debug)]
pub(super) struct Open(Arc<Streams>);

impl Streams {
    pub(super) fn new(now: Instant) -> Self {
        Self { open: AtomicUsize::new(0), ended: Activity::new(now) }
    }

    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    /// Ends when no stream was open for so long; pings do not count.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub(super) async fn unused_for(&self, limit: Duration) {
        loop {
            let is_used = self.open.load(Ordering::Relaxed) > 0;
            let deadline =
                if is_used { Instant::now() + limit } else { self.ended.deadline(limit) };
            sleep_until(deadline).await;
            let is_used = self.open.load(Ordering::Relaxed) > 0;
            if !is_used && self.ended.deadline(limit) <= Instant::now() {
                return;
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.touch(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn the_time_runs_from_the_end_of_the_last_stream() {
        let start = Instant::now();
        let streams = Arc::new(Streams::new(start));
        let open = streams.open();
        let used = async {
            tokio::time::sleep(LIMIT * 3).await;
            drop(open);
        };
        tokio::join!(streams.unused_for(LIMIT), used);
        assert!(start.elapsed() >= LIMIT * 4 && start.elapsed() <= LIMIT * 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_any_stream_is_unused_from_its_start() {
        let start = Instant::now();
        Streams::new(start).unused_for(LIMIT).await;
        assert_eq!(start.elapsed(), LIMIT);
    }
}
