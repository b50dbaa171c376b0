//! What is healthy, and what follows from it.

use std::time::Duration;

use regatta_telemetry::Load;
use serde_json::{Map, Value, json};

/// What came out of asking one dependency.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) name: String,
    /// Whether requests cannot be served without it.
    pub(crate) is_critical: bool,
    pub(crate) response_time: Duration,
    /// None: it is healthy.
    pub(crate) error: Option<String>,
}

/// All findings of one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    /// RFC 3339, UTC.
    pub(crate) timestamp: String,
    pub(crate) load: Load,
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    /// Whether every dependency is healthy, critical or not.
    pub(crate) fn is_healthy(&self) -> bool {
        self.findings.iter().all(|finding| finding.error.is_none())
    }

    /// The body of `GET /health`. Times are seconds, loads percent.
    pub(crate) fn to_json(&self, version: &str) -> Value {
        let status = |healthy: bool| if healthy { "healthy" } else { "unhealthy" };
        let mut dependencies = Map::new();
        for finding in &self.findings {
            let mut entry = json!({
                "status": status(finding.error.is_none()),
                "response_time": finding.response_time.as_secs_f64(),
            });
            if let Some(error) = &finding.error {
                entry["error"] = error.as_str().into();
            }
            dependencies.insert(finding.name.clone(), entry);
        }
        json!({
            "status": status(self.is_healthy()),
            "timestamp": self.timestamp,
            "system": {
                "cpu_usage": self.load.cpu,
                "memory_usage": self.load.memory,
                "disk_usage": self.load.disk,
            },
            "dependencies": dependencies,
            "version": version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(name: &str, is_critical: bool, error: Option<&str>) -> Finding {
        let (name, error) = (name.to_owned(), error.map(str::to_owned));
        Finding { name, is_critical, response_time: Duration::from_millis(1500), error }
    }

    fn report(findings: Vec<Finding>) -> Report {
        let load = Load { cpu: 1.0, memory: 2.0, disk: 3.0 };
        Report { timestamp: "2026-11-23T14:00:00Z".to_owned(), load, findings }
    }

    #[test]
    fn the_body_is_that_of_the_design() {
        let report =
            report(vec![finding("database", true, None), finding("bank", false, Some("is away"))]);
        assert_eq!(
            report.to_json("1.2.3"),
            json!({
                "status": "unhealthy",
                "timestamp": "2026-11-23T14:00:00Z",
                "system": { "cpu_usage": 1.0, "memory_usage": 2.0, "disk_usage": 3.0 },
                "dependencies": {
                    "database": { "status": "healthy", "response_time": 1.5 },
                    "bank": { "status": "unhealthy", "response_time": 1.5, "error": "is away" },
                },
                "version": "1.2.3",
            })
        );
    }

    #[test]
    fn any_failing_dependency_makes_it_unhealthy() {
        let fine = report(vec![finding("a", true, None), finding("b", false, None)]);
        assert!(fine.is_healthy());
        for is_critical in [true, false] {
            let broken = vec![finding("a", true, None), finding("b", is_critical, Some("x"))];
            assert!(!report(broken).is_healthy());
        }
        assert!(report(Vec::new()).is_healthy(), "no dependencies, no trouble");
    }
}
