//! The control plane's own figures, as Prometheus text.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, StatusCode};

/// Methods that are told apart; others count as `other`, so that no client makes new series.
const METHODS: [&str; 4] = ["GET", "PUT", "DELETE", "other"];
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Counters; cheap to clone. Relaxed ordering: each counts for itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    requests: [[AtomicU64; CLASSES.len()]; METHODS.len()],
    blocked: AtomicU64,
}

/// What is known only where it is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) services: usize,
    pub(crate) checks: usize,
    pub(crate) index: u64,
}

/// Counts one blocking query while it lives.
#[derive(Debug)]
pub(crate) struct Blocked(Arc<Counters>);

impl Metrics {
    pub(crate) fn request(&self, method: &Method, status: StatusCode) {
        let other = METHODS.len() - 1;
        let method = METHODS.iter().position(|m| *m == method.as_str()).unwrap_or(other);
        let class = usize::from(status.as_u16() / 100).clamp(2, 5) - 2;
        self.counters.requests[method][class].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a blocking query until the guard is dropped.
    pub(crate) fn blocked(&self) -> Blocked {
        self.counters.blocked.fetch_add(1, Ordering::Relaxed);
        Blocked(Arc::clone(&self.counters))
    }

    /// The figures in Prometheus' text format 0.0.4.
    pub(crate) fn text(&self, sizes: &Sizes) -> String {
        let mut out = String::from(
            "# HELP regatta_control_requests_total Requests answered.\n\
             # TYPE regatta_control_requests_total counter\n",
        );
        for (method, row) in METHODS.iter().zip(&self.counters.requests) {
            for (class, count) in CLASSES.iter().zip(row) {
                let count = count.load(Ordering::Relaxed);
                // Writing to a string does not fail.
                let _ = writeln!(
                    out,
                    "regatta_control_requests_total{{method=\"{method}\",status=\"{class}\"}} {count}"
                );
            }
        }
        let gauges = [
            (
                "blocked_queries",
                "Blocking queries held.",
                self.counters.blocked.load(Ordering::Relaxed),
            ),
            ("services", "Services registered.", sizes.services as u64),
            ("checks", "Health checks known.", sizes.checks as u64),
            ("index", "Index of the latest change.", sizes.index),
        ];
        for (name, help, value) in gauges {
            let _ = writeln!(
                out,
                "# HELP regatta_control_{name} {help}\n# TYPE regatta_control_{name} gauge\n\
                 regatta_control_{name} {value}"
            );
        }
        out
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.0.blocked.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_method_and_class_and_makes_no_series_for_strangers() {
        let metrics = Metrics::default();
        metrics.request(&Method::GET, StatusCode::OK);
        metrics.request(&Method::from_bytes(b"BREW").unwrap(), StatusCode::METHOD_NOT_ALLOWED);
        let blocked = metrics.blocked();
        let sizes = Sizes { services: 3, checks: 2, index: 9 };
        let text = metrics.text(&sizes);
        assert!(text.contains("requests_total{method=\"GET\",status=\"2xx\"} 1\n"));
        assert!(text.contains("requests_total{method=\"other\",status=\"4xx\"} 1\n"));
        assert!(text.contains("\nregatta_control_blocked_queries 1\n"));
        assert!(text.contains("\nregatta_control_services 3\n"));
        drop(blocked);
        assert!(metrics.text(&sizes).contains("\nregatta_control_blocked_queries 0\n"));
    }
}
