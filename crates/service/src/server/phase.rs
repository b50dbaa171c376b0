//! How far a server has gone on its way out.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use tokio::time::Instant;
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
    /// When requests in flight are cut off; set before `closed`.
    cut_off: Arc<OnceLock<Instant>>,
}

impl Phase {
    /// Asks clients to go elsewhere from now on.
    pub(crate) fn leave(&self) {
        self.is_leaving.store(true, Relaxed);
        self.leaving.cancel();
    }

    /// Takes no new connections from now on, and cuts off at that instant what is in flight then.
    pub(crate) fn close(&self, cut_off: Instant) {
        self.leave();
        // Closed twice, the first instant holds.
        let _ = self.cut_off.set(cut_off);
        self.closed.cancel();
    }

    /// Whether clients are asked to go elsewhere, as each answer reads it.
    pub(crate) fn is_leaving(&self) -> Arc<AtomicBool> {
        self.is_leaving.clone()
    }

    pub(crate) fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    /// When requests in flight are cut off; now, unless [`Phase::close`] said otherwise.
    pub(crate) fn cut_off(&self) -> Instant {
        self.cut_off.get().copied().unwrap_or_else(Instant::now)
    }

    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}
