//! Ctrl-C stops, a second one kills.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Cancels `stop` at the first interrupt, termination or hang-up, and `hurry` at the second
/// interrupt or termination.
pub(super) fn watch(stop: CancellationToken, hurry: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let listen = async move {
        loop {
            let asked_again = tokio::select! {
                _ = interrupt.recv() => stop.is_cancelled(),
                _ = terminate.recv() => stop.is_cancelled(),
                // A terminal that closes says so more than once.
                _ = hang_up.recv() => false,
            };
            if asked_again {
                hurry.cancel();
            }
            stop.cancel();
        }
    };
    // Ends with the runtime: there is nothing it could leave half done.
    let _task = TaskTracker::new().spawn(listen);
    Ok(())
}
