//! Definitions of checks.

use std::time::Duration;

use serde_json::Value;

use super::{no_control_characters, output};
use crate::consul::failure::Failure;
use crate::consul::fields::{Fields, failure};
use crate::registry::{CheckKind, CheckSpec, Command, Status, Thresholds};

/// Consul probes no more often, and raises what is less.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Consul's timeout of a check that names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// A longer timeout counts as this: a probe holds one of the places of all that run.
const MAX_TIMEOUT: Duration = Duration::from_secs(300);

/// `PUT /v1/agent/check/register`.
pub(crate) fn check(body: &[u8], node: &str) -> Result<Command, Failure> {
    let mut fields = Fields::parse(body)?;
    let mut check = check_spec(&mut fields, node, "Bad check status")?;
    fields.finish()?;
    if check.name.is_empty() {
        return Err(Failure::bad_request("Missing check name"));
    }
    if check.id.is_empty() {
        check.id.clone_from(&check.name);
    }
    Ok(Command::RegisterCheck { check })
}

/// `PUT /v1/agent/check/update/:id`: status and output.
pub(crate) fn update(body: &[u8]) -> Result<(Status, String), Failure> {
    let mut fields = Fields::parse(body)?;
    let (status, output) = (fields.text("Status")?, fields.text("Output")?);
    fields.finish()?;
    let bad = || Failure::bad_request(format!("Invalid check status: '{status}'"));
    Ok((Status::parse(&status).ok_or_else(bad)?, output))
}

/// The definitions in `Check` and `Checks`.
pub(super) fn definitions(one: Option<Value>, many: Option<Value>) -> Result<Vec<Fields>, Failure> {
    let many = match many {
        None => Vec::new(),
        Some(Value::Array(many)) => many,
        Some(_) => return Err(failure("Checks is not a list")),
    };
    let present = one.into_iter().chain(many).filter(|value| {
        // A client that has no check to define may send an empty one.
        value.as_object().is_none_or(|members| !members.is_empty())
    });
    present.map(|value| Fields::of(value, "Check")).collect()
}

/// A check that this control plane runs.
pub(super) fn check_spec(
    fields: &mut Fields,
    node: &str,
    bad_status: &str,
) -> Result<CheckSpec, Failure> {
    let (check_id, id) = (fields.text("CheckID")?, fields.text("ID")?);
    let status = match fields.text("Status")?.as_str() {
        "" => None,
        text => Some(Status::parse(text).ok_or_else(|| Failure::bad_request(bad_status))?),
    };
    let spec = CheckSpec {
        node: node.to_owned(),
        id: if check_id.is_empty() { id } else { check_id },
        name: fields.text("Name")?,
        status,
        notes: fields.text("Notes")?,
        output: output(fields.text("Output")?),
        service_id: fields.text("ServiceID")?,
        deregister_after: fields.duration("DeregisterCriticalServiceAfter")?,
        thresholds: Thresholds {
            passing: fields.number("SuccessBeforePassing")?.unwrap_or(0),
            critical: fields.number("FailuresBeforeCritical")?.unwrap_or(0),
        },
        kind: kind(fields)?,
        definition: Value::Null,
    };
    no_control_characters("check ID", &spec.id)?;
    fields.ignore(&super::IGNORED);
    fields.ignore(&["Shell", "OutputMaxSize", "TLSServerName", "ServiceName"]);
    Ok(spec)
}

fn kind(fields: &mut Fields) -> Result<CheckKind, Failure> {
    let invalid = |text: &str| Failure::bad_request(format!("Invalid check: {text}"));
    refuse_what_is_not_run(fields)?;
    let (tcp, url, grpc) = (fields.text("TCP")?, fields.text("HTTP")?, fields.text("GRPC")?);
    let tls = fields.flag("GRPCUseTLS")?;
    let interval = fields.duration("Interval")?.unwrap_or_default();
    let timeout = fields.duration("Timeout")?.filter(|timeout| !timeout.is_zero());
    let timeout = timeout.unwrap_or(DEFAULT_TIMEOUT).min(MAX_TIMEOUT);
    let ttl = fields.duration("TTL")?.unwrap_or_default();
    let (method, body) = (fields.text("Method")?, fields.text("Body")?);
    let (header, skip_verify) = (header(fields)?, fields.flag("TLSSkipVerify")?);
    if !interval.is_zero() && !ttl.is_zero() {
        return Err(invalid("Interval and TTL cannot both be specified"));
    }
    if tcp.is_empty() && url.is_empty() && grpc.is_empty() {
        if ttl.is_zero() {
            return Err(invalid("TTL must be > 0 for TTL checks"));
        }
        return Ok(CheckKind::Ttl { ttl });
    }
    if interval.is_zero() {
        return Err(invalid("Interval must be > 0 for Script, HTTP, or TCP checks"));
    }
    let interval = interval.max(MIN_INTERVAL);
    if !url.is_empty() {
        let parsed = reqwest::Url::parse(&url).ok().filter(|url| url.has_host());
        if parsed.is_none_or(|url| !["http", "https"].contains(&url.scheme())) {
            return Err(invalid(&format!(
                "HTTP {url:?} is not a URL; write http://host:port/path"
            )));
        }
        let method = if method.is_empty() { "GET".to_owned() } else { method };
        return Ok(CheckKind::Http { url, method, header, body, skip_verify, interval, timeout });
    }
    if !tcp.is_empty() {
        return Ok(CheckKind::Tcp { address: tcp, interval, timeout });
    }
    let (address, service) = grpc.split_once('/').unwrap_or((&grpc, ""));
    if format!("http://{address}").parse::<http::Uri>().is_err() {
        return Err(invalid(&format!("GRPC {grpc:?} is no target; write host:port/service")));
    }
    let (address, service) = (address.to_owned(), service.to_owned());
    Ok(CheckKind::Grpc { address, service, tls, skip_verify, interval, timeout })
}

fn refuse_what_is_not_run(fields: &mut Fields) -> Result<(), Failure> {
    for name in ["DockerContainerID", "AliasService", "AliasNode", "Script"] {
        if !fields.text(name)?.is_empty() {
            return Err(Failure::bad_request(format!(
                "Invalid check: {name} checks are not supported; use TCP, HTTP, gRPC or TTL"
            )));
        }
    }
    if fields.texts("Args")?.is_empty() && fields.texts("ScriptArgs")?.is_empty() {
        return Ok(());
    }
    // Consul's words, and its default.
    Err(Failure::internal("Scripts are disabled on this agent; use TCP, HTTP, gRPC or TTL"))
}

/// Names with one value or several.
fn header(fields: &mut Fields) -> Result<Vec<(String, String)>, Failure> {
    let mut header = Vec::new();
    for (name, value) in fields.map("Header")? {
        let valid = http::HeaderName::from_bytes(name.as_bytes()).is_ok();
        let values = match value {
            Value::String(value) => vec![Value::String(value)],
            Value::Array(values) => values,
            _ => Vec::new(),
        };
        for value in values {
            let value = value.as_str().filter(|v| valid && http::HeaderValue::from_str(v).is_ok());
            let value =
                value.ok_or_else(|| failure(&format!("Header {name:?} is not a header")))?;
            header.push((name.clone(), value.to_owned()));
        }
    }
    Ok(header)
}
