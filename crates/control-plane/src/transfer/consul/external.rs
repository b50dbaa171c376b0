//! Nodes that no agent speaks for, with what is on them.

use serde_json::{Value, json};

use super::form::{self, OnNode};
use super::server::{Server, escaped, text};
use crate::transfer::plan::Step;
use crate::transfer::{Report, Transfer, TransferError};

pub(super) async fn copy(
    transfer: &Transfer,
    from: &Server,
    to: &Server,
    report: &mut Report,
) -> Result<(), TransferError> {
    for name in from.nodes().await? {
        let Some(here) = from.on_node(&name).await? else { continue };
        if !here.has_agent() {
            let there = to.on_node(&name).await?;
            node(transfer, to, &here, there.as_ref(), report).await?;
        }
    }
    Ok(())
}

async fn node(
    transfer: &Transfer,
    to: &Server,
    here: &OnNode,
    there: Option<&OnNode>,
    report: &mut Report,
) -> Result<(), TransferError> {
    // A node of this name that has an agent is another one, and its agent would undo a change.
    if there.is_some_and(OnNode::has_agent) {
        report.nodes.keep();
        here.services.iter().for_each(|_| report.services.keep());
        return Ok(());
    }
    let node = form::node(&here.node);
    let checks = forms(here.checks_of(""));
    let held = there.map(|there| (form::node(&there.node), named(there, "", &checks)));
    let own = (node, checks);
    let step = report.nodes.decide(&own, held.as_ref(), transfer.keep);
    let (mut node, checks) = own;
    if step == Step::Write && !transfer.dry_run {
        let mut registration = node.clone();
        registration["Checks"] = checks.into();
        to.register(&registration).await?;
    }
    // Its own members are as they shall be now.
    node["SkipNodeUpdate"] = true.into();
    for service in &here.services {
        let id = text(service, "ID");
        let (service, checks) = (form::service(service), forms(here.checks_of(&id)));
        let held = there.and_then(|there| {
            Some((form::service(there.service(&id)?), named(there, &id, &checks)))
        });
        let own = (service, checks);
        let step = report.services.decide(&own, held.as_ref(), transfer.keep);
        if step == Step::Write && !transfer.dry_run {
            let mut registration = node.clone();
            (registration["Service"], registration["Checks"]) = (own.0, own.1.into());
            to.register(&registration).await?;
        }
    }
    Ok(())
}

fn forms<'a>(checks: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    checks.map(form::check).collect()
}

/// Of the checks there, those that have one of these ids, in their order.
fn named(there: &OnNode, service_id: &str, checks: &[Value]) -> Vec<Value> {
    let held = forms(there.checks_of(service_id));
    let same = |wanted: &Value| {
        let held = held.iter().find(|held| held["CheckID"] == wanted["CheckID"]);
        held.cloned().unwrap_or_default()
    };
    checks.iter().map(same).collect()
}

impl Server {
    /// The names of all nodes.
    pub(super) async fn nodes(&self) -> Result<Vec<String>, TransferError> {
        let nodes = self.list("/v1/catalog/nodes").await?;
        Ok(nodes.iter().map(|node| text(node, "Node")).collect())
    }

    /// What is on a node; none when there is no such node.
    pub(super) async fn on_node(&self, name: &str) -> Result<Option<OnNode>, TransferError> {
        let name = escaped(name);
        let shown = self.get(&format!("/v1/catalog/node/{name}")).await?;
        let Some(node) = shown.get("Node").filter(|node| node.is_object()) else {
            return Ok(None);
        };
        let services = shown.get("Services").and_then(Value::as_object);
        let services = services.into_iter().flatten().map(|(_, service)| service.clone()).collect();
        let checks = self.list(&format!("/v1/health/node/{name}")).await?;
        Ok(Some(OnNode { node: node.clone(), services, checks }))
    }

    async fn register(&self, registration: &Value) -> Result<(), TransferError> {
        self.put_done("/v1/catalog/register", json!(registration).to_string()).await
    }
}
