//! The control plane, with the places of its addresses.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use regatta_yaml::{Fields, Mark, Node, Problem, Value};

use super::scalars;
use crate::{ControlPlane, ControlPlaneTls};

/// The control plane with the places of its addresses, where they are written.
#[derive(Default)]
pub(crate) struct PlacedControlPlane {
    pub(crate) control_plane: ControlPlane,
    pub(crate) listen: Option<Mark>,
    pub(crate) etcd_listen: Option<Mark>,
    pub(crate) dns_listen: Option<Mark>,
}

pub(super) fn control_plane(
    node: Option<&Node>,
    problems: &mut Vec<Problem>,
) -> PlacedControlPlane {
    let mut placed = PlacedControlPlane::default();
    let Some(node) = node else { return placed };
    let mut fields = Fields::of(node, "control_plane", problems);
    if let Some(node) = fields.take("listen") {
        placed.listen = Some(node.mark);
        let read: Option<SocketAddr> = scalars::address(node, "control_plane.listen", problems);
        placed.control_plane.listen = read.unwrap_or(placed.control_plane.listen);
    }
    if let Some(node) = fields.take("advertise") {
        placed.control_plane.advertise = scalars::ip(node, "control_plane.advertise", problems);
    }
    if let Some(node) = fields.take("etcd_listen") {
        placed.etcd_listen = Some(node.mark);
        placed.control_plane.etcd_listen = or_none(node, "control_plane.etcd_listen", problems);
    }
    if let Some(node) = fields.take("dns_listen") {
        placed.dns_listen = Some(node.mark);
        placed.control_plane.dns_listen = or_none(node, "control_plane.dns_listen", problems);
    }
    if let Some(node) = fields.take("access") {
        placed.control_plane.access = path(node, "control_plane.access", problems);
    }
    if let Some(node) = fields.take("tls") {
        placed.control_plane.tls = tls(node, problems);
    }
    if let Some(node) = fields.take("datacenter") {
        let read = scalars::text(node, "control_plane.datacenter", problems);
        placed.control_plane.datacenter = read;
    }
    if let Some(node) = fields.take("node_name") {
        placed.control_plane.node_name = scalars::text(node, "control_plane.node_name", problems);
    }
    if let Some(node) = fields.take("limits") {
        placed.control_plane.limits = limits(node, problems);
    }
    fields.finish(problems);
    placed
}

/// Names and values as they are written: the control plane knows which there are.
fn limits(node: &Node, problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let Value::Map(entries) = &node.value else {
        let message = format!(
            "control_plane.limits: expected a map, found {}; write lines such as `etcd.max_leases: \
             1000`",
            node.found()
        );
        problems.push(Problem::new(node.mark, message));
        return BTreeMap::new();
    };
    let read = entries.iter().filter_map(|(key, node)| {
        let name = format!("control_plane.limits.{}", key.text);
        Some((key.text.clone(), scalars::text(node, &name, problems)?))
    });
    read.collect()
}

/// An address, or the word none.
fn or_none(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<SocketAddr> {
    match node.scalar().map(|scalar| scalar.text.as_str()) {
        Some("none") => None,
        _ => scalars::address(node, name, problems),
    }
}

fn tls(node: &Node, problems: &mut Vec<Problem>) -> Option<ControlPlaneTls> {
    let mut fields = Fields::of(node, "control_plane.tls", problems);
    let mut file = |name: &'static str, problems: &mut Vec<Problem>| {
        let node = fields.take(name)?;
        path(node, &format!("control_plane.tls.{name}"), problems)
    };
    let (certificate, key) = (file("cert", problems), file("key", problems));
    let (ca, client_ca) = (file("ca", problems), file("client_ca", problems));
    fields.finish(problems);
    if let (Some(certificate), Some(key)) = (certificate, key) {
        return Some(ControlPlaneTls { certificate, key, ca, client_ca });
    }
    let message = "control_plane.tls: a certificate and its key belong together; write \
                   `tls: { cert: control.pem, key: control.key }`";
    problems.push(Problem::new(node.mark, message));
    None
}

fn path(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<PathBuf> {
    scalars::text(node, name, problems).map(PathBuf::from)
}
