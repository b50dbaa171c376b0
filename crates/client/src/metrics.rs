//! Metrics of retries, breakers and failed calls.

use std::fmt;
use std::sync::{Arc, Weak};

use regatta_core::{InstanceId, ServiceName};
use regatta_resilience::breaker::{Observer, State};
use regatta_resilience::retry::Stop;
use regatta_telemetry::Telemetry;
use regatta_telemetry::opentelemetry::KeyValue;
use regatta_telemetry::opentelemetry::metrics::{Counter, Meter};

use crate::target::Target;

/// Instruments of all calls of a process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Instruments>);

struct Instruments {
    meter: Meter,
    retries: Counter<u64>,
    stops: Counter<u64>,
    failures: Counter<u64>,
    changes: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let meter = telemetry.meter().clone();
        let counter = |name, text| meter.u64_counter(name).with_description(text).build();
        Self(Arc::new(Instruments {
            retries: counter("regatta.client.retries", "Calls that were tried again"),
            stops: counter("regatta.client.retries.stopped", "Failed tries that were not repeated"),
            failures: counter("regatta.client.failures", "Calls without an answer"),
            changes: counter("regatta.client.breaker.changes", "Changes of breakers' states"),
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

    /// A call has no answer.
    pub(crate) fn failure(&self, service: &ServiceName, error: &'static str) {
        self.0.failures.add(1, &[name(service), KeyValue::new("error.type", error)]);
    }

    /// Counts and logs the changes of an instance's breaker.
    pub(crate) fn breaker_observer(&self, service: &ServiceName, id: &InstanceId) -> Observer {
        let (metrics, service, id) = (self.clone(), service.clone(), id.clone());
        Arc::new(move |change| {
            let to = change.to.name();
            metrics.0.changes.add(1, &[name(&service), KeyValue::new("state", to)]);
            if change.to == State::Open {
                tracing::warn!(%service, instance = %id, "breaker opened: calls go elsewhere");
            } else {
                tracing::info!(%service, instance = %id, state = to, "breaker changed");
            }
        })
    }

    /// Reports how many instances of a service have their breaker in which state, as long as the
    /// service is called.
    pub(crate) fn observe(&self, target: &Arc<Target>) {
        let target: Weak<Target> = Arc::downgrade(target);
        self.0
            .meter
            .u64_observable_gauge("regatta.client.instances")
            .with_description("Known instances by the state of their breaker")
            .with_callback(move |gauge| {
                let Some(target) = target.upgrade() else { return };
                let now = crate::call::now();
                let states: Vec<State> =
                    target.breakers().iter().map(|breaker| breaker.state(now)).collect();
                for state in [State::Closed, State::Open, State::HalfOpen] {
                    let count = states.iter().filter(|held| **held == state).count();
                    let attributes = [name(target.name()), KeyValue::new("state", state.name())];
                    gauge.observe(count as u64, &attributes);
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
