//! One process of a service.

use std::collections::BTreeMap;

use crate::{Endpoint, InstanceId, ServiceName};

/// One process of a service, as the registry knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Unique in the registry. Default `<service>-<endpoint>`.
    pub id: InstanceId,
    /// The service it is a process of.
    pub service: ServiceName,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// The subset it belongs to (Istio's label `version`), such as `v1`.
    pub version: Option<String>,
    /// Failure domain, such as `eu-central-1a`.
    pub zone: Option<String>,
    /// Share of the traffic beside its siblings. Default 1; 0 takes it out of weighted balancing.
    pub weight: u32,
    /// Tells the lives of an instance apart: a process that was restarted at its address under its
    /// id has another, and what was learned about the old one does not speak against it. 0 when
    /// the registration does not say; the `Registrar` says when it began, in milliseconds.
    pub incarnation: u64,
    /// Whatever else was registered with it.
    pub metadata: BTreeMap<String, String>,
}

impl Instance {
    /// An instance with weight 1 and no version, zone or metadata.
    pub fn new(service: ServiceName, endpoint: Endpoint) -> Self {
        let id = InstanceId::new(&format!("{service}-{endpoint}"));
        let metadata = BTreeMap::new();
        Self {
            id,
            service,
            endpoint,
            version: None,
            zone: None,
            weight: 1,
            incarnation: 0,
            metadata,
        }
    }

    /// The same instance with this id.
    #[must_use]
    pub fn with_id(mut self, id: InstanceId) -> Self {
        self.id = id;
        self
    }

    /// The same instance in this subset.
    #[must_use]
    pub fn with_version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// The same instance in this zone.
    #[must_use]
    pub fn with_zone(mut self, zone: &str) -> Self {
        self.zone = Some(zone.to_owned());
        self
    }

    /// The same instance in this life.
    #[must_use]
    pub fn with_incarnation(mut self, incarnation: u64) -> Self {
        self.incarnation = incarnation;
        self
    }

    /// The same instance with this weight.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }
}
