//! Tells the center which revision this instance runs, under a lease.

use std::sync::Arc;
use std::time::Duration;

use regatta_config::center::{CenterError, Commit, ConfigCenter, LeaseId, RefusedRevision, Report};
use regatta_core::Chain;
use regatta_telemetry::Telemetry;
use tokio_util::sync::CancellationToken;

use super::{Opened, Standing};
use crate::health::Health;
use crate::reload::Handle;

/// How long a report stays after its instance is gone: as many seconds as a few renewals take.
const LEASE: Duration = Duration::from_secs(15);

/// Time between two renewals.
const RENEW: Duration = Duration::from_secs(5);

/// Time between two reports while a release is under way.
const WATCHED: Duration = Duration::from_secs(1);

/// Longest time to take the report back at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Tells the center which revision this instance runs.
#[derive(Debug)]
pub(crate) struct Reporter {
    center: Arc<dyn ConfigCenter>,
    key: String,
    service: String,
    instance: String,
    every: Duration,
    handle: Handle,
    health: Health,
    telemetry: Telemetry,
    /// What was written last, and under which lease.
    written: Option<(LeaseId, Report)>,
    renewed: Option<tokio::time::Instant>,
}

impl Reporter {
    pub(crate) fn new(
        opened: &Opened,
        instance: &str,
        every: Duration,
        handle: Handle,
        health: Health,
        telemetry: Telemetry,
    ) -> Self {
        Self {
            center: Arc::clone(&opened.center),
            key: opened.layout.report(opened.service.as_str(), instance),
            service: opened.service.to_string(),
            instance: instance.to_owned(),
            every,
            handle,
            health,
            telemetry,
            written: None,
            renewed: None,
        }
    }

    /// Reports until the drain, then takes the report back.
    pub(crate) async fn run(mut self, drain: CancellationToken) {
        let mut changes = self.handle.changes();
        let mut is_silent = false;
        loop {
            let standing = self.handle.standing();
            let said = drain.run_until_cancelled(self.say(&standing)).await;
            match said {
                None => break,
                Some(Ok(())) => is_silent = false,
                Some(Err(error)) => {
                    // The center being away is told by health; once is enough for the log.
                    if !is_silent {
                        let reason = Chain(&error).to_string();
                        tracing::warn!(reason, "cannot report to the config center");
                    }
                    is_silent = true;
                }
            }
            let pause = match standing.rollout.is_some() {
                true => self.every.min(WATCHED),
                false => self.every.min(RENEW),
            };
            let wait = async {
                tokio::select! {
                    _ = changes.changed() => (),
                    () = tokio::time::sleep(pause) => (),
                }
            };
            if drain.run_until_cancelled(wait).await.is_none() {
                break;
            }
        }
        if let Some((lease, _)) = self.written {
            // Not told in time, the lease ends it.
            let _late = tokio::time::timeout(FAREWELL, self.center.revoke(lease)).await;
        }
    }

    async fn say(&mut self, standing: &Standing) -> Result<(), CenterError> {
        let report = self.report(standing).await;
        if let Some((lease, written)) = &self.written {
            let lease = *lease;
            if *written == (Report { at_ms: written.at_ms, ..report.clone() }) {
                return self.renew(lease, report).await;
            }
            match self.write(lease, &report).await {
                Err(CenterError::NoLease) => {}
                other => return other,
            }
        }
        let lease = self.center.grant(LEASE).await?;
        self.renewed = Some(tokio::time::Instant::now());
        self.write(lease, &report).await
    }

    async fn write(&mut self, lease: LeaseId, report: &Report) -> Result<(), CenterError> {
        let commit = Commit::new().put_with(&*self.key, report.to_text(), lease);
        self.center.commit(commit).await?;
        self.written = Some((lease, report.clone()));
        // A write renews nothing.
        self.renew_if_due(lease).await
    }

    async fn renew(&mut self, lease: LeaseId, report: Report) -> Result<(), CenterError> {
        match self.renew_if_due(lease).await {
            Err(CenterError::NoLease) => {
                // It was away for longer than the lease, or the center lost everything.
                self.written = None;
                let lease = self.center.grant(LEASE).await?;
                self.renewed = Some(tokio::time::Instant::now());
                self.write(lease, &report).await
            }
            other => other,
        }
    }

    async fn renew_if_due(&mut self, lease: LeaseId) -> Result<(), CenterError> {
        let margin = RENEW.saturating_sub(Duration::from_millis(500));
        if self.renewed.is_some_and(|at| at.elapsed() < margin) {
            return Ok(());
        }
        self.center.renew(lease).await?;
        self.renewed = Some(tokio::time::Instant::now());
        Ok(())
    }

    async fn report(&self, standing: &Standing) -> Report {
        let refused = standing.refused.clone();
        // Counted only where somebody watches: a report that changes is a write to the center.
        let totals = match standing.rollout.is_some() {
            true => super::totals::totals(&self.telemetry.metrics_text()),
            false => self.written.as_ref().map_or_else(
                || super::totals::totals(&self.telemetry.metrics_text()),
                |(_, written)| regatta_config::release::Totals {
                    requests: written.requests,
                    errors: written.errors,
                },
            ),
        };
        Report {
            service: self.service.clone(),
            instance: self.instance.clone(),
            revision: standing.revision,
            refused: refused.map(|(revision, reason)| RefusedRevision { revision, reason }),
            release: standing.release.clone(),
            rollout: standing.rollout.clone(),
            ready: self.health.is_ready().await,
            requests: totals.requests,
            errors: totals.errors,
            at_ms: now_ms(),
        }
    }
}

/// The wall clock, which is for people and not compared here.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
