//! The instruments of the platform, with their attribute sets resolved once.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundHistogram, Histogram, Meter};

use crate::status::{MethodName, Outcome};

/// Buckets of request durations in seconds (semantic conventions, HTTP metrics).
const REQUEST_BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Buckets of query durations in seconds (semantic conventions, database metrics).
const QUERY_BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Most routes, peers or tables that get series of their own; later ones share `_OTHER`.
const MOST_SUBJECTS: usize = 1_000;

/// What stands for values beyond a limit, and for errors without a better name.
pub(crate) const OTHER: &str = "_OTHER";

/// The instruments of the platform.
#[derive(Debug)]
pub(crate) struct Instruments {
    pub(crate) http_server: Series<MethodName>,
    pub(crate) rpc_server: Series<()>,
    pub(crate) http_client: Series<MethodName>,
    pub(crate) rpc_client: Series<()>,
    pub(crate) queries: Series<(&'static str, &'static str)>,
    active: Arc<Active>,
}

/// Requests in flight, by method. Read when metrics are collected, so that a request pays for no
/// more than two additions. Nothing else hangs on the numbers, so their order does not matter.
#[derive(Debug, Default)]
struct Active {
    counts: [AtomicI64; MethodName::COUNT],
    /// Methods that were ever used; the others are not shown.
    used: AtomicU32,
}

impl Active {
    fn add(&self, method: MethodName, difference: i64) {
        self.counts[method.index()].fetch_add(difference, Relaxed);
        let bit = 1 << method.index();
        if self.used.load(Relaxed) & bit == 0 {
            self.used.fetch_or(bit, Relaxed);
        }
    }

    fn observe(self: &Arc<Self>, meter: &Meter) {
        let active = Arc::clone(self);
        meter
            .i64_observable_up_down_counter("http.server.active_requests")
            .with_description("Number of active HTTP server requests.")
            .with_unit("{request}")
            .with_callback(move |counter| {
                let used = active.used.load(Relaxed);
                for method in MethodName::all().filter(|it| used & 1 << it.index() != 0) {
                    let attributes = [
                        KeyValue::new("http.request.method", method.name()),
                        KeyValue::new("url.scheme", "http"),
                    ];
                    counter.observe(active.counts[method.index()].load(Relaxed), &attributes);
                }
            })
            .build();
    }
}

/// One duration histogram: by subject (route, peer, table), then by a small key and the outcome.
///
/// Read-mostly: after warm-up a measurement is a shared read, a hash of the subject and the
/// histogram's own short lock.
#[derive(Debug)]
pub(crate) struct Series<K> {
    histogram: Histogram<f64>,
    subjects: RwLock<HashMap<Arc<str>, Cells<K>, BuildHasherDefault<Fnv>>>,
}

/// Few of one subject: a method and the statuses it is answered with.
type Cells<K> = Vec<((K, Outcome), BoundHistogram<f64>)>;

impl Instruments {
    pub(crate) fn new(meter: &Meter) -> Self {
        let requests = |name, description| {
            let boundaries = REQUEST_BUCKETS.to_vec();
            Series::new(duration(meter, name, description, boundaries))
        };
        let active = Arc::new(Active::default());
        active.observe(meter);
        let queries = duration(
            meter,
            "db.client.operation.duration",
            "Duration of database client operations.",
            QUERY_BUCKETS.to_vec(),
        );
        Self {
            http_server: requests(
                "http.server.request.duration",
                "Duration of HTTP server requests.",
            ),
            rpc_server: Series::new(duration(
                meter,
                "rpc.server.call.duration",
                "Duration of inbound gRPC calls.",
                REQUEST_BUCKETS.to_vec(),
            )),
            http_client: Series::new(duration(
                meter,
                "http.client.request.duration",
                "Duration of HTTP client requests.",
                REQUEST_BUCKETS.to_vec(),
            )),
            rpc_client: Series::new(duration(
                meter,
                "rpc.client.call.duration",
                "Duration of outbound gRPC calls.",
                REQUEST_BUCKETS.to_vec(),
            )),
            queries: Series::new(queries),
            active,
        }
    }

    /// Adds to the requests in flight.
    pub(crate) fn add_active(&self, method: MethodName, difference: i64) {
        self.active.add(method, difference);
    }
}

impl<K: Copy + Eq + Hash> Series<K> {
    fn new(histogram: Histogram<f64>) -> Self {
        Self { histogram, subjects: RwLock::default() }
    }

    /// Records a duration; `attributes` is asked once for each new combination.
    ///
    /// It gets the subject as it is counted, which is `_OTHER` once there are too many.
    pub(crate) fn record(
        &self,
        elapsed: Duration,
        subject: &str,
        key: K,
        outcome: Outcome,
        attributes: impl FnOnce(&str) -> Vec<KeyValue>,
    ) {
        let (seconds, cell) = (elapsed.as_secs_f64(), (key, outcome));
        let find = |cells: &Cells<K>| cells.iter().position(|(of, _)| *of == cell);
        {
            let subjects = self.subjects.read().unwrap_or_else(PoisonError::into_inner);
            let name = name_among(&subjects, subject);
            if let Some(cells) = subjects.get(name)
                && let Some(at) = find(cells)
            {
                return cells[at].1.record(seconds);
            }
        }
        // The first of its kind.
        let mut subjects = self.subjects.write().unwrap_or_else(PoisonError::into_inner);
        let name = name_among(&subjects, subject);
        let cells = subjects.entry(name.into()).or_default();
        let at = find(cells).unwrap_or_else(|| {
            cells.push((cell, self.histogram.bind(&attributes(name))));
            cells.len() - 1
        });
        cells[at].1.record(seconds);
    }
}

/// The name that a subject is counted under.
fn name_among<'a, V, S: BuildHasher>(known: &HashMap<Arc<str>, V, S>, subject: &'a str) -> &'a str {
    let is_one_too_many = known.len() >= MOST_SUBJECTS && !known.contains_key(subject);
    if is_one_too_many { OTHER } else { subject }
}

/// Fowler, Noll and Vo's hash, FNV-1a: routes, peers and tables are short, few, and named by whoever
/// wrote the service, so that nobody is kept out by a random seed.
#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn duration(
    meter: &Meter,
    name: &'static str,
    description: &'static str,
    boundaries: Vec<f64>,
) -> Histogram<f64> {
    meter
        .f64_histogram(name)
        .with_description(description)
        .with_unit("s")
        .with_boundaries(boundaries)
        .build()
}
