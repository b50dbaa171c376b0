//! What of the registry is the control plane's own, and nobody else's to change.

use super::command::{CheckSpec, Command, Rejection};
use super::{OWN_SERVICE, SERF_HEALTH};

/// Refuses a command that would replace or remove what the control plane says of itself: the
/// service `consul` and the check `serfHealth` of its node. Every session lives with that check.
///
/// The service is none of the agent's, as in Consul: a check of it, or its maintenance, is refused
/// as if it were not there.
pub(super) fn refuse(own_node: &str, command: &Command) -> Result<(), Rejection> {
    let service = |node: &str, id: &str| {
        let is_own = node == own_node && id == OWN_SERVICE;
        if is_own { Err(Rejection::Own { what: "service", id: OWN_SERVICE }) } else { Ok(()) }
    };
    let check = |node: &str, id: &str| {
        let is_own = node == own_node && id == SERF_HEALTH;
        if is_own { Err(Rejection::Own { what: "check", id: SERF_HEALTH }) } else { Ok(()) }
    };
    let spec = |spec: &CheckSpec| {
        check(&spec.node, &spec.id)?;
        match service(&spec.node, &spec.service_id) {
            Ok(()) => Ok(()),
            Err(_) => Err(Rejection::NoSuchService { id: spec.service_id.clone() }),
        }
    };
    match command {
        Command::RegisterService { service: put, checks, .. } => {
            service(&put.node, &put.id)?;
            checks.iter().try_for_each(spec)
        }
        Command::DeregisterService { key } => service(&key.node, &key.id),
        Command::RegisterCheck { check } => spec(check),
        Command::DeregisterCheck { key } => check(&key.node, &key.id),
        Command::Maintain { node, service_id: Some(id), .. } => match service(node, id) {
            Ok(()) => Ok(()),
            Err(_) => Err(Rejection::NothingToMaintain { id: id.clone() }),
        },
        Command::RegisterNode { service: put, checks, .. } => {
            put.iter().try_for_each(|put| service(&put.node, &put.id))?;
            checks.iter().try_for_each(spec)
        }
        Command::DeregisterNode { node, service_id: Some(id), .. } => service(node, id),
        Command::DeregisterNode { node, service_id: None, check_id: Some(id) } => check(node, id),
        Command::DeregisterNode { .. }
        | Command::Maintain { .. }
        | Command::Probed { .. }
        | Command::Report { .. }
        | Command::Reap { .. } => Ok(()),
    }
}
