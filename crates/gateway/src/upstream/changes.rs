//! Changes of a service's instances, announced in the log and counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use regatta_core::ServiceName;
use regatta_resilience::breaker::State;
use regatta_traffic::cluster::{Event, What};

/// How often something changed about a service's instances.
///
/// Counted by service, not by instance, so that instances which come and go make no series; the
/// log names them.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) service: ServiceName,
    /// By kind and new state; changes are rare, so a lock is cheap.
    counts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

/// What is counted from the start, so that a rate over it sees the first one.
const KNOWN: [(&str, &str); 7] = [
    ("breaker", "closed"),
    ("breaker", "half_open"),
    ("breaker", "open"),
    ("ejection", "ejected"),
    ("ejection", "returned"),
    ("panic", "begun"),
    ("panic", "over"),
];

impl Changes {
    pub(crate) fn new(service: ServiceName) -> Self {
        Self { service, counts: Mutex::new(KNOWN.map(|known| (known, 0)).into()) }
    }

    /// Each kind and new state with how often it came.
    pub(crate) fn counts(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn announce(&self, event: &Event<'_>) {
        let service = &self.service;
        let instance = event.instance.map_or("all", |instance| instance.id.as_str());
        let address = event.instance.map(|it| it.endpoint.to_string()).unwrap_or_default();
        match &event.what {
            What::Breaker(change) => {
                let (from, to) = (change.from.name(), change.to.name());
                let (cause, control) = (change.cause.name(), change.control.name());
                self.count("breaker", to);
                if change.to == State::Open {
                    tracing::warn!(%service, instance, address, from, to, cause, control, "circuit breaker opened");
                } else {
                    tracing::info!(%service, instance, address, from, to, cause, control, "circuit breaker changed");
                }
            }
            What::Ejected { time, times, cause } => {
                self.count("ejection", "ejected");
                let cause = cause.name();
                tracing::warn!(%service, instance, address, cause, ?time, times, "instance ejected: requests go elsewhere");
            }
            What::Returned => {
                self.count("ejection", "returned");
                tracing::info!(%service, instance, address, "ejected instance gets requests again");
            }
            What::Panic(true) => {
                self.count("panic", "begun");
                tracing::warn!(%service, "few instances can be used: ejected ones get requests too");
            }
            What::Panic(false) => {
                self.count("panic", "over");
                tracing::info!(%service, "enough instances can be used");
            }
            other => {
                tracing::info!(%service, instance, address, change = ?other, "instance changed");
            }
        }
    }

    fn count(&self, kind: &'static str, to: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((kind, to)).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    use regatta_core::Instance;
    use regatta_resilience::breaker::Settings;
    use regatta_resilience::outlier;
    use regatta_traffic::cluster::{Cluster, Hints, Outcome, Policies, Tried};

    use super::*;

    #[test]
    fn each_change_is_one_line_that_says_why_and_one_count() {
        let lines = Lines::default();
        let copy = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || copy.clone()).finish();
        let changes = tracing::subscriber::with_default(subscriber, all_fail);
        let counts = changes.counts();
        for known in [("breaker", "open"), ("ejection", "ejected"), ("panic", "begun")] {
            assert!(counts[&known] >= 1, "{known:?}: {counts:?}");
        }
        assert_eq!((counts[&("ejection", "returned")], counts[&("panic", "over")]), (0, 0));
        let text = lines.text();
        let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap();
        let opened = line("circuit breaker opened");
        for part in [
            "WARN",
            "service=a",
            "127.0.0.1:",
            "from=\"closed\"",
            "to=\"open\"",
            "cause=\"failures_in_a_row\"",
        ] {
            assert!(opened.contains(part), "{part}: {opened}");
        }
        let ejected = line("instance ejected");
        for part in ["WARN", "127.0.0.1:", "cause=\"failures_in_a_row\"", "time=30s", "times=1"] {
            assert!(ejected.contains(part), "{part}: {ejected}");
        }
        assert!(line("few instances").contains("WARN"), "{text}");
    }

    /// All instances fail, which opens their breakers and ejects them.
    #[expect(clippy::disallowed_methods, reason = "any instant does")]
    fn all_fail() -> Arc<Changes> {
        let (name, now) = ("a".parse::<ServiceName>().unwrap(), std::time::Instant::now());
        let changes = Arc::new(Changes::new(name.clone()));
        let told = Arc::clone(&changes);
        let mut policies = Policies::default();
        policies.breaker = Some(Settings::default().with_failure_threshold(3));
        policies.service_breaker = None;
        let mut settings = outlier::Settings::default();
        settings.consecutive_failures = 3;
        settings.max_ejected_percent = 100;
        policies.outlier = Some(settings);
        let observer = Arc::new(move |event: &Event<'_>| told.announce(event));
        let cluster = Cluster::try_observed(name.clone(), policies, now, 1, observer).unwrap();
        let instances = (1..=4).map(|port| {
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
            Instance::new(name.clone(), address.into())
        });
        cluster.replace(now, instances, |_| ());
        for random in 0..40 {
            let picked = cluster.pick(now, random, &Tried::default(), &Hints::default());
            if let Ok(picked) = picked {
                _ = picked.finish(now, Outcome::Failure, Duration::ZERO);
            }
        }
        changes
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
