//! What both interfaces share: access control, certificates, figures, copies, telemetry.

use axum::Router;
use regatta_telemetry::{ServerLayer, Telemetry};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{Access, follow};
use crate::copies::Copies;
use crate::metrics::Metrics;
use crate::tls::Tls;
use crate::{BindError, Settings};

/// What both interfaces share; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) access: Access,
    pub(crate) tls: Option<Tls>,
    pub(crate) metrics: Metrics,
    pub(crate) copies: Copies,
    /// Makes spans and measures requests, when the program has it.
    pub(crate) telemetry: Option<Telemetry>,
}

impl Shared {
    /// Reads the access file and the certificates.
    pub(crate) async fn load(settings: &Settings) -> Result<Self, BindError> {
        let (access, tls) = (settings.access.clone(), settings.tls.clone());
        let read = move || {
            let access = access.map_or_else(|| Ok(Access::open()), Access::by_file);
            let access = access.map_err(BindError::Access)?;
            let tls = tls.map(Tls::load).transpose().map_err(BindError::Tls)?;
            let (metrics, copies) = (Metrics::default(), Copies::default());
            Ok(Self { access, tls, metrics, copies, telemetry: None })
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(shared) => shared,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Reads them anew when they change, until `drain`.
    pub(crate) fn follow(&self, tasks: &TaskTracker, drain: &CancellationToken) {
        let metrics = || self.metrics.clone();
        if self.access.is_enabled() {
            let access = self.access.clone();
            tasks.spawn(follow("access file", move || access.reload(), metrics(), drain.clone()));
        }
        if let Some(tls) = self.tls.clone() {
            tasks.spawn(follow("certificates", move || tls.reload(), metrics(), drain.clone()));
        }
    }
}

/// Routes whose requests are reported.
pub(crate) fn observed(routes: Router, telemetry: Option<Telemetry>) -> Router {
    match telemetry {
        Some(telemetry) => routes.layer(ServerLayer::new(telemetry)),
        None => routes,
    }
}
