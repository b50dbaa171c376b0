//! What is counted as it happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};

use super::histogram::Histogram;
use super::text::Text;
use crate::registry::Status;

/// Methods that are told apart; others count as `other`, so that no client makes new series.
const METHODS: [&str; 4] = ["GET", "PUT", "DELETE", "other"];
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];
/// etcd's methods, in the same way.
const CALLS: [&str; 26] = [
    "KV/Range",
    "KV/Put",
    "KV/DeleteRange",
    "KV/Txn",
    "KV/Compact",
    "Watch/Watch",
    "Lease/LeaseGrant",
    "Lease/LeaseRevoke",
    "Lease/LeaseKeepAlive",
    "Lease/LeaseTimeToLive",
    "Lease/LeaseLeases",
    "Cluster/MemberList",
    "Maintenance/Status",
    "Maintenance/Alarm",
    "Maintenance/Defragment",
    "Maintenance/Hash",
    "Maintenance/HashKV",
    "Maintenance/Snapshot",
    "Maintenance/MoveLeader",
    "Auth/Authenticate",
    "Lock/Lock",
    "Lock/Unlock",
    "Election/Campaign",
    "Election/Leader",
    "Election/Observe",
    "other",
];
/// gRPC's codes, by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
const INTERFACES: [&str; 2] = ["consul", "etcd"];
/// What checks are, by Consul's names, and what they find.
const KINDS: [&str; 4] = ["http", "tcp", "grpc", "ttl"];
const STATUSES: [Status; 3] = [Status::Passing, Status::Warning, Status::Critical];
/// DNS's answers (RFC 1035, 4.1.1).
const RCODES: [&str; 6] = ["NOERROR", "FORMERR", "NXDOMAIN", "NOTIMP", "REFUSED", "other"];
/// What is read again when it changes.
const FILES: [&str; 2] = ["access file", "certificates"];
const RESULTS: [&str; 2] = ["ok", "failed"];

/// Counters; cheap to clone. Relaxed ordering: each counts for itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    requests: [[AtomicU64; CLASSES.len()]; METHODS.len()],
    calls: [[AtomicU64; CODES.len()]; CALLS.len()],
    denied: [AtomicU64; INTERFACES.len()],
    blocked: AtomicU64,
    /// Of requests that do not block.
    answers: Histogram,
    checks: [[AtomicU64; STATUSES.len()]; KINDS.len()],
    probes: Histogram,
    reaped: AtomicU64,
    names: [AtomicU64; RCODES.len()],
    reloads: [[AtomicU64; RESULTS.len()]; FILES.len()],
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

    /// Counts a call of etcd's interface by its path, such as `/etcdserverpb.KV/Put`.
    pub(crate) fn call(&self, path: &str, code: i32) {
        let name = path.split_once('.').map_or(path, |(_, name)| name);
        let other = CALLS.len() - 1;
        let call = CALLS.iter().position(|call| *call == name).unwrap_or(other);
        // A code that gRPC does not know is what it calls unknown.
        let code = usize::try_from(code).ok().filter(|code| *code < CODES.len()).unwrap_or(2);
        self.counters.calls[call][code].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that access control refused.
    pub(crate) fn denied(&self, interface: &str) {
        if let Some(at) = INTERFACES.iter().position(|known| *known == interface) {
            self.counters.denied[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a blocking query until the guard is dropped.
    pub(crate) fn blocked(&self) -> Blocked {
        self.counters.blocked.fetch_add(1, Ordering::Relaxed);
        Blocked(Arc::clone(&self.counters))
    }

    /// How long a request took that does not block.
    pub(crate) fn answered(&self, took: Duration) {
        self.counters.answers.observe(took);
    }

    /// Counts what a check found, by Consul's name of its kind.
    pub(crate) fn check(&self, kind: &str, found: Status) {
        let kind = KINDS.iter().position(|known| *known == kind);
        let found = STATUSES.iter().position(|known| *known == found);
        if let Some((kind, found)) = kind.zip(found) {
            self.counters.checks[kind][found].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How long a probe took.
    pub(crate) fn probed(&self, took: Duration) {
        self.counters.probes.observe(took);
    }

    /// Counts an instance that was deregistered since it was critical for too long.
    pub(crate) fn reaped(&self) {
        self.counters.reaped.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an answer over DNS, by its code's number.
    pub(crate) fn named(&self, code: u16) {
        let name = match code {
            0 => "NOERROR",
            1 => "FORMERR",
            3 => "NXDOMAIN",
            4 => "NOTIMP",
            5 => "REFUSED",
            _ => "other",
        };
        let at = RCODES.iter().position(|known| *known == name).unwrap_or(RCODES.len() - 1);
        self.counters.names[at].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts that a changed file was read, or could not be.
    pub(crate) fn reloaded(&self, file: &str, is_ok: bool) {
        if let Some(at) = FILES.iter().position(|known| *known == file) {
            self.counters.reloads[at][usize::from(!is_ok)].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds what was counted.
    pub(crate) fn write(&self, text: &mut Text) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        text.family("regatta_control_requests_total", "counter", "Requests answered over HTTP.");
        for (method, row) in METHODS.iter().zip(&self.counters.requests) {
            for (class, count) in CLASSES.iter().zip(row) {
                let labels = format!("method=\"{method}\",status=\"{class}\"");
                text.sample("regatta_control_requests_total", &labels, load(count));
            }
        }
        let name = "regatta_control_calls_total";
        text.family(name, "counter", "Calls of etcd's interface answered or begun to be.");
        for (call, row) in CALLS.iter().zip(&self.counters.calls) {
            // Most pairs never happen.
            for (code, count) in CODES.iter().zip(row).filter(|(_, count)| load(count) > 0) {
                let labels = format!("method=\"{call}\",code=\"{code}\"");
                text.sample(name, &labels, load(count));
            }
        }
        let name = "regatta_control_denied_total";
        text.family(name, "counter", "Requests that access control refused.");
        for (interface, count) in INTERFACES.iter().zip(&self.counters.denied) {
            text.sample(name, &format!("interface=\"{interface}\""), load(count));
        }
        let blocked = load(&self.counters.blocked);
        text.gauge("regatta_control_blocked_queries", "Blocking queries held.", blocked);
        let help = "Time to an answer over HTTP, but for queries that block.";
        self.counters.answers.write(text, "regatta_control_request_seconds", help);
        self.write_checks(text);
        let name = "regatta_control_dns_queries_total";
        text.family(name, "counter", "Questions answered over DNS.");
        for (code, count) in RCODES.iter().zip(&self.counters.names) {
            text.sample(name, &format!("rcode=\"{code}\""), load(count));
        }
        let name = "regatta_control_reloads_total";
        text.family(name, "counter", "Times that a changed file was read anew, or failed to be.");
        for (file, row) in FILES.iter().zip(&self.counters.reloads) {
            for (result, count) in RESULTS.iter().zip(row) {
                let labels = format!("file=\"{file}\",result=\"{result}\"");
                text.sample(name, &labels, load(count));
            }
        }
    }

    fn write_checks(&self, text: &mut Text) {
        let name = "regatta_control_check_results_total";
        text.family(name, "counter", "What health checks found.");
        for (kind, row) in KINDS.iter().zip(&self.counters.checks) {
            for (status, count) in STATUSES.iter().zip(row) {
                let labels = format!("kind=\"{kind}\",status=\"{}\"", status.name());
                text.sample(name, &labels, count.load(Ordering::Relaxed));
            }
        }
        let help = "Time that probes of health checks took.";
        self.counters.probes.write(text, "regatta_control_check_seconds", help);
        let name = "regatta_control_instances_reaped_total";
        text.family(name, "counter", "Instances deregistered for having been critical too long.");
        text.sample(name, "", self.counters.reaped.load(Ordering::Relaxed));
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

    fn text(metrics: &Metrics) -> String {
        let mut text = Text::default();
        metrics.write(&mut text);
        text.finish()
    }

    #[test]
    fn counts_by_method_and_class_and_makes_no_series_for_strangers() {
        let metrics = Metrics::default();
        metrics.request(&Method::GET, StatusCode::OK);
        metrics.request(&Method::from_bytes(b"BREW").unwrap(), StatusCode::METHOD_NOT_ALLOWED);
        let blocked = metrics.blocked();
        let shown = text(&metrics);
        assert!(shown.contains("requests_total{method=\"GET\",status=\"2xx\"} 1\n"));
        assert!(shown.contains("requests_total{method=\"other\",status=\"4xx\"} 1\n"));
        assert!(shown.contains("\nregatta_control_blocked_queries 1\n"));
        drop(blocked);
        assert!(text(&metrics).contains("\nregatta_control_blocked_queries 0\n"));
    }

    #[test]
    fn counts_calls_by_method_and_code() {
        let metrics = Metrics::default();
        metrics.call("/etcdserverpb.KV/Put", 0);
        metrics.call("/v3lockpb.Lock/Lock", 14);
        metrics.call("/any.Thing/Else", 99);
        metrics.denied("etcd");
        let shown = text(&metrics);
        assert!(shown.contains("calls_total{method=\"KV/Put\",code=\"OK\"} 1\n"));
        assert!(shown.contains("calls_total{method=\"Lock/Lock\",code=\"UNAVAILABLE\"} 1\n"));
        assert!(shown.contains("calls_total{method=\"other\",code=\"UNKNOWN\"} 1\n"));
        assert!(shown.contains("denied_total{interface=\"etcd\"} 1\n"));
    }

    #[test]
    fn counts_checks_names_and_files_by_what_came_of_them() {
        let metrics = Metrics::default();
        metrics.check("ttl", Status::Critical);
        metrics.probed(Duration::from_millis(3));
        metrics.reaped();
        metrics.named(3);
        metrics.named(16);
        metrics.reloaded("certificates", false);
        metrics.answered(Duration::from_millis(1));
        let shown = text(&metrics);
        for line in [
            "check_results_total{kind=\"ttl\",status=\"critical\"} 1\n",
            "check_seconds_count 1\n",
            "instances_reaped_total 1\n",
            "dns_queries_total{rcode=\"NXDOMAIN\"} 1\n",
            "dns_queries_total{rcode=\"other\"} 1\n",
            "reloads_total{file=\"certificates\",result=\"failed\"} 1\n",
            "request_seconds_bucket{le=\"0.001\"} 1\n",
        ] {
            assert!(shown.contains(line), "{line} in {shown}");
        }
    }
}
