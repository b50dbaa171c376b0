//! Registrations in the catalog: nodes of others, with what is on them.

use super::check::definitions;
use super::service::service_spec;
use super::{IGNORED, meta, no_control_characters, output};
use crate::consul::failure::Failure;
use crate::consul::fields::Fields;
use crate::registry::{CheckKind, CheckSpec, Command, NodeSpec, Status, Thresholds};

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
    let skip_update = fields.flag("SkipNodeUpdate")?;
    if node.name.is_empty() {
        return Err(Failure::internal("Must provide node"));
    }
    if node.address.is_empty() && !skip_update {
        return Err(Failure::internal("Must provide address if SkipNodeUpdate is not set"));
    }
    if !node.id.is_empty()
        && let Err(error) = uuid::Uuid::parse_str(&node.id)
    {
        return Err(Failure::internal(format!("Bad node ID: {error}")));
    }
    no_control_characters("node", &node.name)?;
    let service = fields.take("Service").map(|value| {
        let mut fields = Fields::of(value, "Service")?;
        let name = fields.text("Service")?;
        if name.is_empty() {
            return Err(Failure::internal("Must provide service name with ID"));
        }
        let service = service_spec(&mut fields, &node.name, name)?;
        fields.finish().map(|()| service)
    });
    let (one, many) = (fields.take("Check"), fields.take("Checks"));
    let check = |mut definition: Fields| {
        let check = catalog_check(&mut definition, &node.name)?;
        definition.finish().map(|()| check)
    };
    let checks = definitions(one, many)?.into_iter().map(check).collect::<Result<_, _>>()?;
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
    Err(Failure::no_path(datacenter))
}

/// A check as the catalog has it: a finding, not something to run.
fn catalog_check(fields: &mut Fields, node: &str) -> Result<CheckSpec, Failure> {
    let on = fields.text("Node")?;
    if !on.is_empty() && !on.eq_ignore_ascii_case(node) {
        let text = format!("check node {on:?} does not match node {node:?}");
        return Err(Failure::internal(text));
    }
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
        output: output(fields.text("Output")?),
        service_id: fields.text("ServiceID")?,
        kind: CheckKind::External,
        deregister_after: None,
        thresholds: Thresholds::default(),
        definition: fields.take("Definition").unwrap_or_default(),
    };
    no_control_characters("check ID", &spec.id)?;
    let derived = ["ServiceName", "ServiceTags", "Type"];
    fields.ignore(&derived);
    fields.ignore(&["CreateIndex", "ModifyIndex"]);
    fields.ignore(&IGNORED);
    if spec.id.is_empty() {
        return Err(Failure::internal("Must provide a check ID or name"));
    }
    Ok(spec)
}
