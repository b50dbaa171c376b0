//! Request counts and durations, kept per core and summed when they are read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use regatta_resilience::concurrency::Rejected;
use regatta_resilience::retry::Stop;
use regatta_traffic::cluster::PickError;

use crate::gauges;
use crate::record::{Method, Record};
use crate::upstream::Target;
use crate::worker::hash::OwnKeys;

/// Upper bounds in seconds; OpenTelemetry's advice for `http.server.request.duration`.
const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Bounds and the rest.
const BUCKETS: usize = BOUNDS.len() + 1;

/// What the workers count. Writing is one add in memory that no other core writes.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Every series of every core; locked when a core sees a new one and when they are read.
    series: Mutex<Vec<(Labels, Arc<Series>)>>,
    log_lines_dropped: AtomicU64,
    retries: AtomicU64,
    refused_connections: AtomicU64,
    breaker_rejections: AtomicU64,
    /// Reads that took long, by which try answered.
    hedges: Mutex<BTreeMap<&'static str, u64>>,
    /// Requests turned away because too many were in flight, by reason.
    shed: Mutex<BTreeMap<&'static str, u64>>,
    limited_alone: AtomicU64,
    /// Requests without an instance, by reason.
    unpicked: Mutex<BTreeMap<&'static str, u64>>,
    /// Retries that were not made, by reason; failures are rare, so a lock is cheap.
    stops: Mutex<BTreeMap<&'static str, u64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    service: String,
    route: String,
    method: &'static str,
    status: u16,
    /// gRPC's, by its name.
    grpc: Option<&'static str>,
}

#[derive(Debug, Default)]
struct Series {
    buckets: [AtomicU64; BUCKETS],
    nanoseconds: AtomicU64,
}

/// A series as a core finds it: by the addresses of its names, which live as long as the rules.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    metrics: usize,
    service: usize,
    route: usize,
    method: Method,
    status: u16,
    grpc: Option<u8>,
}

/// A core's series by key, with the names whose addresses the key holds.
type Known = OwnKeys<Key, (Arc<Series>, Names)>;

/// A core's series by metrics and labels: rules that were swapped have new names for old series.
type Named = BTreeMap<(usize, Labels), Arc<Series>>;
type Names = (Option<regatta_core::ServiceName>, Option<Arc<str>>);

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
    static NAMED: RefCell<Named> = const { RefCell::new(BTreeMap::new()) };
}

/// Series a core may know; past it, which rules swapped often can reach, it begins anew.
const MOST_KNOWN: usize = 16 * 1024;

impl Metrics {
    pub(crate) fn request(&self, record: &Record, took: Duration) {
        let key = Key {
            metrics: std::ptr::from_ref(self) as usize,
            service: record.service.as_ref().map_or(0, |name| name.as_str().as_ptr() as usize),
            route: record.route.as_ref().map_or(0, |name| name.as_ptr() as usize),
            method: record.method,
            status: record.status,
            grpc: record.grpc,
        };
        KNOWN.with_borrow_mut(|known| {
            if let Some((series, _)) = known.get(&key) {
                series.add(took);
                return;
            }
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
            let series = self.register(record);
            series.add(took);
            // The names are kept, so that their addresses are not given to others.
            known.insert(key, (series, (record.service.clone(), record.route.clone())));
        });
    }

    pub(crate) fn log_line_dropped(&self) {
        self.log_lines_dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_refused(&self) {
        self.refused_connections.fetch_add(1, Ordering::Relaxed);
    }

    /// No instance could take a request.
    pub(crate) fn unpicked(&self, why: &PickError) {
        if matches!(why, PickError::AllOpen { .. } | PickError::ServiceOpen { .. }) {
            self.breaker_rejections.fetch_add(1, Ordering::Relaxed);
        }
        let mut unpicked = self.unpicked.lock().unwrap_or_else(PoisonError::into_inner);
        *unpicked.entry(why.name()).or_default() += 1;
    }

    /// A failed attempt was not repeated.
    pub(crate) fn stopped(&self, why: Stop) {
        let mut stops = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        *stops.entry(why.name()).or_default() += 1;
    }

    /// A read took long; the first or the second try answered, or there was none to spare.
    pub(crate) fn hedged(&self, answer: &'static str) {
        let mut hedges = self.hedges.lock().unwrap_or_else(PoisonError::into_inner);
        *hedges.entry(answer).or_default() += 1;
    }

    /// A request found no place among those in flight.
    pub(crate) fn shed(&self, why: &Rejected) {
        let mut shed = self.shed.lock().unwrap_or_else(PoisonError::into_inner);
        *shed.entry(why.name()).or_default() += 1;
    }

    /// A rate limit was decided without the counts that gateways share.
    pub(crate) fn limited_alone(&self) {
        self.limited_alone.fetch_add(1, Ordering::Relaxed);
    }

    fn register(&self, record: &Record) -> Arc<Series> {
        let labels = Labels {
            service: record.service.as_ref().map_or("", |name| name.as_str()).to_owned(),
            route: record.route.as_deref().unwrap_or("").to_owned(),
            method: record.method.name(),
            status: record.status,
            grpc: record.grpc_name(),
        };
        let own = std::ptr::from_ref(self) as usize;
        let named = (own, labels.clone());
        if let Some(series) = NAMED.with_borrow(|known| known.get(&named).cloned()) {
            return series;
        }
        let series = Arc::new(Series::default());
        NAMED.with_borrow_mut(|known| known.insert(named, Arc::clone(&series)));
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((labels, Arc::clone(&series)));
        series
    }

    /// All series in Prometheus' text format, with what services and their instances count.
    pub(crate) fn text(
        &self,
        connections: usize,
        services: &[Arc<Target>],
        now: Instant,
    ) -> String {
        let mut sums = BTreeMap::<Labels, ([u64; BUCKETS], u64)>::new();
        for (labels, series) in self.series.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let (buckets, nanoseconds) = sums.entry(labels.clone()).or_default();
            for (sum, bucket) in buckets.iter_mut().zip(&series.buckets) {
                *sum += bucket.load(Ordering::Relaxed);
            }
            *nanoseconds += series.nanoseconds.load(Ordering::Relaxed);
        }
        let mut text = String::new();
        // Writing to memory cannot fail.
        _ = self.render(&sums, connections, services, &mut text);
        _ = gauges::render(services, now, &mut text);
        text
    }

    fn render(
        &self,
        sums: &BTreeMap<Labels, ([u64; BUCKETS], u64)>,
        connections: usize,
        services: &[Arc<Target>],
        text: &mut String,
    ) -> std::fmt::Result {
        const DURATION: &str = "http_server_request_duration_seconds";
        writeln!(text, "# HELP {DURATION} Time from a request's head to the end of its answer.")?;
        writeln!(text, "# TYPE {DURATION} histogram")?;
        for (labels, (buckets, nanoseconds)) in sums {
            let Labels { service, route, method, status, grpc } = labels;
            let mut names = format!(
                "service=\"{}\",http_route=\"{}\",http_request_method=\"{method}\",\
                 http_response_status_code=\"{status}\"",
                escape(service),
                escape(route)
            );
            if let Some(grpc) = grpc {
                write!(names, ",rpc_response_status_code=\"{grpc}\"")?;
            }
            let mut count = 0;
            for (index, bucket) in buckets.iter().enumerate() {
                count += bucket;
                let bound = BOUNDS.get(index).map_or("+Inf".to_owned(), f64::to_string);
                writeln!(text, "{DURATION}_bucket{{{names},le=\"{bound}\"}} {count}")?;
            }
            writeln!(text, "{DURATION}_sum{{{names}}} {}", *nanoseconds as f64 / 1e9)?;
            writeln!(text, "{DURATION}_count{{{names}}} {count}")?;
        }
        let counters = [
            ("regatta_gateway_retries_total", "Attempts after the first.", &self.retries),
            (
                "regatta_gateway_refused_connections_total",
                "Client connections over the limit.",
                &self.refused_connections,
            ),
            (
                "regatta_gateway_breaker_rejections_total",
                "Requests that open breakers turned away.",
                &self.breaker_rejections,
            ),
            (
                "regatta_gateway_limits_alone_total",
                "Rate limits decided while the shared counts were out of reach.",
                &self.limited_alone,
            ),
            (
                "regatta_gateway_access_log_dropped_total",
                "Access lines dropped because the queue was full.",
                &self.log_lines_dropped,
            ),
        ];
        for (name, help, counter) in counters {
            writeln!(text, "# HELP {name} {help}")?;
            writeln!(text, "# TYPE {name} counter")?;
            writeln!(text, "{name} {}", counter.load(Ordering::Relaxed))?;
        }
        for (name, help, counts) in [
            (
                "regatta_gateway_retries_stopped_total",
                "Failed attempts that were not repeated.",
                &self.stops,
            ),
            ("regatta_gateway_shed_total", "Requests over the limit in flight.", &self.shed),
            ("regatta_gateway_unpicked_total", "Requests without an instance.", &self.unpicked),
        ] {
            writeln!(text, "# HELP {name} {help}")?;
            writeln!(text, "# TYPE {name} counter")?;
            for (why, count) in counts.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                writeln!(text, "{name}{{reason=\"{why}\"}} {count}")?;
            }
        }
        writeln!(text, "# HELP regatta_gateway_hedges_total Reads that took long, by the answer.")?;
        writeln!(text, "# TYPE regatta_gateway_hedges_total counter")?;
        for (answer, count) in self.hedges.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            writeln!(text, "regatta_gateway_hedges_total{{answer=\"{answer}\"}} {count}")?;
        }
        for kind in ["breaker", "ejection", "panic"] {
            let name = format!("regatta_gateway_{kind}_changes_total");
            writeln!(text, "# HELP {name} Changes of a service's instances into a state.")?;
            writeln!(text, "# TYPE {name} counter")?;
            for target in services {
                let service = escape(target.name());
                let counts = target.upstream.changes.counts();
                for ((_, to), count) in counts.iter().filter(|((own, _), _)| *own == kind) {
                    writeln!(text, "{name}{{service=\"{service}\",to=\"{to}\"}} {count}")?;
                }
            }
        }
        writeln!(text, "# HELP regatta_gateway_connections Client connections now.")?;
        writeln!(text, "# TYPE regatta_gateway_connections gauge")?;
        writeln!(text, "regatta_gateway_connections {connections}")
    }
}

impl Series {
    fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        // Only this core writes here, so a load and a store are enough and cost no bus lock.
        for (counter, more) in
            [(&self.buckets[bucket], 1), (&self.nanoseconds, took.as_nanos() as u64)]
        {
            counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        }
    }
}

pub(crate) fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_cores_are_summed_by_their_labels() {
        let metrics = Arc::new(Metrics::default());
        for _ in 0..3 {
            let metrics = Arc::clone(&metrics);
            let count = move || {
                let record = Record::for_tests(200);
                metrics.request(&record, Duration::from_millis(7));
                metrics.request(&record, Duration::from_millis(700));
            };
            std::thread::spawn(count).join().unwrap();
        }
        metrics.request(&Record::for_tests(404), Duration::ZERO);
        #[expect(clippy::disallowed_methods, reason = "any instant does")]
        let text = metrics.text(2, &[], Instant::now());
        let ok = "http_request_method=\"GET\",http_response_status_code=\"200\"";
        let has =
            |line: String| assert!(text.lines().any(|l| l.ends_with(&line)), "{line}\n{text}");
        has(format!("{ok},le=\"0.005\"}} 0"));
        has(format!("{ok},le=\"0.01\"}} 3"));
        has(format!("{ok},le=\"0.75\"}} 6"));
        has(format!("{ok},le=\"+Inf\"}} 6"));
        has(format!("{ok}}} 6"));
        has("http_response_status_code=\"404\"} 1".into());
        has("regatta_gateway_connections 2".into());
    }
}
