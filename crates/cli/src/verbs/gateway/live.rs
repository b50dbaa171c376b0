//! Puts the manifest's rules in force while the gateway runs.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use regatta_gateway::{Handle, Settings};
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// How often the manifest is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Watches the manifest and applies what it says, until the drain. A manifest that is wrong is
/// refused with a line in the log; the rules in force stay. A hang-up reads it at once, and reads
/// it anew even if it looks unchanged.
///
/// # Cancel safety
///
/// Cancel safe: rules change whole or not at all.
pub(super) async fn follow(
    path: PathBuf,
    handle: Handle,
    read: impl Fn() -> Result<Settings, Failure>,
    mut hang_up: Signal,
    drain: CancellationToken,
) {
    let mut seen = look(&path);
    loop {
        let asked = tokio::select! {
            () = drain.cancelled() => return,
            _ = hang_up.recv() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        let now = look(&path);
        // A file that is away for a moment is being replaced.
        if !asked && (now == seen || now.is_none()) {
            continue;
        }
        seen = now;
        match read() {
            Ok(settings) => apply(&handle, settings),
            Err(problem) => {
                tracing::error!(%problem, "manifest refused; the rules in force stay");
            }
        }
    }
}

fn apply(handle: &Handle, settings: Settings) {
    match handle.apply(settings) {
        Ok(applied) if applied.after_restart.is_empty() => tracing::info!("rules changed"),
        Ok(applied) => {
            let settings = applied.after_restart.join(", ");
            tracing::warn!(settings, "rules changed; these settings change with a restart only");
        }
        Err(error) => {
            let error = regatta_core::Chain(&error).to_string();
            tracing::error!(error, "rules refused; the rules in force stay");
        }
    }
}

/// What tells a file from the one before: when it was written, and how long it is.
fn look(path: &PathBuf) -> Option<(SystemTime, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}
