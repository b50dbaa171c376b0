//! Tasks of one core, which its end waits for.

use tokio_util::task::TaskTracker;

thread_local! {
    static TASKS: TaskTracker = TaskTracker::new();
}

/// The core's tasks.
pub(crate) fn tasks() -> TaskTracker {
    TASKS.with(TaskTracker::clone)
}

/// Starts a task on this core.
pub(crate) fn spawn<F>(future: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    TASKS.with(|tasks| drop(tasks.spawn(future)));
}

/// Starts hyper's tasks on the core they come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spawner;

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        TASKS.with(|tasks| drop(tasks.spawn(future)));
    }
}
