//! Ends processes together with all they started.

use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::Identity;

/// How often we look whether processes are gone.
const LOOK: Duration = Duration::from_millis(20);

/// Sends a signal to every process of a group; one that is gone is no error.
pub(crate) fn signal_group(leader: u32, signal: Signal) {
    if let Ok(leader @ 2..) = i32::try_from(leader) {
        let _gone = killpg(Pid::from_raw(leader), signal);
    }
}

/// Asks a group to end, and kills what is left of it after `within`, or at once when `hurry` is done.
///
/// `ended` completes when the leader has; its group is then killed in any case, so that nothing it
/// started stays. Returns whether it had to be killed.
pub(crate) async fn end_group(
    leader: u32,
    within: Duration,
    ended: impl Future<Output = ()>,
    hurry: impl Future<Output = ()>,
) -> bool {
    tokio::pin!(ended);
    signal_group(leader, Signal::SIGTERM);
    let in_time = tokio::select! {
        () = &mut ended => true,
        () = tokio::time::sleep(within) => false,
        () = hurry => false,
    };
    signal_group(leader, Signal::SIGKILL);
    if !in_time {
        ended.await;
    }
    !in_time
}

/// Asks processes that are not our children to end, and kills those left after `within`.
///
/// Returns how many there were.
pub(crate) async fn end_all(find: impl Fn() -> Vec<Identity>, within: Duration) -> usize {
    let found = find();
    let send = |process: &Identity, signal| {
        // Between this look and the signal lie microseconds; a pid is not used again that fast.
        if let (true, Ok(pid @ 2..)) = (process.is_alive(), i32::try_from(process.pid)) {
            let _gone = kill(Pid::from_raw(pid), signal);
        }
    };
    found.iter().for_each(|process| send(process, Signal::SIGTERM));
    let patience = tokio::time::Instant::now() + within;
    while tokio::time::Instant::now() < patience && found.iter().any(Identity::is_alive) {
        tokio::time::sleep(LOOK).await;
    }
    // Again `find`: what was asked to end may have started something in the meantime.
    for _ in 0..50 {
        let left: Vec<_> = find().into_iter().chain(found.iter().copied()).collect();
        let alive: Vec<_> = left.iter().filter(|process| process.is_alive()).collect();
        if alive.is_empty() {
            break;
        }
        alive.into_iter().for_each(|process| send(process, Signal::SIGKILL));
        tokio::time::sleep(LOOK).await;
    }
    found.len()
}
