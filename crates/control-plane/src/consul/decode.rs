//! Registrations as clients send them, checked and turned into commands.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::failure::Failure;
use super::fields::{Fields, failure};
use crate::registry::{
    Address, CheckKind, CheckSpec, Command, NodeSpec, ServiceSpec, Status, Weights,
};

/// Consul probes no more often, and raises what is less.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Consul's timeout of a check that names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Consul's limits of metadata: pairs, bytes of a key, bytes of a value.
const META: (usize, usize, usize) = (64, 128, 512);
/// What Consul's definitions have for its service mesh and its tokens, which mean nothing here.
const IGNORED: [&str; 8] =
    ["Token", "Namespace", "Partition", "Proxy", "Connect", "Locality", "Datacenter", "PeerName"];

/// `PUT /v1/agent/service/register`.
pub(crate) fn service(body: &[u8], node: &str, replace_checks: bool) -> Result<Command, Failure> {
    let mut fields = Fields::parse(body)?;
    let (one, many) = (fields.take("Check"), fields.take("Checks"));
    let service = service_spec(&mut fields, node, "Name")?;
    fields.finish()?;
    let definitions = definitions(one, many)?;
    let several = definitions.len() > 1;
    let mut checks = Vec::with_capacity(definitions.len());
    for (number, mut definition) in (1..).zip(definitions) {
        let bad_status = "Status for checks must 'passing', 'warning', 'critical'";
        let mut check = check_spec(&mut definition, node, bad_status)?;
        definition.finish()?;
        if check.id.is_empty() {
            let suffix = if several { format!(":{number}") } else { String::new() };
            check.id = format!("service:{}{suffix}", service.id);
        }
        if check.name.is_empty() {
            check.name = format!("Service '{}' check", service.name);
        }
        check.service_id.clone_from(&service.id);
        checks.push(check);
    }
    Ok(Command::RegisterService { service, checks, replace_checks })
}

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

/// `PUT /v1/catalog/register`.
pub(crate) fn catalog(body: &[u8], datacenter: &str) -> Result<Command, Failure> {
    let mut fields = Fields::parse(body)?;
    own_datacenter(&mut fields, datacenter)?;
    let node = NodeSpec {
        name: fields.text("Node")?,
        id: fields.text("ID")?,
        address: fields.text("Address")?,
        tagged_addresses: fields.text_map("TaggedAddresses")?,
        meta: meta(&mut fields, "NodeMeta")?,
    };
    if node.name.is_empty() || node.address.is_empty() {
        return Err(Failure::internal("Must provide node and address"));
    }
    no_control_characters("node", &node.name)?;
    let service = fields.take("Service").map(|value| {
        let mut fields = Fields::of(value, "Service")?;
        let service = service_spec(&mut fields, &node.name, "Service")?;
        fields.finish().map(|()| service)
    });
    let (one, many) = (fields.take("Check"), fields.take("Checks"));
    let check = |mut definition: Fields| {
        let check = catalog_check(&mut definition, &node.name)?;
        definition.finish().map(|()| check)
    };
    let checks = definitions(one, many)?.into_iter().map(check).collect::<Result<_, _>>()?;
    let skip_update = fields.flag("SkipNodeUpdate")?;
    fields.ignore(&IGNORED);
    fields.finish()?;
    Ok(Command::RegisterNode { node, skip_update, service: service.transpose()?, checks })
}

/// `PUT /v1/catalog/deregister`.
pub(crate) fn catalog_removal(body: &[u8], datacenter: &str) -> Result<Command, Failure> {
    let mut fields = Fields::parse(body)?;
    own_datacenter(&mut fields, datacenter)?;
    let node = fields.text("Node")?;
    let some = |text: String| (!text.is_empty()).then_some(text);
    let service_id = some(fields.text("ServiceID")?);
    let check_id = some(fields.text("CheckID")?);
    fields.ignore(&["Address"]);
    fields.ignore(&IGNORED);
    fields.finish()?;
    if node.is_empty() {
        return Err(Failure::internal("Must provide node"));
    }
    Ok(Command::DeregisterNode { node, service_id, check_id })
}

fn own_datacenter(fields: &mut Fields, datacenter: &str) -> Result<(), Failure> {
    let asked = fields.text("Datacenter")?;
    if asked.is_empty() || asked == datacenter {
        return Ok(());
    }
    Err(Failure::internal("No path to datacenter"))
}

fn definitions(one: Option<Value>, many: Option<Value>) -> Result<Vec<Fields>, Failure> {
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

fn service_spec(fields: &mut Fields, node: &str, name: &str) -> Result<ServiceSpec, Failure> {
    let name = fields.text(name)?;
    if name.is_empty() {
        return Err(Failure::bad_request("Missing service name"));
    }
    let id = fields.text("ID")?;
    let id = if id.is_empty() { name.clone() } else { id };
    no_control_characters("service name", &name)?;
    no_control_characters("service ID", &id)?;
    let kind = fields.text("Kind")?;
    if !kind.is_empty() {
        let text = format!("service kind {kind:?} is not supported; register without a kind");
        return Err(Failure::bad_request(text));
    }
    let address = fields.text("Address")?;
    if ["0.0.0.0", "::", "[::]"].contains(&address.as_str()) {
        return Err(Failure::bad_request("Invalid service address"));
    }
    let spec = ServiceSpec {
        node: node.to_owned(),
        id,
        name,
        tags: fields.texts("Tags")?,
        meta: meta(fields, "Meta")?,
        address,
        port: fields.number("Port")?.unwrap_or(0),
        weights: weights(fields)?,
        tagged_addresses: tagged_addresses(fields)?,
        enable_tag_override: fields.flag("EnableTagOverride")?,
    };
    fields.ignore(&IGNORED);
    fields.ignore(&["CreateIndex", "ModifyIndex"]);
    Ok(spec)
}

fn check_spec(fields: &mut Fields, node: &str, bad_status: &str) -> Result<CheckSpec, Failure> {
    let (check_id, id) = (fields.text("CheckID")?, fields.text("ID")?);
    let status = fields.text("Status")?;
    let status = match status.as_str() {
        "" => None,
        text => {
            Some(Status::parse(text).ok_or_else(|| Failure::bad_request(bad_status.to_owned()))?)
        }
    };
    let spec = CheckSpec {
        node: node.to_owned(),
        id: if check_id.is_empty() { id } else { check_id },
        name: fields.text("Name")?,
        status,
        notes: fields.text("Notes")?,
        output: fields.text("Output")?,
        service_id: fields.text("ServiceID")?,
        deregister_after: fields.duration("DeregisterCriticalServiceAfter")?,
        kind: check_kind(fields)?,
    };
    no_control_characters("check ID", &spec.id)?;
    fields.ignore(&IGNORED);
    fields.ignore(&["Shell", "OutputMaxSize", "TLSServerName", "GRPCUseTLS", "ServiceName"]);
    Ok(spec)
}

fn check_kind(fields: &mut Fields) -> Result<CheckKind, Failure> {
    let invalid = |text: &str| Failure::bad_request(format!("Invalid check: {text}"));
    for name in ["GRPC", "DockerContainerID", "AliasService", "AliasNode", "Script"] {
        if !fields.text(name)?.is_empty() {
            return Err(invalid(&format!("{name} checks are not supported; use TCP, HTTP or TTL")));
        }
    }
    if !(fields.texts("Args")?.is_empty() && fields.texts("ScriptArgs")?.is_empty()) {
        // Consul's words, and its default.
        return Err(Failure::bad_request(
            "Scripts are disabled on this agent; use TCP, HTTP or TTL",
        ));
    }
    for name in ["SuccessBeforePassing", "FailuresBeforeCritical"] {
        if fields.number::<u64>(name)?.is_some_and(|number| number > 0) {
            return Err(invalid(&format!("{name} is not supported; leave it out")));
        }
    }
    let (tcp, url) = (fields.text("TCP")?, fields.text("HTTP")?);
    let interval = fields.duration("Interval")?.unwrap_or_default();
    let timeout = fields.duration("Timeout")?.filter(|timeout| !timeout.is_zero());
    let timeout = timeout.unwrap_or(DEFAULT_TIMEOUT);
    let ttl = fields.duration("TTL")?.unwrap_or_default();
    let (method, body) = (fields.text("Method")?, fields.text("Body")?);
    let (header, skip_verify) = (header(fields)?, fields.flag("TLSSkipVerify")?);
    if !interval.is_zero() && !ttl.is_zero() {
        return Err(invalid("Interval and TTL cannot both be specified"));
    }
    if tcp.is_empty() && url.is_empty() {
        if ttl.is_zero() {
            return Err(invalid("TTL must be > 0 for TTL checks"));
        }
        return Ok(CheckKind::Ttl { ttl });
    }
    if interval.is_zero() {
        return Err(invalid("Interval must be > 0 for Script, HTTP, or TCP checks"));
    }
    let interval = interval.max(MIN_INTERVAL);
    if url.is_empty() {
        return Ok(CheckKind::Tcp { address: tcp, interval, timeout });
    }
    let parsed = reqwest::Url::parse(&url).ok().filter(|url| url.has_host());
    if parsed.is_none_or(|url| !["http", "https"].contains(&url.scheme())) {
        return Err(invalid(&format!("HTTP {url:?} is not a URL; write http://host:port/path")));
    }
    let method = if method.is_empty() { "GET".to_owned() } else { method };
    Ok(CheckKind::Http { url, method, header, body, skip_verify, interval, timeout })
}

/// A check as the catalog has it: a finding, not something to run.
fn catalog_check(fields: &mut Fields, node: &str) -> Result<CheckSpec, Failure> {
    let status = fields.text("Status")?;
    let id = fields.text("CheckID")?;
    let name = fields.text("Name")?;
    let spec = CheckSpec {
        node: node.to_owned(),
        id: if id.is_empty() { name.clone() } else { id },
        name,
        status: Some(match status.as_str() {
            "" => Status::Critical,
            text => Status::parse(text).ok_or_else(|| Failure::internal("Invalid check status"))?,
        }),
        notes: fields.text("Notes")?,
        output: fields.text("Output")?,
        service_id: fields.text("ServiceID")?,
        kind: CheckKind::External,
        deregister_after: None,
    };
    no_control_characters("check ID", &spec.id)?;
    let derived = ["Node", "ServiceName", "ServiceTags", "Type", "Definition"];
    fields.ignore(&derived);
    fields.ignore(&["CreateIndex", "ModifyIndex"]);
    fields.ignore(&IGNORED);
    if spec.id.is_empty() {
        return Err(Failure::internal("Must provide a check ID or name"));
    }
    Ok(spec)
}

fn weights(fields: &mut Fields) -> Result<Weights, Failure> {
    let Some(value) = fields.take("Weights") else {
        return Ok(Weights { passing: 1, warning: 1 });
    };
    let mut fields = Fields::of(value, "Weights")?;
    let passing = fields.number("Passing")?.unwrap_or(1);
    let warning = fields.number("Warning")?.unwrap_or(1);
    fields.finish()?;
    // Consul's range (its documentation, "Service definition", weights).
    if !(1..=65_535).contains(&passing) {
        return Err(Failure::bad_request("Invalid Weights: Passing must be between 1 and 65535"));
    }
    if !(0..=65_535).contains(&warning) {
        return Err(Failure::bad_request("Invalid Weights: Warning must be between 0 and 65535"));
    }
    Ok(Weights { passing, warning })
}

fn tagged_addresses(fields: &mut Fields) -> Result<BTreeMap<String, Address>, Failure> {
    let address = |(name, value)| {
        let mut fields = Fields::of(value, "TaggedAddresses")?;
        let address = fields.text("Address")?;
        let port = fields.number("Port")?.unwrap_or(0);
        fields.finish()?;
        Ok((name, Address { address, port }))
    };
    fields.map("TaggedAddresses")?.into_iter().map(address).collect()
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

fn meta(fields: &mut Fields, name: &str) -> Result<BTreeMap<String, String>, Failure> {
    let meta = fields.text_map(name)?;
    let invalid = |text: String| Failure::bad_request(format!("Invalid Service Meta: {text}"));
    let (pairs, key_bytes, value_bytes) = META;
    if meta.len() > pairs {
        let text = format!("Node metadata cannot contain more than {pairs} key/value pairs");
        return Err(invalid(text));
    }
    for (key, value) in &meta {
        let valid = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if key.is_empty() || !valid {
            return Err(invalid(format!(
                "Couldn't load metadata pair ('{key}', '{value}'): Key contains invalid characters"
            )));
        }
        if key.len() > key_bytes || value.len() > value_bytes {
            return Err(invalid(format!(
                "Couldn't load metadata pair ('{key}'): Key is limited to {key_bytes} characters, \
                 Value to {value_bytes}"
            )));
        }
    }
    Ok(meta)
}

/// Names and ids are keys of the store, parts of URLs and of logs.
fn no_control_characters(what: &str, text: &str) -> Result<(), Failure> {
    if text.len() > 512 {
        return Err(Failure::bad_request(format!("Invalid {what}: longer than 512 bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Failure::bad_request(format!(
            "Invalid {what}: {text:?} has control characters"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn registered(json: &str) -> (ServiceSpec, Vec<CheckSpec>) {
        match service(json.as_bytes(), "node", false).unwrap() {
            Command::RegisterService { service, checks, .. } => (service, checks),
            other => panic!("{other:?}"),
        }
    }

    fn refused(json: &str) -> String {
        format!("{:?}", service(json.as_bytes(), "node", false).unwrap_err())
    }

    #[test]
    fn an_id_defaults_to_the_name() {
        let (service, checks) = registered(r#"{"name":"web"}"#);
        assert_eq!((service.id.as_str(), service.port), ("web", 0));
        assert!(checks.is_empty());
    }

    #[test]
    fn checks_are_numbered_when_there_are_several() {
        let ids = |json| registered(json).1.into_iter().map(|check| check.id).collect::<Vec<_>>();
        assert_eq!(ids(r#"{"name":"a","check":{"ttl":"1s"}}"#), ["service:a"]);
        let two = r#"{"name":"a","checks":[{"ttl":"1s"},{"tcp":"a:1","interval":"1s"}]}"#;
        assert_eq!(ids(two), ["service:a:1", "service:a:2"]);
        assert_eq!(ids(r#"{"name":"a","check":{"CheckID":"x","ttl":"1s"}}"#), ["x"]);
    }

    #[test]
    fn reads_an_http_check_with_header_and_bounds() {
        let json = r#"{"Name":"a","Check":{"HTTP":"http://h:1/x","Interval":"10ms","Method":"POST",
            "Header":{"X-A":["1","2"]},"DeregisterCriticalServiceAfter":"90m"}}"#;
        let check = registered(json).1.remove(0);
        assert_eq!(check.deregister_after, Some(Duration::from_secs(5400)));
        let CheckKind::Http { method, header, interval, timeout, .. } = check.kind else {
            panic!("{check:?}")
        };
        assert_eq!((method.as_str(), header.len()), ("POST", 2));
        assert_eq!((interval, timeout), (MIN_INTERVAL, DEFAULT_TIMEOUT));
    }

    #[test]
    fn says_what_is_wrong_in_consuls_words() {
        for (json, text) in [
            (r"{}", "Missing service name"),
            (r#"{"name":"a","surprise":1}"#, "unknown field"),
            (r#"{"name":"a","address":"0.0.0.0"}"#, "Invalid service address"),
            (r#"{"name":"a","port":70000}"#, "Port is a number"),
            (r#"{"name":"a","weights":{"passing":0}}"#, "Invalid Weights"),
            (r#"{"name":"a","check":{"tcp":"a:1"}}"#, "Interval must be > 0"),
            (r#"{"name":"a","check":{"interval":"1s"}}"#, "TTL must be > 0"),
            (r#"{"name":"a","check":{"ttl":"1s","interval":"1s"}}"#, "cannot both"),
            (r#"{"name":"a","check":{"ttl":"1s","status":"fine"}}"#, "must 'passing'"),
            (r#"{"name":"a","check":{"http":"ftp://a","interval":"1s"}}"#, "is not a URL"),
            (r#"{"name":"a","check":{"args":["sh"],"interval":"1s"}}"#, "Scripts are disabled"),
            (r#"{"name":"a","check":{"grpc":"a:1","interval":"1s"}}"#, "not supported"),
            (r#"{"name":"a","meta":{"a b":"c"}}"#, "invalid characters"),
            (r#"{"name":"a\u0000b"}"#, "control characters"),
        ] {
            assert!(refused(json).contains(text), "{json}: {}", refused(json));
        }
    }

    #[test]
    fn the_catalog_needs_a_node_with_an_address_in_this_datacenter() {
        assert!(catalog(br#"{"node":"n"}"#, "dc1").is_err());
        assert!(catalog(br#"{"node":"n","address":"a","datacenter":"dc2"}"#, "dc1").is_err());
        let json = br#"{"node":"n","address":"a","service":{"service":"s","tags":null},
            "check":{"name":"c","status":"passing","serviceid":"s"}}"#;
        let Command::RegisterNode { service, checks, .. } = catalog(json, "dc1").unwrap() else {
            panic!("is another command")
        };
        assert_eq!(service.unwrap().id, "s");
        assert_eq!((checks[0].id.as_str(), checks[0].status), ("c", Some(Status::Passing)));
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused_without_a_panic(body: Vec<u8>) {
            let _ = (service(&body, "n", false), check(&body, "n"), update(&body));
            let _ = (catalog(&body, "dc1"), catalog_removal(&body, "dc1"));
        }
    }
}
