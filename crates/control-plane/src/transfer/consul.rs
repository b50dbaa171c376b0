//! Keys and external services from one Consul to another, of which either may be ours.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::plan::Step;
use super::{Endpoint, Report, Transfer, TransferError};

/// Operations in one transaction: Consul's limit.
const OPERATIONS: usize = 64;
/// Bytes in one transaction, in base64: under Consul's limit of 512 KiB.
const BYTES: usize = 384 << 10;
/// How long a server may take to accept a connection, and to answer one request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(60);
/// The check of a node that has an agent.
const AGENT_CHECK: &str = "serfHealth";

/// One server.
struct Server {
    endpoint: Endpoint,
    client: reqwest::Client,
}

/// What is under a key: the value in base64, and the flags.
type Entry = (String, u64);

pub(super) async fn copy(transfer: &Transfer) -> Result<Report, TransferError> {
    let from = Server::new(transfer, &transfer.from)?;
    let to = Server::new(transfer, &transfer.to)?;
    let mut report = Report::default();
    keys(transfer, &from, &to, &mut report).await?;
    // With a prefix, keys are meant.
    if transfer.prefix.is_empty() {
        services(transfer, &from, &to, &mut report).await?;
    }
    Ok(report)
}

async fn keys(
    transfer: &Transfer,
    from: &Server,
    to: &Server,
    report: &mut Report,
) -> Result<(), TransferError> {
    let path = format!("/v1/kv/{}?recurse", escaped(&transfer.prefix));
    let here = from.list(&path).await?;
    let there: HashMap<_, _> =
        to.list(&path).await?.iter().map(|item| (text(item, "Key"), entry(item))).collect();
    let (mut operations, mut bytes) = (Vec::new(), 0);
    for item in &here {
        let (key, own) = (text(item, "Key"), entry(item));
        if item.get("Session").is_some() {
            report.leave();
            continue;
        }
        let step = report.decide(&own, there.get(&key), transfer.keep);
        if step == Step::Skip || transfer.dry_run {
            continue;
        }
        let size = key.len() + own.0.len();
        if operations.len() >= OPERATIONS || (bytes + size > BYTES && !operations.is_empty()) {
            to.txn(std::mem::take(&mut operations)).await?;
            bytes = 0;
        }
        bytes += size;
        let (value, flags) = own;
        let set = json!({ "Verb": "set", "Key": key, "Value": value, "Flags": flags });
        operations.push(json!({ "KV": set }));
    }
    match operations.is_empty() {
        true => Ok(()),
        false => to.txn(operations).await,
    }
}

/// Services on nodes that no agent speaks for. Those of agents register themselves.
async fn services(
    transfer: &Transfer,
    from: &Server,
    to: &Server,
    report: &mut Report,
) -> Result<(), TransferError> {
    let agents = from.list("/v1/health/state/any").await?;
    let agents: Vec<_> = agents
        .iter()
        .filter(|check| text(check, "CheckID") == AGENT_CHECK)
        .map(|check| text(check, "Node"))
        .collect();
    for node in from.list("/v1/catalog/nodes").await? {
        let name = text(&node, "Node");
        let path = format!("/v1/catalog/node/{}", escaped(&name));
        let shown = from.call(Method::GET, &path, None).await?;
        let services = shown.get("Services").and_then(Value::as_object).cloned();
        let services: Vec<_> = services.unwrap_or_default().into_iter().map(|(_, s)| s).collect();
        if agents.contains(&name) {
            let own = services.iter().filter(|service| text(service, "Service") != "consul");
            report.own_services += own.count() as u64;
            continue;
        }
        let checks = from.list(&format!("/v1/health/node/{}", escaped(&name))).await?;
        for service in services {
            report.services += 1;
            if !transfer.dry_run {
                to.register(&node, &service, &checks).await?;
            }
        }
    }
    Ok(())
}

impl Server {
    fn new(transfer: &Transfer, endpoint: &Endpoint) -> Result<Self, TransferError> {
        let mut client =
            reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT).no_proxy();
        if endpoint.has_tls() {
            client = transfer.tls.add_to(client)?;
        }
        let client = client.build().map_err(|error| TransferError::Unreachable {
            endpoint: endpoint.to_string(),
            source: error.into(),
        })?;
        Ok(Self { endpoint: endpoint.clone(), client })
    }

    /// Calls; `Null` when there is nothing.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, TransferError> {
        let endpoint = || self.endpoint.to_string();
        let unreachable = |error: reqwest::Error| TransferError::Unreachable {
            endpoint: endpoint(),
            source: error.without_url().into(),
        };
        let action = if method == Method::GET { "list" } else { "write" };
        let mut request = self.client.request(method, format!("{}{path}", self.endpoint.url()));
        if let Some(token) = &self.endpoint.secret {
            request = request.header("X-Consul-Token", token.expose());
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        if status == StatusCode::NOT_FOUND {
            return Ok(Value::Null);
        }
        if !status.is_success() {
            let reason = format!("{status}: {}", String::from_utf8_lossy(&body).trim());
            return Err(TransferError::Refused { endpoint: endpoint(), action, reason });
        }
        serde_json::from_slice(&body).map_err(|_| TransferError::Refused {
            endpoint: endpoint(),
            action,
            reason: "its answer is no JSON".to_owned(),
        })
    }

    async fn list(&self, path: &str) -> Result<Vec<Value>, TransferError> {
        match self.call(Method::GET, path, None).await? {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }

    async fn txn(&self, operations: Vec<Value>) -> Result<(), TransferError> {
        self.call(Method::PUT, "/v1/txn", Some(Value::Array(operations))).await.map(|_| ())
    }

    async fn register(
        &self,
        node: &Value,
        service: &Value,
        checks: &[Value],
    ) -> Result<(), TransferError> {
        let id = text(service, "ID");
        let own = |check: &&Value| [String::new(), id.clone()].contains(&text(check, "ServiceID"));
        let checks: Vec<_> = checks.iter().filter(own).map(check).collect();
        let registration = json!({
            "Node": node["Node"],
            "Address": node["Address"],
            "TaggedAddresses": node["TaggedAddresses"],
            "NodeMeta": node["Meta"],
            "Service": {
                "ID": id,
                "Service": service["Service"],
                "Tags": service["Tags"],
                "Address": service["Address"],
                "Port": service["Port"],
                "Meta": service["Meta"],
            },
            "Checks": checks,
        });
        self.call(Method::PUT, "/v1/catalog/register", Some(registration)).await.map(|_| ())
    }
}

/// A check as a registration takes it.
fn check(check: &Value) -> Value {
    let names = ["Node", "CheckID", "Name", "Status", "Notes", "Output", "ServiceID"];
    let members = names.into_iter().map(|name| (name.to_owned(), check[name].clone()));
    Value::Object(members.collect())
}

fn entry(item: &Value) -> Entry {
    (text(item, "Value"), item.get("Flags").and_then(Value::as_u64).unwrap_or_default())
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A key or a name within a path.
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        // Writing to a string does not fail.
        let _ = match byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            true => write!(out, "{}", char::from(byte)),
            false => write!(out, "%{byte:02X}"),
        };
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_path_keeps_its_slashes_and_escapes_the_rest() {
        assert_eq!(escaped("a/b c?ü"), "a/b%20c%3F%C3%BC");
    }
}
