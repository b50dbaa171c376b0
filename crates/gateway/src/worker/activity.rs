//! When something last moved, as the directions of one exchange share it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The last moment in which a byte moved in any direction.
#[derive(Debug)]
pub(crate) struct Activity {
    start: Instant,
    /// Nanoseconds after the start; relaxed, since it guards no other memory.
    last: AtomicU64,
}

impl Activity {
    pub(crate) fn new(now: Instant) -> Self {
        Self { start: now, last: AtomicU64::new(0) }
    }

    /// Something moved.
    pub(crate) fn touch(&self, now: Instant) {
        let since = now.duration_since(self.start).as_nanos();
        self.last.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// When it will have been still for so long.
    pub(crate) fn deadline(&self, idle: Duration) -> Instant {
        self.start + Duration::from_nanos(self.last.load(Ordering::Relaxed)) + idle
    }

    /// Ends when nothing has moved for so long.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub(crate) async fn still_for(&self, idle: Duration) {
        loop {
            let deadline = self.deadline(idle);
            sleep_until(deadline).await;
            if self.deadline(idle) <= deadline {
                return;
            }
        }
    }
}
