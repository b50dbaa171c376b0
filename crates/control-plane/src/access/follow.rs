//! Reads files again when they change, as long as the control plane runs.

use std::time::Duration;

use regatta_core::Chain;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// How often files are read again. Small files, so reading them costs less than being told by the
/// system, and works on every file system.
const INTERVAL: Duration = Duration::from_secs(1);

/// Calls `reload` every second until `drain`; logs what it says. A failure is logged once, until
/// it is another or over.
pub(crate) async fn follow<E: std::error::Error + Send + 'static>(
    what: &'static str,
    reload: impl Fn() -> Result<bool, E> + Clone + Send + 'static,
    metrics: Metrics,
    drain: CancellationToken,
) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = String::new();
    loop {
        tokio::select! {
            _ = interval.tick() => (),
            () = drain.cancelled() => return,
        }
        let reload = reload.clone();
        let Ok(reloaded) = tokio::task::spawn_blocking(reload).await else { continue };
        match reloaded {
            Ok(is_new) => {
                if is_new {
                    tracing::info!(what, "read anew");
                    metrics.reloaded(what, true);
                }
                told.clear();
            }
            Err(error) => {
                let text = Chain(&error).to_string();
                if text != told {
                    metrics.reloaded(what, false);
                    tracing::error!(
                        what,
                        error = text,
                        "cannot be read anew; what was read before stays in force"
                    );
                    told = text;
                }
            }
        }
    }
}
