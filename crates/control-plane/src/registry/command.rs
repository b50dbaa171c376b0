//! What can be asked of the registry, and how it refuses.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{Address, CheckKind, Key, Status, Thresholds, Weights};

/// A service as a client defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceSpec {
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
}

/// A check as a client defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckSpec {
    pub(crate) node: String,
    pub(crate) id: String,
    pub(crate) name: String,
    /// None: critical, or what it was if the same check is there already.
    pub(crate) status: Option<Status>,
    pub(crate) notes: String,
    pub(crate) output: String,
    pub(crate) service_id: String,
    pub(crate) kind: CheckKind,
    pub(crate) deregister_after: Option<Duration>,
    pub(crate) thresholds: Thresholds,
    /// What whoever sets the status of an external check is to ask; kept for them.
    pub(crate) definition: Value,
}

/// A node as the catalog API defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeSpec {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) address: String,
    pub(crate) tagged_addresses: BTreeMap<String, String>,
    pub(crate) meta: BTreeMap<String, String>,
}

/// A change that is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Adds or replaces a service with its checks; checks not named here stay unless
    /// `replace_checks`.
    RegisterService { service: ServiceSpec, checks: Vec<CheckSpec>, replace_checks: bool },
    /// Removes a service and its checks, if there.
    DeregisterService { key: Key },
    /// Adds or replaces a check of a service or node that exists.
    RegisterCheck { check: CheckSpec },
    /// Removes a check, if there.
    DeregisterCheck { key: Key },
    /// What a probe found; void if the check is another by now.
    Probed { key: Key, kind: CheckKind, status: Status, output: String },
    /// What a service reports about itself.
    Report { key: Key, status: Status, output: String },
    /// A service was critical for too long.
    Reap { check: Key },
    /// Puts a service, or the node without one, in or out of maintenance.
    Maintain { node: String, service_id: Option<String>, reason: Option<String> },
    /// Adds or replaces a node, and a service and checks on it.
    RegisterNode {
        node: NodeSpec,
        skip_update: bool,
        service: Option<ServiceSpec>,
        checks: Vec<CheckSpec>,
    },
    /// Removes a service or check of a node, or all of it.
    DeregisterNode { node: String, service_id: Option<String>, check_id: Option<String> },
}

/// Why a command is refused; nothing was changed. The texts are Consul's where it has one, since
/// its clients compare them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("ServiceID {id:?} does not exist")]
    NoSuchService { id: String },
    #[error("No service registered with ID {id:?}")]
    NothingToMaintain { id: String },
    #[error("CheckID {id:?} does not have associated TTL")]
    NoTtl { id: String },
    #[error("node {name:?} is this control plane itself; use the agent API")]
    OwnNode { name: String },
    #[error("{what} ID {id:?} is the control plane's own; choose another")]
    Own { what: &'static str, id: &'static str },
    #[error("{count} services are registered, the most allowed; raise `max_services`")]
    TooManyServices { count: usize },
    #[error("{count} checks of one service, or of one node, are the most allowed")]
    TooManyChecks { count: usize },
    #[error("{count} nodes are registered, the most allowed; raise `max_nodes`")]
    TooManyNodes { count: usize },
    #[error(
        "nodes, services and checks take {bytes} bytes, the most allowed; deregister some or raise \
         `registry_quota_bytes`"
    )]
    TooLarge { bytes: usize },
}
