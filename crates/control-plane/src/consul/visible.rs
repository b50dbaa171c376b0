//! What of a list somebody may see.

use serde_json::Value;

use super::needs::Listed;
use crate::access::{Level, Resource, Rules};

/// Keeps the items of a list, or the members of an object of them, for which `is_visible` holds,
/// given the member's name (empty in a list) and the item.
pub(crate) fn retain(value: &mut Value, is_visible: &dyn Fn(&str, &Value) -> bool) {
    match value {
        Value::Array(items) => {
            items.retain(|item| is_visible("", item));
            items.iter_mut().for_each(|item| retain_nested(item, is_visible));
        }
        Value::Object(members) => {
            // One node with its services, or members by their names.
            if members.contains_key("Node") && members.contains_key("Services") {
                if !is_visible("", &members["Node"]) {
                    *value = Value::Null;
                    return;
                }
                retain_nested(value, is_visible);
            } else {
                members.retain(|name, item| is_visible(name, item));
            }
        }
        _ => (),
    }
}

fn retain_nested(item: &mut Value, is_visible: &dyn Fn(&str, &Value) -> bool) {
    for name in ["Checks", "Services"] {
        if let Some(Value::Array(items)) = item.get_mut(name) {
            items.retain(|item| is_visible("", item));
        } else if let Some(Value::Object(members)) = item.get_mut(name) {
            members.retain(|name, item| is_visible(name, item));
        }
    }
}

/// Whether an item may be seen; one in which no name is found may not.
pub(crate) fn is_visible(rules: &Rules, listed: Listed, name: &str, item: &Value) -> bool {
    let allows = |resource, name: &str| rules.allows(resource, name.as_bytes(), Level::Read);
    match listed {
        Listed::Entries => of(item, &["Key"]).is_some_and(|key| allows(Resource::Key, key)),
        Listed::Keys => item.as_str().is_some_and(|key| allows(Resource::Key, key)),
        Listed::ServiceNames => allows(Resource::Service, name),
        Listed::Sessions => of(item, &["Node"]).is_some_and(|node| allows(Resource::Session, node)),
        Listed::Events => of(item, &["Name"]).is_some_and(|name| allows(Resource::Event, name)),
        Listed::Instances => {
            // A service is read by its own rule, as by the DNS; a node without one by the node's.
            let service = service(item);
            match service {
                Some(service) => allows(Resource::Service, service),
                None => node(item).is_some_and(|node| allows(Resource::Node, node)),
            }
        }
    }
}

/// The service's name: of a health entry, a check, a catalog entry, an agent's service.
fn service(item: &Value) -> Option<&str> {
    let paths: [&[&str]; 3] = [&["Service", "Service"], &["ServiceName"], &["Service"]];
    paths.into_iter().find_map(|path| of(item, path)).filter(|name| !name.is_empty())
}

/// The node's name: of a health entry, a check or a catalog entry, a node, a member.
fn node(item: &Value) -> Option<&str> {
    let paths: [&[&str]; 3] = [&["Node", "Node"], &["Node"], &["Name"]];
    paths.into_iter().find_map(|path| of(item, path))
}

fn of<'a>(item: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(item, |item, name| item.get(name))?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> Rules {
        let mut rules = Rules::default();
        for resource in [Resource::Key, Resource::Service, Resource::Node, Resource::Session] {
            rules.set(resource, "own".into(), Level::Read);
        }
        rules
    }

    fn seen(listed: Listed, mut value: Value) -> Value {
        let rules = rules();
        retain(&mut value, &|name, item| is_visible(&rules, listed, name, item));
        value
    }

    #[test]
    fn only_what_may_be_read_is_left() {
        let entries = json!([{ "Key": "own/a" }, { "Key": "other" }]);
        assert_eq!(seen(Listed::Entries, entries), json!([{ "Key": "own/a" }]));
        assert_eq!(seen(Listed::Keys, json!(["own/", "other/"])), json!(["own/"]));
        let names = json!({ "own-a": [], "other": [] });
        assert_eq!(seen(Listed::ServiceNames, names), json!({ "own-a": [] }));
        let sessions = json!([{ "ID": "1", "Node": "own" }, { "ID": "2", "Node": "n" }]);
        assert_eq!(seen(Listed::Sessions, sessions), json!([{ "ID": "1", "Node": "own" }]));
        assert_eq!(seen(Listed::Events, json!([{ "Name": "own" }])), json!([]));
    }

    #[test]
    fn instances_are_found_in_every_form() {
        let own = [
            json!({ "Node": { "Node": "n" }, "Service": { "Service": "own" }, "Checks": [] }),
            json!({ "Node": "n", "ServiceName": "own-1" }),
            json!({ "Node": "own-node", "ServiceName": "" }),
            json!({ "Node": "own-node", "Address": "127.0.0.1" }),
            json!({ "Name": "own-node" }),
        ];
        let other = [
            json!({ "Node": { "Node": "own" }, "Service": { "Service": "other" } }),
            json!({ "Node": "own", "ServiceName": "other" }),
            json!({ "Name": "other" }),
            json!({ "Unknown": "own" }),
        ];
        let all: Vec<_> = own.iter().chain(&other).cloned().collect();
        assert_eq!(seen(Listed::Instances, Value::Array(all)), Value::Array(own.to_vec()));
        let services = json!({ "a": { "Service": "own" }, "b": { "Service": "other" } });
        assert_eq!(seen(Listed::Instances, services), json!({ "a": { "Service": "own" } }));
    }

    #[test]
    fn a_node_shows_the_services_that_may_be_read_or_nothing() {
        let node = |name: &str| {
            json!({ "Node": { "Node": name }, "Services": {
                "a": { "Service": "own" }, "b": { "Service": "other" } } })
        };
        let shown = json!({ "Node": { "Node": "own" }, "Services": { "a": { "Service": "own" } } });
        assert_eq!(seen(Listed::Instances, node("own")), shown);
        assert_eq!(seen(Listed::Instances, node("other")), Value::Null);
    }
}
