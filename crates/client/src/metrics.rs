//! Metrics of retries, breakers and failed calls.

use std::fmt;
use std::sync::{Arc, Weak};

use regatta_core::ServiceName;
use regatta_resilience::breaker::State;
use regatta_resilience::retry::Stop;
use regatta_telemetry::Telemetry;
use regatta_telemetry::opentelemetry::KeyValue;
use regatta_telemetry::opentelemetry::metrics::{Counter, Meter};
use regatta_traffic::cluster::{InstanceView, Observer, What};

use crate::target::Target;

/// Instruments of all calls of a process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Instruments>);

struct Instruments {
    meter: Meter,
    retries: Counter<u64>,
    stops: Counter<u64>,
    hedges: Counter<u64>,
    failures: Counter<u64>,
    changes: Counter<u64>,
    ejections: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let meter = telemetry.meter().clone();
        let counter = |name, text| meter.u64_counter(name).with_description(text).build();
        Self(Arc::new(Instruments {
            retries: counter("regatta.client.retries", "Calls that were tried again"),
            stops: counter("regatta.client.retries.stopped", "Failed tries that were not repeated"),
            hedges: counter("regatta.client.hedges", "Reads that took long, by which try answered"),
            failures: counter("regatta.client.failures", "Calls without an answer"),
            changes: counter("regatta.client.breaker.changes", "Changes of breakers' states"),
            ejections: counter("regatta.client.ejections", "Instances left alone as outliers"),
            meter,
        }))
    }

    /// A try is repeated.
    pub(crate) fn retry(&self, service: &ServiceName, failure: &'static str) {
        self.0.retries.add(1, &[name(service), KeyValue::new("reason", failure)]);
    }

    /// A failed try is not repeated.
    pub(crate) fn stop(&self, service: &ServiceName, stop: Stop) {
        self.0.stops.add(1, &[name(service), KeyValue::new("reason", stop.name())]);
    }

    /// A read took long; the first or the second try answered, or there was none to spare.
    pub(crate) fn hedge(&self, service: &ServiceName, won: &'static str) {
        self.0.hedges.add(1, &[name(service), KeyValue::new("answer", won)]);
    }

    /// A call has no answer.
    pub(crate) fn failure(&self, service: &ServiceName, error: &'static str) {
        self.0.failures.add(1, &[name(service), KeyValue::new("error.type", error)]);
    }

    /// Counts and logs what changes in a cluster.
    pub(crate) fn cluster_observer(&self) -> Observer {
        let metrics = self.clone();
        Arc::new(move |event| {
            let service = event.service;
            let id = event.instance.map_or("all", |instance| instance.id.as_str());
            match &event.what {
                What::Breaker(change) => {
                    let (from, to) = (change.from.name(), change.to.name());
                    let (cause, control) = (change.cause.name(), change.control.name());
                    metrics.0.changes.add(1, &[name(service), KeyValue::new("state", to)]);
                    if change.to == State::Open {
                        tracing::warn!(%service, instance = id, from, to, cause, control, "breaker opened: calls go elsewhere");
                    } else {
                        tracing::info!(%service, instance = id, from, to, cause, control, "breaker changed");
                    }
                }
                What::Ejected { time, times, cause } => {
                    let cause = cause.name();
                    metrics.0.ejections.add(1, &[name(service), KeyValue::new("reason", cause)]);
                    tracing::warn!(%service, instance = id, cause, ?time, times, "instance ejected: calls go elsewhere");
                }
                What::Returned => {
                    tracing::info!(%service, instance = id, "ejected instance gets calls again");
                }
                What::Panic(true) => {
                    tracing::warn!(%service, "few instances can be used: ejected ones get calls too");
                }
                What::Panic(false) => tracing::info!(%service, "enough instances can be used"),
                what => tracing::info!(%service, instance = id, ?what, "cluster changed"),
            }
        })
    }

    /// Reports how many instances of a service have their breaker in which state, and how many
    /// connections wait for a request, as long as the service is called.
    pub(crate) fn observe(&self, target: &Arc<Target>) {
        let held: Weak<Target> = Arc::downgrade(target);
        self.0
            .meter
            .u64_observable_gauge("regatta.client.instances")
            .with_description("Known instances by the state of their breaker")
            .with_callback(move |gauge| {
                let Some(target) = held.upgrade() else { return };
                let view = target.view();
                for state in [State::Closed, State::Open, State::HalfOpen].map(State::name) {
                    let count = view.instances.iter().filter(|one| one.breaker == state).count();
                    let attributes = [name(target.name()), KeyValue::new("state", state)];
                    gauge.observe(count as u64, &attributes);
                }
                let ejected = |one: &&InstanceView| one.ejected_for_ms.is_some();
                let count = view.instances.iter().filter(ejected).count() as u64;
                // Beside the others: its breaker is in some state too.
                gauge.observe(count, &[name(target.name()), KeyValue::new("state", "ejected")]);
            })
            .build();
        let held: Weak<Target> = Arc::downgrade(target);
        self.0
            .meter
            .u64_observable_gauge("regatta.client.calls")
            .with_description("Calls in flight, and calls that wait to be")
            .with_callback(move |gauge| {
                let Some(target) = held.upgrade() else { return };
                let (in_flight, queued) = target.calls();
                for (state, count) in [("in_flight", in_flight.into()), ("queued", queued as u64)] {
                    gauge.observe(count, &[name(target.name()), KeyValue::new("state", state)]);
                }
            })
            .build();
        let held: Weak<Target> = Arc::downgrade(target);
        self.0
            .meter
            .f64_observable_gauge("regatta.client.discovery.stale")
            .with_unit("s")
            .with_description("Time since the registry last stood behind the instances; 0: it does")
            .with_callback(move |gauge| {
                let Some(target) = held.upgrade() else { return };
                let stale = target.stale_for().unwrap_or_default();
                gauge.observe(stale.as_secs_f64(), &[name(target.name())]);
            })
            .build();
        let held: Weak<Target> = Arc::downgrade(target);
        self.0
            .meter
            .u64_observable_gauge("regatta.client.connections")
            .with_description("Idle HTTP/1.1 connections, and open HTTP/2 connections")
            .with_callback(move |gauge| {
                let Some(target) = held.upgrade() else { return };
                let (idle, http2) = target.open_connections();
                for (version, count) in [("1.1", idle), ("2", http2)] {
                    let version = KeyValue::new("network.protocol.version", version);
                    gauge.observe(count as u64, &[name(target.name()), version]);
                }
            })
            .build();
    }
}

fn name(service: &ServiceName) -> KeyValue {
    KeyValue::new("service.peer.name", service.to_string())
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
