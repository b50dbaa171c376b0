//! What a cache counts.

use std::sync::{Arc, Weak};

use regatta_telemetry::Telemetry;
use regatta_telemetry::opentelemetry::KeyValue;
use regatta_telemetry::opentelemetry::metrics::{BoundCounter, Counter};

use crate::Cache;

/// How a question to the cache went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The entry was there.
    Hit,
    /// It was not.
    Miss,
    /// A copy in the process was there, and the cache behind it could not be asked.
    Stale,
    /// The cache could not be asked.
    Unavailable,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Hit, Self::Miss, Self::Stale, Self::Unavailable];

    /// Its name in spans and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Instruments, with their attributes resolved once: a hit pays for one addition.
pub(crate) struct Metrics {
    requests: [BoundCounter<u64>; 4],
    loads: [BoundCounter<u64>; 2],
    dropped: Counter<u64>,
    invalidations: [BoundCounter<u64>; 2],
}

impl Metrics {
    pub(crate) fn new(telemetry: &Telemetry, backend: &Arc<dyn Cache>) -> Self {
        let meter = telemetry.meter();
        let counter = |name, text| meter.u64_counter(name).with_description(text).build();
        let requests = counter("regatta.cache.requests", "Questions to the cache, by outcome");
        let loads = counter("regatta.cache.loads", "Loadings of what the cache did not have");
        let invalidations = counter("regatta.cache.invalidations", "Entries dropped by request");
        let gauge = |name, text, value: fn(crate::Usage) -> u64| {
            let backend: Weak<dyn Cache> = Arc::downgrade(backend);
            let gauge = meter.u64_observable_gauge(name).with_description(text);
            let observe =
                move |gauge: &dyn regatta_telemetry::opentelemetry::metrics::AsyncInstrument<u64>| {
                    if let Some(backend) = backend.upgrade() {
                        gauge.observe(value(backend.usage()), &[]);
                    }
                };
            gauge.with_callback(observe).build();
        };
        gauge("regatta.cache.entries", "Entries in this process", |usage| usage.entries);
        gauge("regatta.cache.bytes", "Bytes of the entries in this process", |usage| usage.bytes);
        let result = |counter: &Counter<u64>| {
            ["ok", "failed"].map(|result| counter.bind(&[KeyValue::new("result", result)]))
        };
        Self {
            requests: Outcome::ALL.map(|it| requests.bind(&[KeyValue::new("outcome", it.name())])),
            loads: result(&loads),
            dropped: counter(
                "regatta.cache.fills.dropped",
                "Loadings that were not kept, because of an invalidation meanwhile",
            ),
            invalidations: result(&invalidations),
        }
    }

    /// Counts a question, and tells the span.
    pub(crate) fn asked(&self, outcome: Outcome) {
        self.requests[outcome as usize].add(1);
        regatta_telemetry::annotate("regatta.cache.outcome", outcome.name());
    }

    pub(crate) fn loaded(&self, is_ok: bool) {
        self.loads[usize::from(!is_ok)].add(1);
    }

    pub(crate) fn dropped(&self) {
        self.dropped.add(1, &[]);
    }

    pub(crate) fn invalidated(&self, is_ok: bool) {
        self.invalidations[usize::from(!is_ok)].add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_a_counter_of_its_own() {
        let places = Outcome::ALL.map(|outcome| outcome as usize);
        assert_eq!(places, [0, 1, 2, 3]);
    }
}
