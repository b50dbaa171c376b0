//! A request's place among those in flight to its service.

use regatta_resilience::concurrency::{Ending, Permit, Priority, Rejected};
use tokio::time::Instant;

use super::Target;

/// A request's place among those in flight; free again when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    permit: Option<Permit>,
    is_adaptive: bool,
}

impl Slot {
    /// Takes a place, waiting for one as long as the settings and the deadline allow.
    ///
    /// # Errors
    ///
    /// [`Rejected`] says why there is none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: who stops waiting holds nothing.
    pub(crate) async fn take(
        target: &Target,
        priority: Priority,
        until: Instant,
    ) -> Result<Self, Rejected> {
        let Some(limit) = &target.limit else { return Ok(Self::default()) };
        let left = until.saturating_duration_since(Instant::now());
        let permit = limit.acquire(priority, left).await?;
        Ok(Self { permit: Some(permit), is_adaptive: target.is_adaptive })
    }

    /// The head of an answer is there, or none will come: an adaptive limit learns from that, and
    /// the place is free.
    pub(crate) fn learn(&mut self, ending: Ending) {
        if self.is_adaptive
            && let Some(permit) = self.permit.take()
        {
            permit.finish(Instant::now().into_std(), ending);
        }
    }
}
