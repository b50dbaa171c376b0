//! What the gateway needs, and how that is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use regatta_discovery::Freshness;
use regatta_telemetry::{Load, timestamp};
use serde_json::{Map, Value, json};

use crate::shared::Shared;

/// All findings of one moment.
#[derive(Clone, Debug)]
pub(super) struct Report {
    timestamp: String,
    load: Load,
    dependencies: BTreeMap<String, Finding>,
}

/// How one thing is that the gateway needs.
#[derive(Clone, Debug, Default, PartialEq)]
struct Finding {
    response_time: Duration,
    /// None: it is healthy.
    error: Option<String>,
    /// Of a service: instances that can be called, and all.
    instances: Option<(usize, usize)>,
}

impl Report {
    /// Looks at what the gateway knows; nothing here asks over the network, so that health costs
    /// the services and the registry nothing: their watches and calls say how they are.
    pub(super) fn of(shared: &Shared, load: Load, now: Instant) -> Self {
        let rules = shared.rules.load();
        let mut dependencies = BTreeMap::new();
        let mut registry = Finding::default();
        for target in rules.targets() {
            let upstream = &target.upstream;
            if let Some(error) = missed(upstream.watch.current().freshness, now) {
                registry.error = Some(error);
            }
            let view = upstream.cluster.view(now);
            let all = view.instances.len();
            let usable = view.instances.iter().filter(|instance| instance.usable).count();
            let latency = view.instances.iter().filter_map(|instance| instance.latency_ms);
            let slowest = latency.fold(0.0, f64::max);
            let error = match (all, usable) {
                (0, _) => Some("has no instance".to_owned()),
                (_, 0) => Some("has no instance that can be called".to_owned()),
                _ => None,
            };
            let response_time = Duration::from_secs_f64(slowest / 1e3);
            let instances = Some((usable, all));
            let finding = Finding { response_time, error, instances };
            dependencies.insert(upstream.name.to_string(), finding);
        }
        dependencies.insert("registry".to_owned(), registry);
        if let Some(authenticator) = &rules.authenticator
            && authenticator.ring.is_renewable()
        {
            let error = authenticator.ring.problem().map(|problem| problem.to_string());
            dependencies.insert("keys".to_owned(), Finding { error, ..Finding::default() });
        }
        Self { timestamp: timestamp(), load, dependencies }
    }

    /// Whether everything the gateway needs is healthy.
    pub(super) fn is_healthy(&self) -> bool {
        self.dependencies.values().all(|finding| finding.error.is_none())
    }

    /// The body of `GET /health`. Times are seconds, loads percent.
    pub(super) fn to_json(&self, healthy: bool, connections: usize) -> Value {
        let status = |healthy: bool| if healthy { "healthy" } else { "unhealthy" };
        let entry = |finding: &Finding| {
            let mut entry = json!({
                "status": status(finding.error.is_none()),
                "response_time": finding.response_time.as_secs_f64(),
            });
            if let Some(error) = &finding.error {
                entry["error"] = error.as_str().into();
            }
            if let Some((usable, all)) = finding.instances {
                entry["instances"] = all.into();
                entry["usable_instances"] = usable.into();
            }
            entry
        };
        let dependencies: Map<String, Value> = self
            .dependencies
            .iter()
            .map(|(name, finding)| (name.clone(), entry(finding)))
            .collect();
        json!({
            "status": status(healthy),
            "timestamp": self.timestamp,
            "system": {
                "cpu_usage": self.load.cpu,
                "memory_usage": self.load.memory,
                "disk_usage": self.load.disk,
            },
            "dependencies": dependencies,
            "version": env!("CARGO_PKG_VERSION"),
            "connections": connections,
        })
    }
}

/// What is wrong with a registry whose list is this fresh.
fn missed(freshness: Freshness, now: Instant) -> Option<String> {
    match freshness {
        Freshness::Fresh => None,
        Freshness::Unknown => Some("has not answered yet".to_owned()),
        Freshness::Stale { since } => {
            let seconds = now.saturating_duration_since(since).as_secs();
            Some(format!("is away for {seconds} s; the last known instances are used"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_that_of_the_design() {
        let load = Load { cpu: 1.0, memory: 2.0, disk: 3.0 };
        let finding = Finding {
            response_time: Duration::from_millis(1500),
            error: Some("has no instance".into()),
            instances: Some((0, 0)),
        };
        let dependencies = [("a".to_owned(), finding), ("registry".to_owned(), Finding::default())];
        let timestamp = "2026-11-23T14:00:00Z".to_owned();
        let report = Report { timestamp, load, dependencies: dependencies.into() };
        assert!(!report.is_healthy());
        assert_eq!(
            report.to_json(false, 7),
            json!({
                "status": "unhealthy",
                "timestamp": "2026-11-23T14:00:00Z",
                "system": { "cpu_usage": 1.0, "memory_usage": 2.0, "disk_usage": 3.0 },
                "dependencies": {
                    "a": {
                        "status": "unhealthy", "response_time": 1.5, "error": "has no instance",
                        "instances": 0, "usable_instances": 0,
                    },
                    "registry": { "status": "healthy", "response_time": 0.0 },
                },
                "version": env!("CARGO_PKG_VERSION"),
                "connections": 7,
            })
        );
    }
}
