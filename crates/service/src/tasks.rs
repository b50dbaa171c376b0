//! Background work that shutdown waits for.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Background work of a service: each task hears of the drain and is waited for. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    drain: CancellationToken,
}

impl Tasks {
    /// Runs a task beside the requests. It is handed the token that is cancelled when the last
    /// request in flight is answered; it should then return soon: the process waits for it to nine tenths of
    /// `server.drain_timeout`. A panic is logged under the task's name.
    pub fn spawn<F, R>(&self, name: &'static str, task: F)
    where
        F: FnOnce(CancellationToken) -> R,
        R: Future<Output = ()> + Send + 'static,
    {
        let task = task(self.drain.child_token());
        self.tracker.spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task panicked");
            }
        });
    }

    /// The counter of running tasks, for libraries that spawn for themselves.
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Cancelled when tasks are to end.
    pub(crate) fn drain(&self) -> &CancellationToken {
        &self.drain
    }

    /// Tells every task to end and waits for them; returns how many are left.
    pub(crate) async fn finish(&self, until: tokio::time::Instant) -> usize {
        self.drain.cancel();
        self.tracker.close();
        let _elapsed = tokio::time::timeout_at(until, self.tracker.wait()).await;
        self.tracker.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn in_five_seconds() -> tokio::time::Instant {
        tokio::time::Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_hear_of_the_drain_and_are_waited_for() {
        let tasks = Tasks::default();
        let (told, heard) = tokio::sync::oneshot::channel();
        tasks.spawn("polite", |drain| async move {
            drain.cancelled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _ = told.send(());
        });
        assert_eq!(tasks.finish(in_five_seconds()).await, 0);
        assert!(heard.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_not_waited_for_longer_than_the_limit() {
        let tasks = Tasks::default();
        tasks.spawn("stubborn", |_drain| std::future::pending());
        assert_eq!(tasks.finish(in_five_seconds()).await, 1);
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_task_only() {
        let tasks = Tasks::default();
        tasks.spawn("broken", |_drain| async { panic!("expected by this test") });
        assert_eq!(tasks.finish(in_five_seconds()).await, 0);
    }
}
