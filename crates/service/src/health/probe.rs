//! Asks the dependencies: all at once, each bounded, the answer kept for a moment.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use regatta_telemetry::{Load, Machine, timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::report::{Finding, Report};

/// Longest time for one dependency (seed, R12).
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time to say whether the service is ready: less than anybody who asks waits.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

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
    /// Those that readiness waits for.
    critical: Group,
    /// All others, which it does not.
    optional: Group,
    /// Sampled with the optional ones.
    machine: Machine,
    is_leaving: AtomicBool,
    /// A round of probes is a task of its own: it outlives an asker who goes away.
    rounds: TaskTracker,
}

/// Dependencies that are asked together.
#[derive(Debug)]
struct Group {
    dependencies: Vec<Dependency>,
    latest: Mutex<Option<(Instant, Round)>>,
}

/// What one round found.
#[derive(Clone, Debug)]
struct Round {
    findings: Arc<[Finding]>,
    load: Load,
}

impl Group {
    fn new(dependencies: Vec<Dependency>) -> Self {
        Self { dependencies, latest: Mutex::default() }
    }

    /// What was found, at most [`KEEP`] ago.
    async fn round(&self, machine: Option<&Machine>) -> Round {
        // Held while asking, on purpose: whoever comes meanwhile waits for the same answer.
        let mut latest = self.latest.lock().await;
        if let Some((at, round)) = latest.as_ref()
            && at.elapsed() < KEEP
        {
            return round.clone();
        }
        let asked = join_all(self.dependencies.iter().map(Dependency::ask));
        let load = async {
            match machine {
                Some(machine) => machine.load().await,
                None => Load::default(),
            }
        };
        let (findings, load) = tokio::join!(asked, load);
        let round = Round { findings: findings.into(), load };
        tell(latest.as_ref().map_or(&[], |(_, before)| &before.findings), &round.findings);
        *latest = Some((Instant::now(), round.clone()));
        round
    }
}

/// Says once when a dependency fails, and once when it is back.
fn tell(before: &[Finding], now: &[Finding]) {
    for (place, finding) in now.iter().enumerate() {
        let dependency = &*finding.name;
        let had_failed = before.get(place).is_some_and(|it| it.error.is_some());
        match &finding.error {
            Some(error) if !had_failed => {
                let is_critical = finding.is_critical;
                tracing::warn!(dependency, is_critical, error, "a dependency fails");
            }
            None if had_failed => tracing::info!(dependency, "a dependency is back"),
            _ => (),
        }
    }
}

impl Health {
    pub(crate) fn new(dependencies: Vec<Dependency>) -> Self {
        let (critical, optional) = dependencies.into_iter().partition(|it| it.is_critical);
        let inner = Inner {
            critical: Group::new(critical),
            optional: Group::new(optional),
            machine: Machine::default(),
            is_leaving: AtomicBool::new(false),
            rounds: TaskTracker::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Not ready any more from now on.
    pub(crate) fn leave(&self) {
        self.inner.is_leaving.store(true, Relaxed);
    }

    /// Whether requests should be sent here: no critical dependency fails, or keeps us waiting for
    /// longer than [`READY_TIMEOUT`]. A registry that is away makes a service unhealthy and not
    /// unready, or no service would outlive its registry.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the probes go on, and the next caller gets what they find.
    pub(crate) async fn is_ready(&self) -> bool {
        if self.inner.is_leaving.load(Relaxed) {
            return false;
        }
        match tokio::time::timeout(READY_TIMEOUT, self.critical()).await {
            Ok(round) => round.findings.iter().all(|finding| finding.error.is_none()),
            Err(_elapsed) => false,
        }
    }

    /// The findings, at most a second old.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the probes go on, and the next caller gets what they find.
    pub(crate) async fn report(&self) -> Arc<Report> {
        let (critical, optional) = tokio::join!(self.critical(), self.optional());
        let findings = critical.findings.iter().chain(&*optional.findings).cloned().collect();
        let (timestamp, load) = (timestamp(), optional.load);
        Arc::new(Report { timestamp, load, findings })
    }

    async fn critical(&self) -> Round {
        let inner = self.inner.clone();
        self.detached(async move { inner.critical.round(None).await }).await
    }

    async fn optional(&self) -> Round {
        let inner = self.inner.clone();
        self.detached(async move { inner.optional.round(Some(&inner.machine)).await }).await
    }

    async fn detached(&self, round: impl Future<Output = Round> + Send + 'static) -> Round {
        match self.inner.rounds.spawn(round).await {
            Ok(round) => round,
            // Probes that panic are findings, so this is the runtime's end, which ends us too.
            Err(_cancelled) => std::future::pending().await,
        }
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
    async fn readiness_does_not_wait_for_what_the_service_can_do_without() {
        let hung = Dependency::new("hung", false, std::future::pending::<Result<(), String>>);
        let health = Health::new(vec![hung]);
        let start = Instant::now();
        assert!(health.is_ready().await);
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(!health.report().await.is_healthy());
    }

    #[tokio::test(start_paused = true)]
    async fn a_critical_dependency_that_hangs_makes_it_unready_in_time_for_whoever_asks() {
        let hung = Dependency::new("hung", true, std::future::pending::<Result<(), String>>);
        let health = Health::new(vec![hung]);
        let start = Instant::now();
        assert!(!health.is_ready().await);
        assert_eq!(start.elapsed().as_secs(), READY_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_outlives_the_asker_who_goes_away() {
        let calls = Arc::default();
        let health = Health::new(vec![counting(&calls, Duration::from_millis(1500))]);
        assert!(!health.is_ready().await, "it takes longer than anybody waits");
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(health.is_ready().await, "the first probe has ended meanwhile");
        assert_eq!(calls.load(Relaxed), 1);
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
