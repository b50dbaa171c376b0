//! The task that finishes orders which stayed pending.

use regatta::{CancellationToken, auth};
use regatta_core::Chain;
use time::OffsetDateTime;

use crate::domain::{Sweep, Swept};
use crate::settings::SettlementSettings;

/// Sweeps until drain. A sweep that fails is logged; the next one tries again.
///
/// # Cancel safety
///
/// Cancel safe: what was begun is gone on with by the next sweep, also of another process.
pub async fn run(sweep: Sweep, settings: SettlementSettings, drain: CancellationToken) {
    let work = async {
        loop {
            tokio::time::sleep(settings.every).await;
            let before = OffsetDateTime::from(auth::now()) - settings.after;
            match sweep.run(before).await {
                Ok(Swept { settled: 0, left: 0 }) => {}
                Ok(Swept { settled, left }) => {
                    regatta::tracing::info!(settled, left, "went on with pending orders");
                }
                Err(error) => {
                    regatta::tracing::warn!(error = %Chain(&error), "cannot read pending orders");
                }
            }
        }
    };
    drain.run_until_cancelled(work).await;
}
