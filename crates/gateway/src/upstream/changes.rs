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

impl Changes {
    pub(crate) fn new(service: ServiceName) -> Self {
        let states = [State::Closed, State::HalfOpen, State::Open];
        let counts = states.map(|state| (("breaker", state.name()), 0)).into();
        Self { service, counts: Mutex::new(counts) }
    }

    /// Each kind and new state with how often it came.
    pub(crate) fn counts(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn announce(&self, event: &Event<'_>) {
        let service = &self.service;
        let instance = event.instance.map_or("", |instance| instance.id.as_str());
        let address = event.instance.map(|it| it.endpoint.to_string()).unwrap_or_default();
        match &event.what {
            What::Breaker(change) => {
                let (from, to) = (change.from.name(), change.to.name());
                self.count("breaker", to);
                if change.to == State::Open {
                    tracing::warn!(%service, instance, address, from, to, "circuit breaker opened");
                } else {
                    tracing::info!(%service, instance, address, from, to, "circuit breaker changed");
                }
            }
            other => {
                tracing::info!(%service, instance, address, change = ?other, "instance changed")
            }
        }
    }

    fn count(&self, kind: &'static str, to: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((kind, to)).or_default() += 1;
    }
}
