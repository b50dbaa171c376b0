//! A service that requests go to: what is known of its instances.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use regatta_core::{Endpoint, Instance, ServiceName};
use regatta_discovery::Watch;
use regatta_traffic::cluster::{Cluster, Event, InvalidPolicies, Policies};

use super::Changes;
use super::names::Names;

/// A service, with what is known of its instances. It outlives the rules.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: ServiceName,
    /// Shared by all cores; each instance with its address.
    pub(crate) cluster: Cluster<SocketAddr>,
    /// The registry's word on its instances.
    pub(crate) watch: Watch,
    pub(crate) changes: Arc<Changes>,
    /// What its instances' host names were last resolved to.
    pub(super) names: Mutex<Names>,
}

impl Upstream {
    /// A service of which no instance is known yet.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicies`] names the first policy out of range.
    pub(crate) fn try_new(
        name: ServiceName,
        policies: Policies,
        watch: Watch,
        now: Instant,
        random: u64,
    ) -> Result<Self, InvalidPolicies> {
        let changes = Arc::new(Changes::new(name.clone()));
        let counted = Arc::clone(&changes);
        let observer = Arc::new(move |event: &Event<'_>| counted.announce(event));
        let cluster = Cluster::try_observed(name.clone(), policies, now, random, observer)?;
        Ok(Self { name, cluster, watch, changes, names: Mutex::default() })
    }

    /// Whether to take over such a set takes more than about a millisecond.
    pub(crate) fn takes_long(&self, found: &[(Instance, SocketAddr)]) -> bool {
        self.cluster.takes_long(found.iter().map(|(instance, _)| instance))
    }

    /// Takes over a new set of instances with their addresses.
    pub(crate) fn replace(&self, found: Vec<(Instance, SocketAddr)>, now: Instant) {
        // The address stands for the endpoint: a name that moves is another place.
        let instances = found.into_iter().map(|(mut instance, address)| {
            instance.endpoint = Endpoint::from(address);
            instance
        });
        let address = |instance: &Instance| {
            let known = instance.endpoint.as_socket_addr();
            known.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
        };
        self.cluster.replace(now, instances, address);
    }
}
