//! How far a server has gone on its way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio_util::sync::CancellationToken;

/// How far a server has gone on its way out; cheap to clone.
///
/// *Serving*, then *leaving*: it still takes requests, but asks each client to take the next one
/// elsewhere; then *closed*: no new connection, requests in flight are finished.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phase {
    /// Read by each answer, so it must cost next to nothing.
    is_leaving: Arc<AtomicBool>,
    leaving: CancellationToken,
    closed: CancellationToken,
}

impl Phase {
    /// Asks clients to go elsewhere from now on.
    pub(crate) fn leave(&self) {
        self.is_leaving.store(true, Relaxed);
        self.leaving.cancel();
    }

    /// Takes no new connections from now on.
    pub(crate) fn close(&self) {
        self.leave();
        self.closed.cancel();
    }

    /// Whether clients are asked to go elsewhere, as each answer reads it.
    pub(crate) fn is_leaving(&self) -> Arc<AtomicBool> {
        self.is_leaving.clone()
    }

    pub(crate) fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}
