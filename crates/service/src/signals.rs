//! From signals to a drain.

use std::convert::Infallible;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// SIGTERM and SIGINT, heard from its making on.
#[derive(Debug)]
pub(crate) struct Signals {
    heard: Option<(Signal, Signal)>,
    drain: CancellationToken,
}

impl Signals {
    pub(crate) fn hear() -> Self {
        let both = signal(SignalKind::terminate()).and_then(|terminate| {
            signal(SignalKind::interrupt()).map(|interrupt| (terminate, interrupt))
        });
        if let Err(error) = &both {
            tracing::error!(%error, "cannot listen for signals; SIGTERM will not drain");
        }
        Self { heard: both.ok(), drain: CancellationToken::new() }
    }

    /// Cancelled at the first signal.
    pub(crate) fn drain(&self) -> CancellationToken {
        self.drain.clone()
    }

    /// Cancels the drain at the first signal, and ends the process at the second.
    pub(crate) async fn act(self) -> Infallible {
        let Some((mut terminate, mut interrupt)) = self.heard else {
            return std::future::pending().await;
        };
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let signal = next().await;
        tracing::info!(signal, "draining; a second signal ends the process at once");
        self.drain.cancel();
        let signal = next().await;
        tracing::warn!(signal, "ending at once");
        std::process::exit(1)
    }
}
