//! What the simulations share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use regatta_client::{Channel, Client, Options, ServiceClient};
use regatta_discovery::{Discover, MemoryRegistry, Register, RegistrarSettings, Registration};
use regatta_gateway::Traffic;
use regatta_resilience::retry::Backoff;
use regatta_sim::{SimConnector, instance};
use regatta_traffic::balance::Strategy;
use regatta_traffic::cluster::Policies;
use tokio_util::sync::CancellationToken;

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

/// A registry in memory that knows so many instances of a service.
pub(crate) async fn register(registry: &MemoryRegistry, service: &str, count: usize) {
    for number in 0..count {
        registry.register(&Registration::new(instance(service, number))).await.unwrap();
    }
}

/// A client on a simulated host; call it within the host's software.
pub(crate) fn client(
    registry: &Arc<dyn Discover>,
    service: &str,
    options: Options,
) -> ServiceClient {
    let client = Client::with_connector(Arc::clone(registry), options, Arc::new(SimConnector));
    client.unwrap().service(service).unwrap()
}

/// A gRPC channel on a simulated host; call it within the host's software.
pub(crate) fn channel(registry: &Arc<dyn Discover>, service: &str, options: Options) -> Channel {
    let client = Client::with_connector(Arc::clone(registry), options, Arc::new(SimConnector));
    client.unwrap().channel(service).unwrap()
}

/// What R17's sketch does without its rules: round robin, one try, nobody is left alone.
pub(crate) fn plain() -> Options {
    let mut options = Options::default();
    options.retry.tries = 1;
    options.cluster = unguarded();
    options
}

/// Round robin over all instances, whatever they do.
pub(crate) fn unguarded() -> Policies {
    let mut policies = Policies::default();
    policies.balance = Strategy::RoundRobin;
    (policies.breaker, policies.service_breaker, policies.outlier) = (None, None, None);
    policies
}

/// The defaults, but for shorter waits before a retry, as a caller with little time sets them.
pub(crate) fn quick() -> Options {
    let mut options = Options::default();
    options.retry.backoff = Backoff::try_new(MILLISECOND * 20, MILLISECOND * 100).unwrap();
    options
}

/// The rules of the gateway, with its defaults, in a client's hands: the gateway itself listens on
/// sockets of the system, which a simulation has not.
pub(crate) fn gateways(traffic: &Traffic) -> Options {
    let mut options = Options::default();
    options.retry = traffic.retry.policy();
    options.try_timeout = traffic.retry.try_timeout.unwrap_or(options.timeout);
    options.retry_percent = traffic.retry.budget_percent;
    options.retries_per_second = traffic.retry.budget_floor;
    options.hedge.clone_from(&traffic.hedge);
    options.concurrency.clone_from(&traffic.concurrency);
    options.cluster = traffic.cluster.clone();
    options
}

/// A registrar that looks every second whether the registry still knows its instance.
pub(crate) fn registrar() -> RegistrarSettings {
    let mut settings = RegistrarSettings::default();
    settings.verify_every = Duration::from_secs(1);
    settings.max_backoff = Duration::from_secs(1);
    settings.call_timeout = Duration::from_secs(1);
    settings
}

/// Lets so much time pass.
pub(crate) fn step(sim: &mut turmoil::Sim<'_>, time: Duration) {
    let until = sim.elapsed() + time;
    while sim.elapsed() < until {
        assert!(!sim.step().unwrap(), "the simulation ended before its script did");
    }
}

/// Restarts a host as an orchestrator does: asks it to leave, waits until it has, starts it, and
/// waits until it can be known.
pub(crate) fn restart(sim: &mut turmoil::Sim<'_>, host: &str, drain: &Mutex<CancellationToken>) {
    step(sim, Duration::from_millis(1_500));
    drain.lock().unwrap().cancel();
    while sim.is_host_running(host) {
        step(sim, MILLISECOND);
    }
    *drain.lock().unwrap() = CancellationToken::new();
    sim.bounce(host);
}
