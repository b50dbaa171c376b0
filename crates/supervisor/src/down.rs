//! Stops a system from outside, and cleans up after one that was killed.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::Error;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::process::{Identity, end_all, identity};
use crate::state::State;

/// How often we look whether the supervisor is gone.
const LOOK: Duration = Duration::from_millis(50);

/// What `down` found and did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Stopped {
    /// The supervisor that was asked to stop.
    pub supervisor: Option<u32>,
    /// Processes that an earlier supervisor had left and that were ended now.
    pub leftovers: usize,
}

/// The supervisor that runs this system, if one does.
///
/// # Errors
///
/// [`Error::File`] when the lock cannot be read.
pub fn running(layout: &Layout) -> Result<Option<Identity>, Error> {
    let path = layout.lock_file();
    let holder = Lock::holder(&path).map_err(Error::file("cannot read", path))?;
    // One that has not yet written who it is will have in a moment; pid 0 stands for it.
    Ok(holder.map(|identity| identity.unwrap_or(Identity { pid: 0, start_ticks: 0 })))
}

/// What runs, as the supervisor that runs now tells it; none when none does, or it builds still. The
/// state that one left which was killed is not taken for it.
///
/// # Errors
///
/// [`Error::File`] when the lock or the state cannot be read.
pub fn running_state(layout: &Layout) -> Result<Option<State>, Error> {
    let Some(holder) = running(layout)? else { return Ok(None) };
    let path = layout.state_file();
    let state = State::read(&path).map_err(Error::file("cannot read", path))?;
    Ok(state.filter(|state| state.supervisor == holder && holder.is_alive()))
}

/// Processes that a supervisor of this system started and that still run.
pub fn leftovers(layout: &Layout) -> Vec<Identity> {
    let mut found = identity::marked(layout.root());
    // Where the system does not show environments, the state file must do.
    let state = State::read(&layout.state_file()).ok().flatten();
    let known = state.into_iter().flat_map(|state| state.parts).filter_map(|part| part.process);
    found.extend(known.filter(Identity::is_alive));
    found.sort_by_key(|process| process.pid);
    found.dedup();
    found
}

/// Stops the system: asks its supervisor, waits for it, and ends what it left.
///
/// # Errors
///
/// [`Error::StillRunning`] when the supervisor does not end within `within`.
///
/// # Cancel safety
///
/// Cancel safe: the supervisor stops whether or not somebody waits.
pub async fn down(layout: &Layout, within: Duration) -> Result<Stopped, Error> {
    let supervisor = match running(layout)? {
        Some(holder) => {
            stop(layout, holder, within).await?;
            Some(holder.pid)
        }
        None => None,
    };
    let leftovers = clean(layout).await;
    Ok(Stopped { supervisor, leftovers })
}

async fn stop(layout: &Layout, holder: Identity, within: Duration) -> Result<(), Error> {
    if let (true, Ok(pid @ 2..)) = (holder.is_alive(), i32::try_from(holder.pid)) {
        let _gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let patience = tokio::time::Instant::now() + within;
    while running(layout)? == Some(holder) {
        if tokio::time::Instant::now() >= patience {
            return Err(Error::StillRunning { pid: holder.pid, within });
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Ends what a killed supervisor left, and removes its state. Returns how many processes there were.
///
/// # Cancel safety
///
/// Cancel safe: call it again.
pub async fn clean(layout: &Layout) -> usize {
    let count = end_all(|| leftovers(layout), Duration::from_secs(5)).await;
    let _absent = std::fs::remove_file(layout.state_file());
    count
}
