//! Services that somebody registered at an agent.
//!
//! Those of the chassis register themselves where they find their registry. Others, of whom nobody
//! may think any more, are registered at the agent of the target, as they are now. Consul tells
//! nobody what a check asks; a control plane of ours does, to who may do everything.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::form::{self, OnNode};
use super::server::{Server, text};
use crate::transfer::plan::Step;
use crate::transfer::{DEFINITIONS, Report, Transfer, TransferError};

/// In the metadata of a service that registers itself: when its process began.
const INCARNATION: &str = "incarnation";
/// Consul's own service.
const CONSUL: &str = "consul";
/// What the check of a service in maintenance begins with.
const MAINTENANCE: &str = "_service_maintenance:";

/// What the checks of a server ask, by node and id; none when it does not tell.
struct Definitions(Option<HashMap<(String, String), Value>>);

/// What the agent of the target has.
struct Held {
    services: Map<String, Value>,
    checks: Map<String, Value>,
    definitions: Definitions,
}

/// A service as it is to be registered.
#[derive(Clone, Debug, PartialEq)]
struct Registration {
    service: Value,
    /// Each with its id, its name, its notes, and what it asks.
    checks: Vec<Value>,
}

pub(super) async fn copy(
    transfer: &Transfer,
    from: &Server,
    to: &Server,
    report: &mut Report,
) -> Result<(), TransferError> {
    let told = from.definitions().await?;
    let held = to.held().await?;
    let mut taken = HashSet::new();
    for name in from.nodes().await? {
        let Some(here) = from.on_node(&name).await?.filter(OnNode::has_agent) else { continue };
        for service in &here.services {
            if text(service, "Service") == CONSUL {
                continue;
            }
            if service["Meta"].get(INCARNATION).is_some() {
                report.own_services += 1;
                continue;
            }
            let Some((mut wanted, found)) = registration(&here, service, &told) else {
                report.untold_services += 1;
                continue;
            };
            let id = text(service, "ID");
            if !taken.insert(id.clone()) {
                // Two nodes may have services of one id, one agent may not.
                wanted.rename(&format!("{name}:{id}"));
            }
            let there = held.like(&wanted);
            let step = report.services.decide(&wanted, there.as_ref(), transfer.keep);
            if step == Step::Write && !transfer.dry_run {
                let path = "/v1/agent/service/register?replace-existing-checks";
                to.put(path, wanted.body(found).to_string()).await?;
            }
        }
    }
    Ok(())
}

/// The service with its checks, and what each of these found last; none when it is not known what
/// one of them asks.
fn registration(
    here: &OnNode,
    service: &Value,
    told: &Definitions,
) -> Option<(Registration, Vec<Value>)> {
    let checks = here.checks_of(service["ID"].as_str()?).filter(|check| is_own(check));
    let checks = checks.map(|check| {
        let asks = told.of(&text(check, "Node"), &text(check, "CheckID"))?;
        Some((definition(check, asks), check["Status"].clone()))
    });
    let (checks, found) = checks.collect::<Option<(Vec<_>, Vec<_>)>>()?;
    let mut service = form::service_of_agent(service);
    if text(&service, "Address").is_empty() {
        // Where it is, and not where the target's agent is.
        service["Address"] = here.node["Address"].clone();
    }
    Some((Registration { service, checks }, found))
}

fn definition(check: &Value, asks: Value) -> Value {
    let mut definition = asks;
    for name in ["CheckID", "Name", "Notes"] {
        definition[name] = check[name].clone();
    }
    definition
}

fn is_own(check: &Value) -> bool {
    !text(check, "CheckID").starts_with(MAINTENANCE)
}

impl Registration {
    /// Gives it another id, and its checks with it.
    fn rename(&mut self, id: &str) {
        let before = std::mem::replace(&mut self.service["ID"], id.into());
        // What the agent calls a check that has no id of its own.
        let usual = format!("service:{}", before.as_str().unwrap_or_default());
        for check in &mut self.checks {
            let named = text(check, "CheckID");
            let number = named.strip_prefix(&usual);
            check["CheckID"] = match number.filter(|it| it.is_empty() || it.starts_with(':')) {
                Some(number) => format!("service:{id}{number}").into(),
                None => format!("{named}:{id}").into(),
            };
        }
    }

    /// As the agent takes it: each check begins with what it found last.
    fn body(&self, found: Vec<Value>) -> Value {
        let mut body = self.service.clone();
        body["Name"] = body["Service"].take();
        if let Some(members) = body.as_object_mut() {
            members.remove("Service");
        }
        let checks = self.checks.iter().zip(found).map(|(check, found)| {
            let mut check = check.clone();
            check["Status"] = found;
            check
        });
        body["Checks"] = checks.collect();
        body
    }
}

impl Held {
    /// The service of the same id, in the same form; of a check whose questions are not told, those
    /// that are wanted are taken.
    fn like(&self, wanted: &Registration) -> Option<Registration> {
        let id = text(&wanted.service, "ID");
        let service = form::service_of_agent(self.services.get(&id)?);
        let checks = self.checks.values().filter(|check| text(check, "ServiceID") == id);
        let mut checks: Vec<_> = checks.filter(|check| is_own(check)).collect();
        let place = |check: &&Value| {
            let same = |it: &Value| it["CheckID"] == check["CheckID"];
            wanted.checks.iter().position(same).unwrap_or(usize::MAX)
        };
        checks.sort_by_key(place);
        let checks = checks.into_iter().map(|check| {
            let asks = self.definitions.of(&text(check, "Node"), &text(check, "CheckID"));
            let same = wanted.checks.iter().find(|it| it["CheckID"] == check["CheckID"]);
            definition(check, asks.or(same.cloned()).unwrap_or_else(|| json!({})))
        });
        Some(Registration { service, checks: checks.collect() })
    }
}

impl Definitions {
    fn of(&self, node: &str, check: &str) -> Option<Value> {
        self.0.as_ref()?.get(&(node.to_owned(), check.to_owned())).cloned()
    }
}

impl Server {
    async fn definitions(&self) -> Result<Definitions, TransferError> {
        let Some(told) = self.told(DEFINITIONS).await? else { return Ok(Definitions(None)) };
        let pair = |told: &Value| {
            ((text(told, "Node"), text(told, "CheckID")), told["Definition"].clone())
        };
        Ok(Definitions(told.as_array().map(|list| list.iter().map(pair).collect())))
    }

    async fn held(&self) -> Result<Held, TransferError> {
        let services = self.members("/v1/agent/services").await?;
        let checks = self.members("/v1/agent/checks").await?;
        Ok(Held { services, checks, definitions: self.definitions().await? })
    }

    async fn members(&self, path: &str) -> Result<Map<String, Value>, TransferError> {
        match self.get(path).await? {
            Value::Object(members) => Ok(members),
            _ => Err(self.refused("list", "its answer is no object")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(services: Value, checks: Value) -> OnNode {
        let list = |value: Value| value.as_array().unwrap().clone();
        let node = json!({ "Node": "n", "Address": "10.0.0.1" });
        OnNode { node, services: list(services), checks: list(checks) }
    }

    fn told() -> Definitions {
        let key = ("n".to_owned(), "service:a".to_owned());
        Definitions(Some([(key, json!({ "TCP": "x:1", "Interval": "1000ms" }))].into()))
    }

    #[test]
    fn a_service_goes_along_with_its_checks_when_it_is_known_what_they_ask() {
        let service = json!({ "ID": "a", "Service": "a", "Address": "", "Port": 1 });
        let check = json!({ "Node": "n", "CheckID": "service:a", "Name": "c", "Notes": "",
            "Status": "passing", "ServiceID": "a" });
        let maintenance = json!({ "Node": "n", "CheckID": "_service_maintenance:a",
            "ServiceID": "a" });
        let here = here(json!([service]), json!([check, maintenance]));
        let (wanted, found) = registration(&here, &service, &told()).unwrap();
        let body = wanted.body(found);
        assert_eq!((&body["Name"], &body["Address"]), (&json!("a"), &json!("10.0.0.1")));
        assert_eq!(body["Checks"].as_array().unwrap().len(), 1);
        assert_eq!(body["Checks"][0]["TCP"], "x:1");
        assert_eq!(body["Checks"][0]["Status"], "passing");
        assert_eq!(registration(&here, &service, &Definitions(None)), None);
    }

    #[test]
    fn a_second_service_of_an_id_gets_another_with_its_checks() {
        let checks = ["service:a", "service:a:2", "extra", "service:ab"]
            .map(|id| json!({ "CheckID": id }))
            .to_vec();
        let mut wanted = Registration { service: json!({ "ID": "a" }), checks };
        wanted.rename("n:a");
        assert_eq!(wanted.service["ID"], "n:a");
        let ids: Vec<_> = wanted.checks.iter().map(|check| text(check, "CheckID")).collect();
        assert_eq!(ids, ["service:n:a", "service:n:a:2", "extra:n:a", "service:ab:n:a"]);
    }

    #[test]
    fn what_the_target_has_is_the_same_unless_it_tells_otherwise() {
        let service = json!({ "ID": "a", "Service": "a", "Address": "y", "Port": 1 });
        let check = json!({ "Node": "n", "CheckID": "service:a", "Name": "c", "Notes": "",
            "ServiceID": "a" });
        let here = here(json!([service]), json!([check]));
        let (wanted, _) = registration(&here, &service, &told()).unwrap();
        let of = |name: &str, value: &Value| Map::from_iter([(name.to_owned(), value.clone())]);
        let mut held = Held {
            services: of("a", &service),
            checks: of("service:a", &check),
            definitions: Definitions(None),
        };
        assert_eq!(held.like(&wanted), Some(wanted.clone()));
        let key = ("n".to_owned(), "service:a".to_owned());
        held.definitions = Definitions(Some([(key, json!({ "TCP": "x:2" }))].into()));
        assert_ne!(held.like(&wanted), Some(wanted.clone()));
        held.services = Map::new();
        assert_eq!(held.like(&wanted), None);
    }
}
