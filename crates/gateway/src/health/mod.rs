//! The gateway's own health (R12's bodies).

mod report;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use regatta_telemetry::Machine;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::policy::Health;
use crate::shared::Shared;
use report::Report;

/// How long findings are kept: whoever asks more often gets the same ones.
const KEEP: Duration = Duration::from_secs(1);

/// The findings of the last look.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    machine: Machine,
    latest: ArcSwapOption<(Instant, Report)>,
    looking: Mutex<()>,
}

impl Findings {
    /// Looks anew, unless that was done within the last second.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next caller looks.
    pub(crate) async fn renew(&self, shared: &Shared) {
        // Held while looking, on purpose: whoever comes meanwhile waits for the same findings.
        let _looking = self.looking.lock().await;
        let is_fresh = |latest: &(Instant, Report)| latest.0.elapsed() < KEEP;
        if self.latest.load().as_deref().is_some_and(is_fresh) {
            return;
        }
        let load = self.machine.load().await;
        let report = Report::of(shared, load, Instant::now().into_std());
        self.latest.store(Some(Arc::new((Instant::now(), report))));
    }
}

/// Status and JSON body of the last findings. The gateway is ready while it is not draining: it
/// forwards to whatever instances it last knew, so neither a registry nor a service that is down
/// makes it unready.
pub(crate) fn answer(health: Health, shared: &Shared) -> (u16, String) {
    let draining = shared.is_draining();
    match health {
        Health::Live => (200, r#"{"status":"alive"}"#.into()),
        Health::Ready if draining => (503, r#"{"status":"not ready"}"#.into()),
        Health::Ready => (200, r#"{"status":"ready"}"#.into()),
        Health::Whole => match shared.findings.latest.load().as_deref() {
            Some((_, report)) => {
                let healthy = report.is_healthy() && !draining;
                let body = report.to_json(healthy, shared.open());
                (if healthy { 200 } else { 503 }, body.to_string())
            }
            None => (503, r#"{"status":"unhealthy"}"#.into()),
        },
    }
}
