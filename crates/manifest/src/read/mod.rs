//! A YAML tree to the model, all problems collected.

mod control_plane;
mod failure_on;
mod gateway;
mod limit;
mod scalars;
mod service;
mod traffic;

use regatta_core::ServiceName;
use regatta_yaml::{Fields, Node, Problem};

pub(crate) use control_plane::PlacedControlPlane;
pub(crate) use gateway::PlacedGateway;
pub(crate) use service::Placed;
pub use service::is_reserved;

use crate::{Manifest, check};

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
    let control_plane = control_plane::control_plane(fields.take("control_plane"), problems);
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
