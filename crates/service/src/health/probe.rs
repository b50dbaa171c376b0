//! Asks the dependencies: all at once, each bounded, the answer kept for a moment.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::report::{Finding, Report};
use super::system::System;

/// Longest time for one dependency (seed, R12).
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer is kept: health is asked by an orchestrator, a balancer and a registry at
/// once, and none of them asks more often than once a second.
const KEEP: Duration = Duration::from_secs(1);

type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Something this service needs.
#[derive(Clone)]
pub(crate) struct Dependency {
    name: String,
    is_critical: bool,
    probe: Probe,
}

impl Dependency {
    pub(crate) fn new<F, R, E>(name: &str, is_critical: bool, probe: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let probe: Probe = Arc::new(move || {
            let asked = probe();
            async move { asked.await.map_err(|error| error.to_string()) }.boxed()
        });
        Self { name: name.to_owned(), is_critical, probe }
    }

    async fn ask(&self) -> Finding {
        let start = Instant::now();
        // A probe is the author's code: its panic is a finding, not the end of the request.
        let asked = std::panic::AssertUnwindSafe(async { (self.probe)().await }).catch_unwind();
        let error = match tokio::time::timeout(PROBE_TIMEOUT, asked).await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(error))) => Some(error),
            Ok(Err(_panic)) => Some("the probe panicked; see the log".to_owned()),
            Err(_elapsed) => Some(format!("no answer within {PROBE_TIMEOUT:?}")),
        };
        let (name, response_time) = (self.name.clone(), start.elapsed());
        Finding { name, is_critical: self.is_critical, response_time, error }
    }
}

impl fmt::Debug for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dependency")
            .field("name", &self.name)
            .field("is_critical", &self.is_critical)
            .finish_non_exhaustive()
    }
}

/// Answers whether the service is healthy and ready; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dependencies: Vec<Dependency>,
    system: System,
    is_leaving: AtomicBool,
    latest: Mutex<Option<(Instant, Arc<Report>)>>,
}

impl Health {
    pub(crate) fn new(dependencies: Vec<Dependency>) -> Self {
        let (system, is_leaving, latest) =
            (System::new(), AtomicBool::new(false), Mutex::default());
        Self { inner: Arc::new(Inner { dependencies, system, is_leaving, latest }) }
    }

    /// Not ready any more from now on.
    pub(crate) fn leave(&self) {
        self.inner.is_leaving.store(true, Relaxed);
    }

    /// Whether requests should be sent here.
    pub(crate) async fn is_ready(&self) -> bool {
        !self.inner.is_leaving.load(Relaxed) && self.report().await.is_ready()
    }

    /// The findings, at most a second old.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next caller asks again.
    pub(crate) async fn report(&self) -> Arc<Report> {
        // Held while asking, on purpose: whoever comes meanwhile waits for the same answer.
        let mut latest = self.inner.latest.lock().await;
        if let Some((at, report)) = latest.as_ref()
            && at.elapsed() < KEEP
        {
            return report.clone();
        }
        let asked = join_all(self.inner.dependencies.iter().map(Dependency::ask));
        let (findings, load) = tokio::join!(asked, self.inner.system.load());
        let report = Arc::new(Report { timestamp: super::system::timestamp(), load, findings });
        *latest = Some((Instant::now(), report.clone()));
        report
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn counting(calls: &Arc<AtomicU32>, takes: Duration) -> Dependency {
        let calls = calls.clone();
        Dependency::new("counted", true, move || {
            calls.fetch_add(1, Relaxed);
            async move {
                tokio::time::sleep(takes).await;
                Ok::<(), String>(())
            }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_cost_one_probe() {
        let calls = Arc::default();
        let health = Health::new(vec![counting(&calls, Duration::from_millis(10))]);
        join_all((0..50).map(|_| health.report())).await;
        assert_eq!(calls.load(Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_for_a_second_and_no_longer() {
        let calls = Arc::default();
        let health = Health::new(vec![counting(&calls, Duration::ZERO)]);
        health.report().await;
        tokio::time::advance(KEEP - Duration::from_millis(1)).await;
        health.report().await;
        assert_eq!(calls.load(Relaxed), 1);
        tokio::time::advance(Duration::from_millis(2)).await;
        health.report().await;
        assert_eq!(calls.load(Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn dependencies_are_asked_at_once_and_none_for_longer_than_its_time() {
        let hung = || Dependency::new("hung", true, std::future::pending::<Result<(), String>>);
        let health = Health::new(vec![hung(), hung(), hung()]);
        let start = Instant::now();
        let report = health.report().await;
        assert_eq!(start.elapsed().as_secs(), PROBE_TIMEOUT.as_secs());
        assert!(report.findings.iter().all(|f| f.error.as_deref() == Some("no answer within 5s")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_panics_is_a_finding() {
        let broken = Dependency::new("broken", true, || async {
            if true {
                panic!("expected by this test");
            }
            Ok::<(), String>(())
        });
        let report = Health::new(vec![broken]).report().await;
        assert!(report.findings[0].error.as_deref().unwrap().contains("panicked"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_leaves_is_not_ready() {
        let health = Health::new(Vec::new());
        assert!(health.is_ready().await);
        health.leave();
        assert!(!health.is_ready().await);
        assert!(health.report().await.is_healthy());
    }
}
