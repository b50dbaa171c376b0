//! A YAML tree to the model, all problems collected.

mod gateway;
mod scalars;
mod service;
mod traffic;

use std::net::SocketAddr;

use regatta_core::ServiceName;
use regatta_yaml::{Fields, Mark, Node, Problem};

pub(crate) use gateway::PlacedGateway;
pub(crate) use service::Placed;

use crate::{ControlPlane, Manifest, check};

/// Reads the whole document; none when it has no name, which is a problem too.
pub(crate) fn manifest(root: &Node, problems: &mut Vec<Problem>) -> Option<Manifest> {
    let mut fields = Fields::of(root, "", problems);
    let name = system_name(&mut fields, problems);
    let (services, names) = match fields.take("services") {
        Some(node) => service::services(node, problems),
        None => {
            let message = "no services; write `services:` and below it one entry a service, such \
                           as `user-service: { run: { cargo: user-service } }`";
            problems.push(Problem::new(fields.mark(), message));
            Default::default()
        }
    };
    let gateway = gateway::gateway(fields.take("gateway"), problems);
    let control_plane = control_plane(fields.take("control_plane"), problems);
    fields.finish(problems);
    check::consistency(&services, &names, &gateway, &control_plane, problems);
    let services = services.into_iter().map(|placed| placed.service).collect();
    Some(Manifest {
        name: name?,
        services,
        gateway: gateway.gateway,
        control_plane: control_plane.control_plane,
    })
}

fn system_name(fields: &mut Fields<'_>, problems: &mut Vec<Problem>) -> Option<String> {
    let Some(node) = fields.take("name") else {
        let message = "the system has no name; write `name: shop`";
        problems.push(Problem::new(fields.mark(), message));
        return None;
    };
    let text = scalars::text(node, "name", problems)?;
    if ServiceName::try_new(&text).is_err() {
        let message = format!(
            "name: `{text}` is not a name; use 1 to 63 of a-z, 0-9 and `-`, beginning with a letter \
             and not ending with `-`"
        );
        problems.push(Problem::new(node.mark, message));
    }
    Some(text)
}

/// The control plane with the places of its addresses, where they are written.
#[derive(Default)]
pub(crate) struct PlacedControlPlane {
    pub(crate) control_plane: ControlPlane,
    pub(crate) listen: Option<Mark>,
    pub(crate) etcd_listen: Option<Mark>,
    pub(crate) dns_listen: Option<Mark>,
}

fn control_plane(node: Option<&Node>, problems: &mut Vec<Problem>) -> PlacedControlPlane {
    let mut placed = PlacedControlPlane::default();
    let Some(node) = node else { return placed };
    let mut fields = Fields::of(node, "control_plane", problems);
    if let Some(node) = fields.take("listen") {
        placed.listen = Some(node.mark);
        let read: Option<SocketAddr> = scalars::address(node, "control_plane.listen", problems);
        placed.control_plane.listen = read.unwrap_or(placed.control_plane.listen);
    }
    if let Some(node) = fields.take("etcd_listen") {
        placed.etcd_listen = Some(node.mark);
        placed.control_plane.etcd_listen = or_none(node, "control_plane.etcd_listen", problems);
    }
    if let Some(node) = fields.take("dns_listen") {
        placed.dns_listen = Some(node.mark);
        placed.control_plane.dns_listen = or_none(node, "control_plane.dns_listen", problems);
    }
    fields.finish(problems);
    placed
}

/// An address, or the word none.
fn or_none(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<SocketAddr> {
    match node.scalar().map(|scalar| scalar.text.as_str()) {
        Some("none") => None,
        _ => scalars::address(node, name, problems),
    }
}
