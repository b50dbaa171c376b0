//! Puts the manifest's rules in force while the gateway runs.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use regatta_gateway::{Handle, Settings};
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// How often the manifest is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What tells a file from the one before: which it is, when it was written, how long it is.
pub(super) type Seen = Option<(u64, SystemTime, u64)>;

/// Watches the manifest and applies what it says, until the drain. `seen` is the file as it was
/// before it was read for the rules in force, so that a change since then is found at once. A
/// manifest that is wrong is refused with a line in the log; the rules in force stay. A hang-up reads
/// it at once, and reads it anew even if it looks unchanged.
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
    mut seen: Seen,
) {
    let mut asked = false;
    loop {
        let now = look(&path);
        // A file that is away for a moment is being replaced.
        if asked || (now != seen && now.is_some()) {
            seen = now;
            match read() {
                Ok(settings) => apply(&handle, settings),
                Err(problem) => {
                    tracing::error!(%problem, "manifest refused; the rules in force stay");
                }
            }
        }
        asked = tokio::select! {
            () = drain.cancelled() => return,
            _ = hang_up.recv() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
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

/// Looks at a file without reading it.
pub(super) fn look(path: &Path) -> Seen {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.modified().ok()?, found.len()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use regatta_discovery::MemoryRegistry;
    use regatta_gateway::Gateway;
    use tokio::signal::unix::{SignalKind, signal};
    use tokio::sync::mpsc;
    use tokio_util::task::TaskTracker;

    use super::*;

    #[tokio::test]
    async fn a_manifest_that_changed_while_the_gateway_started_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("regatta.yaml");
        std::fs::write(&path, "as it was read").unwrap();
        let seen = look(&path);
        // The gateway binds its ports here.
        std::fs::write(&path, "as it is by now").unwrap();
        assert_eq!(reads(path, seen).await, 1);
    }

    #[tokio::test]
    async fn a_manifest_that_is_as_it_was_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("regatta.yaml");
        std::fs::write(&path, "as it was read").unwrap();
        let seen = look(&path);
        assert_eq!(reads(path, seen).await, 0);
    }

    /// How often the manifest is read before a hang-up has it read in any case.
    async fn reads(path: PathBuf, seen: Seen) -> usize {
        let mut settings = Settings::default();
        settings.listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        settings.admin = None;
        let gateway = Gateway::bind(settings, Arc::new(MemoryRegistry::new())).await.unwrap();
        let (told, mut read) = mpsc::unbounded_channel();
        let read_again = move || {
            let _ended = told.send(());
            Err(Failure::new("nothing to apply"))
        };
        let (drain, tasks) = (CancellationToken::new(), TaskTracker::new());
        let hang_up = signal(SignalKind::hangup()).unwrap();
        tasks.spawn(follow(path, gateway.handle(), read_again, hang_up, drain.clone(), seen));
        // The first look was before the hang-up could be heard.
        tokio::task::yield_now().await;
        let before = read.len();
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGHUP).unwrap();
        read.recv().await.unwrap();
        drain.cancel();
        before
    }
}
