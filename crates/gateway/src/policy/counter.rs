//! Counts the requests of clients, here or where all gateways count together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use regatta_resilience::rate_limit::{
    self, Decision, Limiter, OnOutage, Settings, SharedLimiter, Steadfast,
};

use super::decide::ClientKey;
use crate::{InvalidSettings, RateLimit};

/// Counts the requests of clients.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    local: Limiter,
    shared: Option<Steadfast>,
}

impl Counter {
    /// A counter under this limit; `kept` is that of the same limit before.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings::BadRateLimit`] when it cannot count so.
    pub(crate) fn try_new(
        limit: RateLimit,
        shared: Option<&Arc<dyn SharedLimiter>>,
        kept: Option<&Self>,
    ) -> Result<Self, InvalidSettings> {
        let local = match kept {
            Some(kept) => kept.local.clone(),
            None => {
                let settings = Settings::new(limit.requests.get(), limit.window)
                    .with_max_bytes(limit.max_bytes);
                let bad = |error: rate_limit::InvalidSettings| InvalidSettings::BadRateLimit {
                    reason: error.to_string(),
                };
                Limiter::try_new(settings, limit.algorithm).map_err(bad)?
            }
        };
        let on_outage = match limit.on_outage {
            crate::OnOutage::Admit => OnOutage::Admit,
            crate::OnOutage::Refuse => OnOutage::Refuse,
            crate::OnOutage::Count => OnOutage::Count(local.clone()),
        };
        let shared = shared.map(|shared| Steadfast::new(Arc::clone(shared), on_outage));
        Ok(Self { local, shared })
    }

    /// Decides at once; none when that takes asking others.
    pub(crate) fn check(&self, client: &ClientKey<'_>, now: Instant) -> Option<Decision> {
        if self.shared.is_some() { None } else { Some(self.local.check(client, now)) }
    }

    /// Decides with the counts of all gateways; says whether they were out of reach.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, the request may or may not be counted.
    pub(crate) async fn ask(&self, client: &str, now: Instant) -> (Decision, bool) {
        match &self.shared {
            None => (self.local.check(client, now), false),
            Some(shared) => {
                let verdict = shared.check(client).await;
                if let Some(outage) = &verdict.outage {
                    tracing::debug!(error = %regatta_core::Chain(outage), "shared limits");
                }
                (verdict.decision, verdict.outage.is_some())
            }
        }
    }

    pub(crate) fn window(&self) -> Duration {
        self.shared.as_ref().map_or_else(|| self.local.window(), Steadfast::window)
    }
}
