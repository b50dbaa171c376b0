//! What all workers share: the rules, the counters, the stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use regatta_telemetry::Telemetry;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access_log::AccessLogger;
use crate::health::Findings;
use crate::metrics::Metrics;
use crate::policy::{Limiter, Rate, Rules, Settled, Wait};

/// What all workers share. Nothing here is locked while a request is served.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) rules: ArcSwap<Rules>,
    pub(crate) metrics: Metrics,
    /// Of the gateway's own health.
    pub(crate) findings: Findings,
    pub(crate) log: Option<AccessLogger>,
    pub(crate) telemetry: Option<Telemetry>,
    /// Stop accepting, finish what is in flight.
    pub(crate) drain: CancellationToken,
    /// Whether that has begun: looking at the token takes a lock that all cores share.
    draining: AtomicBool,
    /// The time for that is over.
    pub(crate) stop: CancellationToken,
    open: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(
        rules: Rules,
        log: Option<AccessLogger>,
        telemetry: Option<Telemetry>,
        drain: CancellationToken,
    ) -> Self {
        Self {
            rules: ArcSwap::from_pointee(rules),
            metrics: Metrics::default(),
            findings: Findings::default(),
            log,
            telemetry,
            drain,
            draining: AtomicBool::new(false),
            stop: CancellationToken::new(),
            open: AtomicUsize::new(0),
        }
    }

    /// Begins to drain.
    pub(crate) fn begin_drain(&self) {
        // Before the token wakes anybody, who looks here; the token's lock orders the two.
        self.draining.store(true, Ordering::Relaxed);
        self.drain.cancel();
    }

    /// Whether draining has begun.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Client connections now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Counts a client connection; none when there are as many as allowed.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Admission> {
        let most = self.rules.load().limits.connections;
        // Relaxed: the count guards no other memory.
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let admission = Admission(Arc::clone(self));
        (before < most).then_some(admission)
    }
}

impl Wait {
    /// Settles what a request waits for; whatever comes of it, it is not waited for again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what is under way for others goes on.
    pub(crate) async fn settle(self, shared: &Shared, rules: &Rules, settled: &mut Settled) {
        match self {
            Self::Limit(client) => {
                if let Some(limiter) = &rules.limiter {
                    settled.rates.whole = Some(ask(limiter, &client, shared).await);
                }
            }
            Self::RouteLimit(number, client) => {
                if let Some(limiter) = rules.route_limit(number) {
                    settled.rates.route = Some(ask(limiter, &client, shared).await);
                }
            }
            Self::Keys => {
                settled.keys = true;
                if let Some(authenticator) = &rules.authenticator {
                    authenticator.ring.renewed().await;
                }
            }
            Self::Health => {
                settled.health = true;
                shared.findings.renew(shared).await;
            }
        }
    }
}

/// What the limiter says with the counts of all gateways.
async fn ask(limiter: &Limiter, client: &str, shared: &Shared) -> Rate {
    let (decision, outage) = limiter.ask(client, Instant::now().into_std()).await;
    if let Some(outage) = outage {
        tracing::debug!(error = %regatta_core::Chain(&outage), "shared limits");
        shared.metrics.limited_alone();
    }
    Rate { decision, window: limiter.window() }
}

/// Begins to drain when it is dropped.
#[derive(Debug)]
pub(crate) struct DrainGuard(pub(crate) Arc<Shared>);

impl Drop for DrainGuard {
    fn drop(&mut self) {
        self.0.begin_drain();
    }
}

/// One counted client connection.
#[derive(Debug)]
pub(crate) struct Admission(Arc<Shared>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The wall clock, for `exp` of tokens and times in the log.
#[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}
