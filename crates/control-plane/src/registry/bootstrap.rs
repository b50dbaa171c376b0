//! What a control plane has in its catalog about itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    Check, CheckKind, Delta, Key, Node, OWN_SERVICE, SERF_HEALTH, Service, State, Status,
    Thresholds, Weights,
};

/// The rows about itself that are missing or differ, stamped with this index: its node with this
/// address, the service `consul`, and the node's health. `fresh_id` is used for a new node only.
pub(crate) fn bootstrap(
    state: &State,
    node: &str,
    address: &str,
    fresh_id: &str,
    index: u64,
) -> Vec<Delta> {
    let mut deltas = Vec::new();
    let old = state.node(node);
    if old.is_none_or(|old| old.address != address) {
        let names = ["lan", "lan_ipv4", "wan", "wan_ipv4"].into_iter();
        let tagged = names.map(|name| (name.to_owned(), address.to_owned()));
        deltas.push(Delta::PutNode(Arc::new(Node {
            name: node.to_owned(),
            id: old.map_or_else(|| fresh_id.to_owned(), |old| old.id.clone()),
            address: address.to_owned(),
            tagged_addresses: tagged.collect(),
            meta: BTreeMap::from([("consul-network-segment".to_owned(), String::new())]),
            created: old.map_or(index, |old| old.created),
            modified: index,
        })));
    }
    if state.service(&Key::new(node, OWN_SERVICE)).is_none() {
        deltas.push(Delta::PutService(Arc::new(Service {
            node: node.to_owned(),
            id: OWN_SERVICE.to_owned(),
            name: OWN_SERVICE.to_owned(),
            tags: Vec::new(),
            meta: BTreeMap::new(),
            address: String::new(),
            port: 8300,
            weights: Weights { passing: 1, warning: 1 },
            tagged_addresses: BTreeMap::new(),
            enable_tag_override: false,
            created: index,
            modified: index,
        })));
    }
    if state.check(&Key::new(node, SERF_HEALTH)).is_none() {
        deltas.push(Delta::PutCheck(Arc::new(Check {
            node: node.to_owned(),
            id: SERF_HEALTH.to_owned(),
            name: "Serf Health Status".to_owned(),
            status: Status::Passing,
            notes: String::new(),
            output: "Agent alive and reachable".to_owned(),
            service_id: String::new(),
            service_name: String::new(),
            kind: CheckKind::External,
            deregister_after: None,
            thresholds: Thresholds::default(),
            definition: serde_json::Value::Null,
            created: index,
            modified: index,
        })));
    }
    deltas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_done_once_and_keeps_the_nodes_id_when_the_address_changes() {
        let mut state = State::default();
        let deltas = bootstrap(&state, "n", "127.0.0.1", "id-1", 1);
        assert_eq!(deltas.len(), 3);
        state.apply(&deltas, 1);
        assert!(bootstrap(&state, "n", "127.0.0.1", "id-2", 2).is_empty());
        let deltas = bootstrap(&state, "n", "10.0.0.1", "id-2", 2);
        state.apply(&deltas, 2);
        let node = state.node("n").unwrap();
        assert_eq!((node.id.as_str(), node.address.as_str()), ("id-1", "10.0.0.1"));
    }
}
