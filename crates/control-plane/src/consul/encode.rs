//! Rows in the JSON shapes of Consul 1.8.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::app::Identity;
use super::rows::{Checked, Health, Instance};
use crate::registry::{Address, Check, NODE_MAINTENANCE, Node, SERVICE_MAINTENANCE, Service};

/// A node as catalog and health show it.
pub(crate) fn node(node: &Node, identity: &Identity) -> Value {
    json!({
        "ID": node.id, "Node": node.name, "Address": node.address,
        "Datacenter": identity.datacenter, "TaggedAddresses": tagged(node), "Meta": node.meta,
        "CreateIndex": node.created, "ModifyIndex": node.modified,
    })
}

/// A service as health shows it.
pub(crate) fn service(service: &Service) -> Value {
    let mut value = agent_service(service);
    value["Proxy"] = json!({"MeshGateway": {}, "Expose": {}});
    value["Connect"] = json!({});
    value["CreateIndex"] = service.created.into();
    value["ModifyIndex"] = service.modified.into();
    value
}

/// A service as the agent shows it.
pub(crate) fn agent_service(service: &Service) -> Value {
    let mut value = json!({
        "ID": service.id, "Service": service.name, "Tags": service.tags, "Meta": service.meta,
        "Port": service.port, "Address": service.address,
        "Weights": {"Passing": service.weights.passing, "Warning": service.weights.warning},
        "EnableTagOverride": service.enable_tag_override,
    });
    if !service.tagged_addresses.is_empty() {
        value["TaggedAddresses"] = addresses(&service.tagged_addresses);
    }
    value
}

/// A service as the agent shows one alone, and the hash of what it shows.
pub(crate) fn hashed_service(service: &Service) -> (Value, String) {
    let mut value = agent_service(service);
    // FNV-1a: its value means nothing to clients but being another after a change.
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = value.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    let hash = format!("{hash:016x}");
    value["ContentHash"] = hash.as_str().into();
    (value, hash)
}

/// One entry of `/v1/catalog/service/:name`.
pub(crate) fn catalog_service(Instance { service, node }: &Instance, identity: &Identity) -> Value {
    let node = node.as_ref().map(|node| self::node(node, identity)).unwrap_or_default();
    json!({
        "ID": node["ID"], "Node": service.node, "Address": node["Address"],
        "Datacenter": identity.datacenter, "TaggedAddresses": node["TaggedAddresses"],
        "NodeMeta": node["Meta"], "ServiceKind": "", "ServiceID": service.id,
        "ServiceName": service.name, "ServiceTags": service.tags,
        "ServiceAddress": service.address,
        "ServiceWeights": {"Passing": service.weights.passing, "Warning": service.weights.warning},
        "ServiceMeta": service.meta, "ServicePort": service.port,
        "ServiceTaggedAddresses": addresses(&service.tagged_addresses),
        "ServiceEnableTagOverride": service.enable_tag_override,
        "ServiceProxy": {"MeshGateway": {}, "Expose": {}}, "ServiceConnect": {},
        "CreateIndex": service.created, "ModifyIndex": service.modified,
    })
}

/// One entry of `/v1/health/service/:name`.
pub(crate) fn health_entry(health: &Health, identity: &Identity) -> Value {
    let Instance { service, node } = &health.instance;
    let node = node.as_ref().map(|node| self::node(node, identity));
    let of = |check: &Check| {
        let own = check.service_id == service.id;
        check_of(check, own.then_some(&**service))
    };
    let checks: Vec<_> = health.checks.iter().map(|check| of(check)).collect();
    json!({ "Node": node, "Service": self::service(service), "Checks": checks })
}

/// A check, with the tags of its service.
pub(crate) fn check(Checked { check, service }: &Checked) -> Value {
    check_of(check, service.as_deref())
}

fn check_of(check: &Check, service: Option<&Service>) -> Value {
    let tags = service.map(|service| service.tags.as_slice()).unwrap_or_default();
    let is_maintenance = check.id == NODE_MAINTENANCE || check.id.starts_with(SERVICE_MAINTENANCE);
    let kind = if is_maintenance { "maintenance" } else { check.kind.name() };
    json!({
        "Node": check.node, "CheckID": check.id, "Name": check.name,
        "Status": check.status.name(), "Notes": check.notes, "Output": check.output,
        "ServiceID": check.service_id, "ServiceName": check.service_name, "ServiceTags": tags,
        "Type": kind, "Definition": definition(check),
        "CreateIndex": check.created, "ModifyIndex": check.modified,
    })
}

fn definition(check: &Check) -> Value {
    if check.definition.is_null() { json!({}) } else { check.definition.clone() }
}

/// `/v1/catalog/services`: every name with all its tags.
pub(crate) fn names_with_tags(services: &[Arc<Service>]) -> Value {
    let mut names = BTreeMap::<&str, BTreeSet<&str>>::new();
    for service in services {
        names.entry(&service.name).or_default().extend(service.tags.iter().map(String::as_str));
    }
    json!(names)
}

fn tagged(node: &Node) -> Value {
    if node.tagged_addresses.is_empty() { Value::Null } else { json!(node.tagged_addresses) }
}

fn addresses(addresses: &BTreeMap<String, Address>) -> Value {
    let value = |address: &Address| json!({"Address": address.address, "Port": address.port});
    let pairs = addresses.iter().map(|(name, address)| (name.clone(), value(address)));
    Value::Object(pairs.collect::<Map<_, _>>())
}
