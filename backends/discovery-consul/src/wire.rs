//! Instances and registrations in Consul's JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regatta_core::{Endpoint, Instance, InstanceId, ServiceName};
use regatta_discovery::{Probe, Registration};
use serde::Deserialize;
use serde_json::{Value, json};

const VERSION: &str = "version";
const ZONE: &str = "zone";
const WEIGHT: &str = "weight";
const INCARNATION: &str = "incarnation";
/// Consul's range of weights is 1 to this.
const MAX_WEIGHT: u32 = 65_535;

/// One entry of `/v1/health/service/:name`, as far as it is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry {
    node: Node,
    service: Service,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default)]
    address: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    service: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    port: u16,
    tags: Option<Vec<String>>,
    meta: Option<BTreeMap<String, String>>,
    weights: Option<Weights>,
    #[serde(default)]
    create_index: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    passing: Option<u32>,
}

/// `/v1/agent/health/service/id/:id`, as far as it is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Registered {
    service: Service,
    checks: Option<Vec<Check>>,
}

#[derive(Debug, Deserialize)]
struct Check {
    #[serde(rename = "CheckID")]
    id: String,
}

impl Entry {
    /// The instance; none when the entry has no address that can be called.
    pub(crate) fn into_instance(self, service: &ServiceName) -> Option<Instance> {
        let Self { node, service: entry } = self;
        let host = if entry.address.is_empty() { &node.address } else { &entry.address };
        let endpoint = match Endpoint::try_new(host, entry.port) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                tracing::debug!(%service, instance = entry.id, %error, "skipped an instance");
                return None;
            }
        };
        let mut meta = entry.meta.unwrap_or_default();
        let mut instance = Instance::new(service.clone(), endpoint);
        instance.id = InstanceId::new(&entry.id);
        instance.version = meta.remove(VERSION).filter(|version| !version.is_empty());
        instance.zone = meta.remove(ZONE).filter(|zone| !zone.is_empty());
        let listed = entry.weights.and_then(|weights| weights.passing).unwrap_or(1);
        let own = meta.remove(WEIGHT).and_then(|weight| weight.parse().ok());
        instance.weight = own.unwrap_or(listed);
        let life = meta.remove(INCARNATION).and_then(|life| life.parse().ok());
        // Who does not say when it began is at least another after it was deregistered.
        instance.incarnation = life.unwrap_or(entry.create_index);
        instance.metadata = meta;
        Some(instance)
    }
}

impl Registered {
    /// Whether this is what was to be registered.
    pub(crate) fn is(&self, registration: &Registration) -> bool {
        let (service, instance) = (&self.service, &registration.instance);
        let mut held = service.meta.clone().unwrap_or_default();
        if instance.incarnation == 0 {
            held.remove(INCARNATION);
        }
        let listed = service.weights.as_ref().and_then(|weights| weights.passing).unwrap_or(1);
        let check = check_id(&instance.id);
        let mut checks = self.checks.iter().flatten();
        service.service == instance.service.as_str()
            && service.address == instance.endpoint.host()
            && service.port == instance.endpoint.port()
            && held == meta(instance)
            && listed == passing_weight(instance)
            && tags(service.tags.as_deref().unwrap_or(&[])) == tags(&registration.tags)
            && (registration.check.is_none() || checks.any(|found| found.id == check))
    }
}

/// The body of `PUT /v1/agent/service/register`.
pub(crate) fn registration(registration: &Registration) -> Value {
    let instance = &registration.instance;
    let weight = passing_weight(instance);
    let mut body = json!({
        "ID": instance.id.as_str(), "Name": instance.service.as_str(),
        "Address": instance.endpoint.host(), "Port": instance.endpoint.port(),
        "Tags": registration.tags, "Meta": meta(instance),
        "Weights": {"Passing": weight, "Warning": weight},
    });
    if let Some(check) = &registration.check {
        let mut definition = json!({
            "CheckID": check_id(&instance.id),
            "Name": format!("Service '{}' check", instance.service),
        });
        let endpoint = &instance.endpoint;
        let (kind, asked) = match &check.probe {
            Probe::Http { path } => ("HTTP", format!("http://{endpoint}{path}")),
            Probe::Grpc { service } if service.is_empty() => ("GRPC", endpoint.to_string()),
            Probe::Grpc { service } => ("GRPC", format!("{endpoint}/{service}")),
            Probe::Ttl => ("TTL", millis(check.interval)),
            Probe::Tcp => ("TCP", endpoint.to_string()),
        };
        definition[kind] = asked.into();
        if check.probe != Probe::Ttl {
            definition["Interval"] = millis(check.interval).into();
            definition["Timeout"] = millis(check.timeout).into();
        }
        if let Some(after) = check.deregister_after {
            definition["DeregisterCriticalServiceAfter"] = millis(after).into();
        }
        body["Check"] = definition;
    }
    body
}

/// The id that Consul itself would give.
pub(crate) fn check_id(id: &InstanceId) -> String {
    format!("service:{id}")
}

fn meta(instance: &Instance) -> BTreeMap<String, String> {
    let mut meta = instance.metadata.clone();
    let own = [(VERSION, &instance.version), (ZONE, &instance.zone)];
    for (key, value) in own {
        meta.extend(value.as_ref().map(|value| (key.to_owned(), value.clone())));
    }
    if instance.weight != passing_weight(instance) {
        meta.insert(WEIGHT.to_owned(), instance.weight.to_string());
    }
    if instance.incarnation > 0 {
        meta.insert(INCARNATION.to_owned(), instance.incarnation.to_string());
    }
    meta
}

fn passing_weight(instance: &Instance) -> u32 {
    instance.weight.clamp(1, MAX_WEIGHT)
}

fn tags(tags: &[String]) -> BTreeSet<&str> {
    tags.iter().map(String::as_str).collect()
}

fn millis(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regatta_discovery::Check;

    use super::*;

    fn entry(json: &str) -> Option<Instance> {
        let entry: Entry = serde_json::from_str(json).unwrap();
        entry.into_instance(&"users".parse().unwrap())
    }

    /// What the registry lists after taking a registration.
    fn listed(registration: &Registration) -> Value {
        let mut service = super::registration(registration);
        service["Service"] = service["Name"].take();
        service
    }

    #[test]
    fn an_instance_without_address_is_at_its_node() {
        let json = r#"{"Node":{"Address":"10.0.0.1"},
            "Service":{"ID":"u1","Service":"users","Port":80,"Tags":null,"Meta":null}}"#;
        let instance = entry(json).unwrap();
        assert_eq!(instance.endpoint.to_string(), "10.0.0.1:80");
        assert_eq!((instance.weight, instance.version), (1, None));
    }

    #[test]
    fn an_instance_begins_anew_with_its_process_or_else_with_its_registration() {
        let json = r#"{"Node":{"Address":"10.0.0.1"},
            "Service":{"ID":"u1","Service":"users","Port":80,"Meta":null,"CreateIndex":17}}"#;
        assert_eq!(entry(json).unwrap().incarnation, 17);
        let json = json.replace("null", r#"{"incarnation":"1700000000000"}"#);
        let instance = entry(&json).unwrap();
        assert_eq!((instance.incarnation, instance.metadata.len()), (1_700_000_000_000, 0));
    }

    #[test]
    fn an_instance_that_cannot_be_called_is_skipped() {
        let json = r#"{"Node":{"Address":"10.0.0.1"},"Service":{"ID":"u","Service":"users"}}"#;
        assert_eq!(entry(json), None);
    }

    #[test]
    fn a_check_is_written_in_consuls_words() {
        let endpoint = "[::1]:80".parse().unwrap();
        let instance = Instance::new("users".parse().unwrap(), endpoint);
        let json = registration(&Registration::new(instance).with_check(Check::http("/ready")));
        assert_eq!(json["Check"]["HTTP"], "http://[::1]:80/ready");
        assert_eq!(json["Check"]["Interval"], "10000ms");
        assert_eq!(json["Check"]["DeregisterCriticalServiceAfter"], "600000ms");
    }

    #[test]
    fn an_instance_may_be_asked_over_grpc_or_not_at_all() {
        let instance = Instance::new("users".parse().unwrap(), "[::1]:80".parse().unwrap());
        let check = |check| {
            let instance = instance.clone();
            registration(&Registration::new(instance).with_check(check))["Check"].clone()
        };
        assert_eq!(check(Check::grpc(""))["GRPC"], "[::1]:80");
        assert_eq!(check(Check::grpc("shop.Users"))["GRPC"], "[::1]:80/shop.Users");
        let ttl = check(Check::ttl(Duration::from_secs(9)));
        assert_eq!((&ttl["TTL"], &ttl["Interval"]), (&json!("9000ms"), &Value::Null));
    }

    #[test]
    fn a_registration_without_its_check_is_another() {
        let instance = Instance::new("users".parse().unwrap(), "a:1".parse().unwrap());
        let wanted = Registration::new(instance).with_check(Check::tcp());
        let with = |checks: Value| {
            let json = json!({"Service": listed(&wanted), "Checks": checks});
            serde_json::from_value::<Registered>(json).unwrap().is(&wanted)
        };
        assert!(with(json!([{"CheckID": format!("service:{}", wanted.instance.id)}])));
        assert!(!with(json!([{"CheckID": "another"}])));
        assert!(!with(Value::Null));
    }

    proptest! {
        #[test]
        fn what_is_registered_is_found_again_with_all_attributes(
            weight: u32,
            version in prop::option::of("[a-z0-9.]{1,8}"),
            zone in prop::option::of("[a-z0-9-]{1,8}"),
            metadata in prop::collection::btree_map("[a-z]{9,12}", ".{0,8}", 0..4),
            tags in prop::collection::vec("[a-z]{1,4}", 0..4),
            port in 1_u16..,
            incarnation: u64,
        ) {
            let name: ServiceName = "users".parse().unwrap();
            let mut instance =
                Instance::new(name.clone(), Endpoint::try_new("127.0.0.1", port).unwrap());
            (instance.weight, instance.version, instance.zone) = (weight, version, zone);
            instance.metadata = metadata;
            instance.incarnation = incarnation;
            let wanted = Registration::new(instance.clone()).with_tags(tags);
            let json = json!({"Node": {"Address": "10.9.9.9"}, "Service": listed(&wanted)});
            let entry: Entry = serde_json::from_value(json.clone()).unwrap();
            prop_assert_eq!(entry.into_instance(&name), Some(instance.clone()));
            let registered: Registered = serde_json::from_value(json).unwrap();
            prop_assert!(registered.is(&wanted));
            let moved = Endpoint::try_new("127.0.0.2", port).unwrap();
            let moved = Registration::new(Instance { endpoint: moved, ..instance });
            prop_assert!(!registered.is(&moved));
        }
    }
}
