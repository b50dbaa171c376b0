//! What is registered, in the form that a registration has and two servers agree on.

use serde_json::{Map, Value, json};

use super::server::text;

/// The check of a node that has an agent.
const AGENT_CHECK: &str = "serfHealth";

/// A node of the catalog with what is on it.
pub(super) struct OnNode {
    pub(super) node: Value,
    pub(super) services: Vec<Value>,
    pub(super) checks: Vec<Value>,
}

impl OnNode {
    /// Whether an agent speaks for it.
    pub(super) fn has_agent(&self) -> bool {
        self.checks.iter().any(|check| text(check, "CheckID") == AGENT_CHECK)
    }

    /// The checks of a service; with an empty id, those of the node.
    pub(super) fn checks_of(&self, service_id: &str) -> impl Iterator<Item = &Value> {
        self.checks.iter().filter(move |check| text(check, "ServiceID") == service_id)
    }

    /// The service of an id.
    pub(super) fn service(&self, id: &str) -> Option<&Value> {
        self.services.iter().find(|service| text(service, "ID") == id)
    }
}

/// A node's own members.
pub(super) fn node(node: &Value) -> Value {
    let mut form = json!({
        "Node": node["Node"],
        "Address": node["Address"],
        "TaggedAddresses": object(&node["TaggedAddresses"]),
        "NodeMeta": object(&node["Meta"]),
    });
    // Empty for most external nodes, and an empty one is no id.
    if !text(node, "ID").is_empty() {
        form["ID"] = node["ID"].clone();
    }
    form
}

/// A service.
pub(super) fn service(service: &Value) -> Value {
    let mut form = json!({
        "ID": service["ID"],
        "Service": service["Service"],
        "Tags": if service["Tags"].is_null() { json!([]) } else { service["Tags"].clone() },
        "Address": service["Address"],
        "Port": service["Port"],
        "Meta": object(&service["Meta"]),
        "TaggedAddresses": object(&service["TaggedAddresses"]),
        "Weights": match &service["Weights"] {
            Value::Null => json!({ "Passing": 1, "Warning": 1 }),
            weights => weights.clone(),
        },
        "EnableTagOverride": service["EnableTagOverride"] == true,
    });
    if !text(service, "Kind").is_empty() {
        for name in ["Kind", "Proxy", "Connect"] {
            form[name] = service[name].clone();
        }
    }
    form
}

/// A service of an agent, without the addresses that an agent lists by itself.
pub(super) fn service_of_agent(of: &Value) -> Value {
    let mut form = service(of);
    let own = json!({ "Address": form["Address"], "Port": form["Port"] });
    if let Some(tagged) = form["TaggedAddresses"].as_object_mut() {
        tagged.retain(|_, address| *address != own);
    }
    form
}

/// A check as a finding.
pub(super) fn check(check: &Value) -> Value {
    let names = ["Node", "CheckID", "Name", "Status", "Notes", "Output", "ServiceID"];
    let members = names.into_iter().map(|name| (name.to_owned(), check[name].clone()));
    let mut form = Value::Object(members.collect());
    form["Definition"] = object(&check["Definition"]);
    form
}

fn object(value: &Value) -> Value {
    if value.is_object() { value.clone() } else { Value::Object(Map::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_at_one_server_and_empty_at_the_other_is_the_same() {
        let absent = json!({ "ID": "a", "Service": "a", "Tags": null, "Address": "10.0.0.1",
            "Port": 1, "Meta": null });
        let empty = json!({ "ID": "a", "Service": "a", "Tags": [], "Address": "10.0.0.1",
            "Port": 1, "Meta": {}, "Weights": { "Passing": 1, "Warning": 1 }, "Kind": "",
            "EnableTagOverride": false, "ModifyIndex": 9,
            "TaggedAddresses": { "lan_ipv4": { "Address": "10.0.0.1", "Port": 1 } } });
        assert_eq!(service_of_agent(&absent), service_of_agent(&empty));
        assert_eq!(node(&json!({ "Node": "n", "Meta": null })), node(&json!({ "Node": "n" })));
    }

    #[test]
    fn everything_that_a_client_registers_is_in_the_form() {
        let whole = json!({ "ID": "a", "Service": "b", "Tags": ["t"], "Address": "x", "Port": 1,
            "Meta": { "m": "1" }, "Weights": { "Passing": 7, "Warning": 2 },
            "EnableTagOverride": true, "Kind": "connect-proxy", "Proxy": { "Mode": "" },
            "Connect": {}, "TaggedAddresses": { "wan": { "Address": "y", "Port": 2 } } });
        assert_eq!(service(&whole), whole);
    }
}
