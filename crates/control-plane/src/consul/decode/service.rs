//! Definitions of services.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::check::{check_spec, definitions};
use super::{IGNORED, meta, no_control_characters};
use crate::consul::failure::Failure;
use crate::consul::fields::Fields;
use crate::registry::{Address, Command, ServiceSpec, Weights};

/// `PUT /v1/agent/service/register`.
pub(crate) fn service(body: &[u8], node: &str, replace_checks: bool) -> Result<Command, Failure> {
    let mut fields = Fields::parse(body)?;
    let (one, many) = (fields.take("Check"), fields.take("Checks"));
    let name = fields.text("Name")?;
    if name.is_empty() {
        return Err(Failure::bad_request("Missing service name"));
    }
    let mut service = service_spec(&mut fields, node, name)?;
    fields.finish()?;
    tag_own_address(&mut service);
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

/// Lists the address of a service among its tagged ones, as Consul's agent does.
fn tag_own_address(service: &mut ServiceSpec) {
    let names = match service.address.parse() {
        Ok(IpAddr::V4(_)) => ["lan_ipv4", "wan_ipv4"],
        Ok(IpAddr::V6(_)) => ["lan_ipv6", "wan_ipv6"],
        Err(_) => return,
    };
    for name in names {
        let own = || Address { address: service.address.clone(), port: service.port };
        service.tagged_addresses.entry(name.to_owned()).or_insert_with(own);
    }
}

/// A service of this name.
pub(super) fn service_spec(
    fields: &mut Fields,
    node: &str,
    name: String,
) -> Result<ServiceSpec, Failure> {
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

fn weights(fields: &mut Fields) -> Result<Weights, Failure> {
    let Some(value) = fields.take("Weights") else {
        return Ok(Weights { passing: 1, warning: 1 });
    };
    let mut fields = Fields::of(value, "Weights")?;
    let passing = fields.number("Passing")?.unwrap_or(0);
    let warning = fields.number("Warning")?.unwrap_or(0);
    fields.finish()?;
    // Consul's range and words.
    if passing == 0 {
        return Err(Failure::bad_request("Invalid Weights: Passing must be greater than 0"));
    }
    if passing > 65_535 || warning > 65_535 {
        let text = "Invalid Weights: DNS Weight must be between 0 and 65535";
        return Err(Failure::bad_request(text));
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
