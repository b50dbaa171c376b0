//! What all outgoing calls of a process share.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use regatta_core::{InstanceId, InvalidName, ServiceName};
use regatta_discovery::Discover;
use regatta_traffic::cluster::{Override, View};
use tokio_util::task::TaskTracker;

use crate::error::OverrideError;
use crate::metrics::Metrics;
use crate::target::Target;
use crate::transport::Wire;
use crate::{Channel, Connect, InvalidPolicies, Policies, ServiceClient, TcpConnector};

/// Makes calls to other services. Cheap to clone; clones share connections, breakers and budgets.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Arc<dyn Discover>,
    wire: Wire,
    metrics: Metrics,
    state: Mutex<State>,
}

struct State {
    policies: Policies,
    /// One for each service that was asked for; as many as the program has names.
    targets: HashMap<ServiceName, Arc<Target>>,
}

impl Client {
    /// A client that finds instances in this registry.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicies`] names the first option out of range.
    pub fn try_new(
        registry: Arc<dyn Discover>,
        policies: impl Into<Policies>,
    ) -> Result<Self, InvalidPolicies> {
        Self::with_connector(registry, policies, Arc::new(TcpConnector))
    }

    /// A client that connects to instances in its own way, such as within a simulation.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicies`] names the first option out of range.
    pub fn with_connector(
        registry: Arc<dyn Discover>,
        policies: impl Into<Policies>,
        connector: Arc<dyn Connect>,
    ) -> Result<Self, InvalidPolicies> {
        let policies = policies.into();
        policies.validate()?;
        let metrics = Metrics::new(&regatta_telemetry::Telemetry::global());
        let wire = Wire { connector, tasks: TaskTracker::new() };
        let state = Mutex::new(State { policies, targets: HashMap::new() });
        Ok(Self { shared: Arc::new(Shared { registry, wire, metrics, state }) })
    }

    /// For HTTP calls to a service. Starts to watch it; needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] when the text is not a service name. That there is no such service is an
    /// error of the call.
    pub fn service(&self, name: &str) -> Result<ServiceClient, InvalidName> {
        Ok(ServiceClient::new(self.target(name)?))
    }

    /// For gRPC calls to a service: what tonic's generated clients take. Starts to watch it; needs
    /// a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] when the text is not a service name.
    pub fn channel(&self, name: &str) -> Result<Channel, InvalidName> {
        Ok(Channel::new(self.target(name)?))
    }

    /// Puts other policies in force, for the next call to each service on. Calls in flight keep to
    /// theirs; connections, breakers and what is known of the instances stay.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicies`] names the first option out of range; the old policies stay in force.
    pub fn reconfigure(&self, policies: impl Into<Policies>) -> Result<(), InvalidPolicies> {
        let policies = policies.into();
        policies.validate()?;
        let mut state = self.shared.lock();
        for (name, target) in &state.targets {
            target.configure(Arc::new(policies.of(name).clone()));
        }
        state.policies = policies;
        Ok(())
    }

    /// What is known of the services called so far, by name: their instances and breakers.
    pub fn clusters(&self) -> Vec<View> {
        let mut targets: Vec<_> = self.shared.lock().targets.values().cloned().collect();
        targets.sort_by(|one, other| one.name().cmp(other.name()));
        targets.iter().map(|target| target.view()).collect()
    }

    /// For how long the registry has not stood behind the instances of services called so far, by
    /// name: the last known ones are called meanwhile. Empty while it stands behind all.
    pub fn stale(&self) -> Vec<(ServiceName, Duration)> {
        let targets: Vec<_> = self.shared.lock().targets.values().cloned().collect();
        let stale = |target: &Arc<Target>| Some((target.name().clone(), target.stale_for()?));
        let mut stale: Vec<_> = targets.iter().filter_map(stale).collect();
        stale.sort();
        stale
    }

    /// Hands the decision about a breaker to an operator, or back: that of one instance, or of all
    /// instances of the service, also those that come.
    ///
    /// # Errors
    ///
    /// [`OverrideError`] when this process has not called such a service, or it has no such
    /// instance now.
    pub fn override_breaker(
        &self,
        service: &ServiceName,
        instance: Option<&InstanceId>,
        control: Override,
    ) -> Result<(), OverrideError> {
        let target = self.shared.lock().targets.get(service).cloned();
        let unknown = || OverrideError::UnknownService { service: service.clone() };
        Ok(target.ok_or_else(unknown)?.override_breaker(instance, control)?)
    }

    fn target(&self, name: &str) -> Result<Arc<Target>, InvalidName> {
        let name = ServiceName::try_new(name)?;
        let Shared { registry, wire, metrics, .. } = &*self.shared;
        let mut state = self.shared.lock();
        let State { policies, targets } = &mut *state;
        let target = targets.entry(name).or_insert_with_key(|name| {
            let (watch, options) = (registry.watch(name), Arc::new(policies.of(name).clone()));
            let target = Target::start(name.clone(), watch, options, metrics.clone(), wire.clone());
            metrics.observe(&target);
            target
        });
        Ok(Arc::clone(target))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A target is whole before it is in the map, so a panic elsewhere leaves the map whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("registry", &self.shared.registry).finish_non_exhaustive()
    }
}
