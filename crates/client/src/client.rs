//! What all outgoing calls of a process share.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use regatta_core::{InvalidName, ServiceName};
use regatta_discovery::Discover;

use crate::metrics::Metrics;
use crate::target::Target;
use crate::transport::Transport;
use crate::{Channel, InvalidOptions, Options, ServiceClient};

/// Makes calls to other services. Cheap to clone; clones share connections, breakers and budgets.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Arc<dyn Discover>,
    options: Arc<Options>,
    transport: Transport,
    metrics: Metrics,
    /// One for each service that was asked for; as many as the program has names.
    targets: Mutex<HashMap<ServiceName, Arc<Target>>>,
}

impl Client {
    /// A client that finds instances in this registry.
    ///
    /// # Errors
    ///
    /// [`InvalidOptions`] names the first option out of range.
    pub fn try_new(registry: Arc<dyn Discover>, options: Options) -> Result<Self, InvalidOptions> {
        options.validate()?;
        let transport = Transport::new(&options);
        let metrics = Metrics::new(&regatta_telemetry::Telemetry::global());
        let (options, targets) = (Arc::new(options), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { registry, options, transport, metrics, targets }) })
    }

    /// For HTTP calls to a service. Starts to watch it; needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] when the text is not a service name. That there is no such service is an
    /// error of the call.
    pub fn service(&self, name: &str) -> Result<ServiceClient, InvalidName> {
        let (target, transport) = (self.target(name)?, self.shared.transport.clone());
        Ok(ServiceClient::new(target, transport))
    }

    /// For gRPC calls to a service: what tonic's generated clients take. Starts to watch it; needs
    /// a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] when the text is not a service name.
    pub fn channel(&self, name: &str) -> Result<Channel, InvalidName> {
        let (target, transport) = (self.target(name)?, self.shared.transport.clone());
        Ok(Channel::new(target, transport))
    }

    fn target(&self, name: &str) -> Result<Arc<Target>, InvalidName> {
        let name = ServiceName::try_new(name)?;
        let Shared { registry, options, metrics, .. } = &*self.shared;
        // A target is whole before it is in the map, so a panic elsewhere leaves the map whole.
        let mut targets = self.shared.targets.lock().unwrap_or_else(PoisonError::into_inner);
        let target = targets.entry(name).or_insert_with_key(|name| {
            let watch = registry.watch(name);
            let target = Target::new(name.clone(), watch, Arc::clone(options), metrics.clone());
            let target = Arc::new(target);
            metrics.observe(&target);
            target
        });
        Ok(Arc::clone(target))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
