//! The task that cancels orders whose time is over.

use regatta::{CancellationToken, auth};
use regatta_core::Chain;
use time::OffsetDateTime;

use crate::domain::Expiry;

/// The pause after a round that failed.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs rounds until drain. One that fails is logged; the next one tries again.
///
/// # Cancel safety
///
/// Cancel safe: what was not done is done by the next round, also of another process.
pub async fn run(expiry: Expiry, drain: CancellationToken) {
    let work = async {
        loop {
            let wait = match expiry.round(OffsetDateTime::from(auth::now())).await {
                Ok(round) => {
                    if let Some((order, error)) = &round.first_failure {
                        let (order, failed, error) = (order.number(), round.failed, Chain(error));
                        regatta::tracing::warn!(order, failed, %error, "orders whose time is over were not cancelled");
                    }
                    round.wait.try_into().unwrap_or(PAUSE)
                }
                Err(error) => {
                    let error = Chain(&error);
                    regatta::tracing::warn!(%error, "cannot look for orders whose time is over");
                    PAUSE
                }
            };
            tokio::time::sleep(wait).await;
        }
    };
    drain.run_until_cancelled(work).await;
}
