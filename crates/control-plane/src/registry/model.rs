//! Nodes, services and checks, in Consul's words.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The check every live node has.
pub(crate) const SERF_HEALTH: &str = "serfHealth";
/// The check of a node in maintenance, and what the one of a service begins with.
pub(crate) const NODE_MAINTENANCE: &str = "_node_maintenance";
pub(crate) const SERVICE_MAINTENANCE: &str = "_service_maintenance:";
/// The service that every Consul server has in its catalog, and no agent lists as its own.
pub(crate) const OWN_SERVICE: &str = "consul";

/// A service or a check: its node and its id there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) node: String,
    pub(crate) id: String,
}

impl Key {
    pub(crate) fn new(node: &str, id: &str) -> Self {
        Self { node: node.to_owned(), id: id.to_owned() }
    }
}

/// A machine, or what stands for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) address: String,
    pub(crate) tagged_addresses: BTreeMap<String, String>,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) created: u64,
    pub(crate) modified: u64,
}

/// An address with a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) address: String,
    pub(crate) port: u16,
}

/// Shares of the traffic by status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Weights {
    pub(crate) passing: u32,
    pub(crate) warning: u32,
}

/// One instance of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) node: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) tags: Vec<String>,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) weights: Weights,
    pub(crate) tagged_addresses: BTreeMap<String, Address>,
    pub(crate) enable_tag_override: bool,
    pub(crate) created: u64,
    pub(crate) modified: u64,
}

/// How healthy a check found its subject. The order is from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Status {
    Passing,
    Warning,
    Critical,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Passing, Self::Warning, Self::Critical].into_iter().find(|s| s.name() == text)
    }
}

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CheckKind {
    /// Nothing: its status is set from outside (catalog, maintenance).
    External,
    Tcp {
        address: String,
        interval: Duration,
        timeout: Duration,
    },
    Http {
        url: String,
        method: String,
        header: Vec<(String, String)>,
        body: String,
        skip_verify: bool,
        interval: Duration,
        timeout: Duration,
    },
    /// Asks gRPC's health service (`grpc.health.v1`) about one service, or the whole server.
    Grpc {
        /// Host and port.
        address: String,
        /// The service asked about; empty for the whole server.
        service: String,
        tls: bool,
        skip_verify: bool,
        interval: Duration,
        timeout: Duration,
    },
    /// The service reports; silence for `ttl` is critical.
    Ttl {
        ttl: Duration,
    },
}

impl CheckKind {
    /// The name in Consul's `Type`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::External => "",
            Self::Tcp { .. } => "tcp",
            Self::Http { .. } => "http",
            Self::Grpc { .. } => "grpc",
            Self::Ttl { .. } => "ttl",
        }
    }

    /// How often it asks; none for a check that does not.
    pub(crate) fn interval(&self) -> Option<Duration> {
        match self {
            Self::External | Self::Ttl { .. } => None,
            Self::Tcp { interval, .. }
            | Self::Http { interval, .. }
            | Self::Grpc { interval, .. } => Some(*interval),
        }
    }
}

/// How many equal findings in a row a probe needs before its status changes; none or one means at
/// once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Thresholds {
    /// Before it is passing or warning.
    pub(crate) passing: u32,
    /// Before it is critical.
    pub(crate) critical: u32,
}

/// A check of a service or, with an empty `service_id`, of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) node: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) status: Status,
    pub(crate) notes: String,
    pub(crate) output: String,
    pub(crate) service_id: String,
    pub(crate) service_name: String,
    pub(crate) kind: CheckKind,
    pub(crate) deregister_after: Option<Duration>,
    #[serde(default)]
    pub(crate) thresholds: Thresholds,
    /// What whoever sets the status of an external check is to ask; null for others.
    #[serde(default)]
    pub(crate) definition: Value,
    pub(crate) created: u64,
    pub(crate) modified: u64,
}

impl Service {
    pub(crate) fn key(&self) -> Key {
        Key::new(&self.node, &self.id)
    }
}

impl Check {
    pub(crate) fn key(&self) -> Key {
        Key::new(&self.node, &self.id)
    }

    /// Whether it stands for maintenance of its service or node.
    pub(crate) fn is_maintenance(&self) -> bool {
        self.id == NODE_MAINTENANCE || self.id.starts_with(SERVICE_MAINTENANCE)
    }

    /// The service it checks; none for a check of the node.
    pub(crate) fn service_key(&self) -> Option<Key> {
        (!self.service_id.is_empty()).then(|| Key::new(&self.node, &self.service_id))
    }
}
