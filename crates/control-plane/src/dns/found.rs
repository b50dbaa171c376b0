//! What is registered under a name, given who asks: pure.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::Asked;
use crate::access::{Level, Resource, Rules};
use crate::registry::{Node, Service, State, Status};

/// What is registered under a name: rows that are shared with the registry, so that records are
/// made of them when its lock is free again.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Outside,
    Nothing,
    /// The zone itself, with the node that answers.
    Zone(Option<Arc<Node>>),
    /// Instances with their nodes; some.
    Instances(Vec<(Arc<Service>, Arc<Node>)>),
    Node(Arc<Node>),
    Address(IpAddr),
    /// The names of nodes and of services with an address.
    Named(Vec<String>, BTreeSet<String>),
}

impl Found {
    /// Finds what these rules show of what is asked for; `own` is the node that answers.
    pub(crate) fn find(state: &State, asked: &Asked, own: &str, rules: &Rules) -> Self {
        match asked {
            Asked::Outside => Self::Outside,
            Asked::Nothing => Self::Nothing,
            Asked::Zone => Self::Zone(state.node(own).cloned()),
            Asked::Service { name, tag } => instances(state, name, tag.as_deref(), rules),
            Asked::Node(node) => {
                let node = state.node(&state.node_name(node));
                let node = node.filter(|node| may_see_node(rules, &node.name));
                node.map_or(Self::Nothing, |node| Self::Node(Arc::clone(node)))
            }
            Asked::Address(ip) => Self::Address(*ip),
            Asked::Reverse(ip) => named(state, *ip, rules),
        }
    }
}

/// The instances that pass. Nothing when none does: the name does not exist then, as in Consul.
fn instances(state: &State, service: &str, tag: Option<&str>, rules: &Rules) -> Found {
    let has_tag = |service: &Service| {
        tag.is_none_or(|tag| service.tags.iter().any(|own| own.eq_ignore_ascii_case(tag)))
    };
    let passes = |service: &Service| {
        state.deciding_checks(service).all(|check| check.status == Status::Passing)
    };
    let instances = state.instances(service).filter(|it| may_see_service(rules, it));
    let instances = instances.filter(|it| has_tag(it) && passes(it));
    let with_node = |it: &Arc<Service>| Some((Arc::clone(it), Arc::clone(state.node(&it.node)?)));
    let instances: Vec<_> = instances.filter_map(with_node).collect();
    if instances.is_empty() { Found::Nothing } else { Found::Instances(instances) }
}

/// Whose address this is.
fn named(state: &State, ip: IpAddr, rules: &Rules) -> Found {
    let is_it = |address: &str| address.parse() == Ok(ip);
    let nodes = state.nodes().filter(|node| is_it(&node.address));
    let nodes = nodes.filter(|node| may_see_node(rules, &node.name));
    let nodes: Vec<_> = nodes.map(|node| node.name.clone()).collect();
    let services = state.services().filter(|service| is_it(&service.address));
    let services = services.filter(|service| may_see_service(rules, service));
    let services: BTreeSet<_> = services.map(|service| service.name.clone()).collect();
    match nodes.is_empty() && services.is_empty() {
        true => Found::Nothing,
        false => Found::Named(nodes, services),
    }
}

fn may_see_node(rules: &Rules, node: &str) -> bool {
    rules.allows(Resource::Node, node.as_bytes(), Level::Read)
}

fn may_see_service(rules: &Rules, service: &Service) -> bool {
    rules.allows(Resource::Service, service.name.as_bytes(), Level::Read)
}
