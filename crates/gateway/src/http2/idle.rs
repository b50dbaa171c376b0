//! How long a body of an HTTP/2 exchange may be waited for.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::worker::activity::Activity;
use crate::worker::alarm::Alarm;

/// One direction's look at the time since something moved.
///
/// Only waiting counts: while the other side holds the body back nobody asks for a frame.
#[derive(Debug)]
pub(super) struct Idle {
    activity: Arc<Activity>,
    limit: Duration,
    /// Made when a frame is waited for the first time; most bodies never wait.
    alarm: Option<Alarm>,
    is_waiting: bool,
}

impl Idle {
    /// Times out when nothing was noted in the activity for so long. Directions that share it keep
    /// each other alive.
    pub(super) fn new(activity: Arc<Activity>, limit: Duration) -> Self {
        Self { activity, limit, alarm: None, is_waiting: false }
    }

    /// A frame came.
    pub(super) fn moved(&mut self) {
        self.is_waiting = false;
        self.activity.touch(Instant::now());
    }

    /// A frame is waited for; ready when it has been waited for too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.is_waiting, true) {
            self.activity.touch(Instant::now());
        }
        let deadline = self.activity.deadline(self.limit);
        self.alarm.get_or_insert_with(|| Alarm::new(deadline)).poll(deadline, cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn the_time_runs_from_the_first_wait_after_a_frame() {
        let start = Instant::now();
        let mut idle = Idle::new(Arc::new(Activity::new(start)), LIMIT);
        idle.moved();
        // Held back by the other side; that is not this one's fault.
        tokio::time::advance(LIMIT * 3).await;
        poll_fn(|cx| idle.poll(cx)).await;
        assert_eq!(start.elapsed(), LIMIT * 4);
    }

    #[tokio::test(start_paused = true)]
    async fn directions_that_share_an_activity_keep_each_other_alive() {
        let start = Instant::now();
        let activity = Arc::new(Activity::new(start));
        let mut still = Idle::new(Arc::clone(&activity), LIMIT);
        let mut lively = Idle::new(activity, LIMIT);
        let moves = async {
            for _ in 0..4 {
                tokio::time::sleep(LIMIT / 2).await;
                lively.moved();
            }
        };
        tokio::join!(poll_fn(|cx| still.poll(cx)), moves);
        assert_eq!(start.elapsed(), LIMIT * 3);
    }
}
