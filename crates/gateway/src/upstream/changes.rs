//! Changes of breakers, announced in the log and counted.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use regatta_core::{InstanceId, ServiceName};
use regatta_resilience::breaker::{Change, State};

/// How often the breakers of a service's instances went into each state.
///
/// Counted by service, not by instance, so that instances which come and go make no series; the
/// log names them.
#[derive(Debug)]
pub(crate) struct BreakerChanges {
    pub(crate) service: ServiceName,
    opened: AtomicU64,
    half_opened: AtomicU64,
    closed: AtomicU64,
}

impl BreakerChanges {
    pub(crate) fn new(service: ServiceName) -> Self {
        let none = AtomicU64::default;
        Self { service, opened: none(), half_opened: none(), closed: none() }
    }

    /// How often a breaker went into this state.
    pub(crate) fn count(&self, to: State) -> u64 {
        self.counter(to).load(Ordering::Relaxed)
    }

    pub(super) fn announce(&self, instance: &InstanceId, address: SocketAddr, change: Change) {
        self.counter(change.to).fetch_add(1, Ordering::Relaxed);
        let (service, instance) = (&self.service, instance.as_str());
        let (from, to) = (change.from.name(), change.to.name());
        match change.to {
            State::Open => {
                tracing::warn!(%service, %instance, %address, from, to, "circuit breaker opened");
            }
            State::HalfOpen | State::Closed => {
                tracing::info!(%service, %instance, %address, from, to, "circuit breaker changed");
            }
        }
    }

    fn counter(&self, state: State) -> &AtomicU64 {
        match state {
            State::Open => &self.opened,
            State::HalfOpen => &self.half_opened,
            State::Closed => &self.closed,
        }
    }
}
