//! What must hold between the parts of a manifest.

use std::net::SocketAddr;

use regatta_core::ServiceName;
use regatta_yaml::{Mark, Problem, nearest};

use crate::Requirement;
use crate::read::{Placed, PlacedControlPlane, PlacedGateway};

/// Checks what concerns more than one part.
pub(crate) fn consistency(
    services: &[Placed],
    names: &[ServiceName],
    gateway: &PlacedGateway,
    control_plane: &PlacedControlPlane,
    problems: &mut Vec<Problem>,
) {
    needs(services, names, problems);
    cycles(services, problems);
    grpc(services, problems);
    ports(services, gateway, control_plane, problems);
    routes(services, names, gateway, problems);
}

fn needs(services: &[Placed], names: &[ServiceName], problems: &mut Vec<Problem>) {
    for placed in services {
        for (need, mark) in &placed.needs {
            if names.contains(need) && *need != placed.service.name {
                continue;
            }
            let name = format!("services.{}.needs", placed.service.name);
            let message = if *need == placed.service.name {
                format!("{name}: `{need}` needs itself; remove it")
            } else {
                let meant = nearest(need.as_str(), names.iter().map(ServiceName::as_str));
                let remedy = meant.map_or_else(
                    || "add the service or remove the need".to_owned(),
                    |meant| format!("did you mean `{meant}`?"),
                );
                format!("{name}: there is no service `{need}`; {remedy}")
            };
            problems.push(Problem::new(*mark, message));
        }
    }
}

/// Reports every need that closes a cycle, with the way around.
fn cycles(services: &[Placed], problems: &mut Vec<Problem>) {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        Not,
        Open,
        Done,
    }

    fn visit(
        at: usize,
        services: &[Placed],
        visits: &mut [Visit],
        way: &mut Vec<usize>,
        problems: &mut Vec<Problem>,
    ) {
        visits[at] = Visit::Open;
        way.push(at);
        for (need, mark) in &services[at].needs {
            let next = services.iter().position(|placed| placed.service.name == *need);
            // A service that needs itself was reported as such.
            let Some(next) = next.filter(|next| *next != at) else { continue };
            match visits[next] {
                Visit::Not => visit(next, services, visits, way, problems),
                Visit::Open => {
                    let start = way.iter().position(|step| *step == next).unwrap_or(0);
                    let circle: Vec<_> = way[start..]
                        .iter()
                        .chain([&next])
                        .map(|step| services[*step].service.name.as_str())
                        .collect();
                    let message = format!(
                        "services.{}.needs: none of these can start first: {}; remove one need",
                        services[at].service.name,
                        circle.join(" -> ")
                    );
                    problems.push(Problem::new(*mark, message));
                }
                Visit::Done => {}
            }
        }
        way.pop();
        visits[at] = Visit::Done;
    }

    let mut visits = vec![Visit::Not; services.len()];
    for at in 0..services.len() {
        if visits[at] == Visit::Not {
            visit(at, services, &mut visits, &mut Vec::new(), problems);
        }
    }
}

fn grpc(services: &[Placed], problems: &mut Vec<Problem>) {
    let mut seen: Vec<(&str, &ServiceName)> = Vec::new();
    for placed in services {
        for (name, mark) in &placed.grpc {
            let other = seen.iter().find(|(known, _)| known == name);
            if let Some((_, other)) = other {
                let message = format!(
                    "services.{}.grpc: `{name}` belongs to `{other}` already; a gRPC service is \
                     served by one service",
                    placed.service.name
                );
                problems.push(Problem::new(*mark, message));
            }
            seen.push((name, &placed.service.name));
        }
    }
}

fn ports(
    services: &[Placed],
    gateway: &PlacedGateway,
    control_plane: &PlacedControlPlane,
    problems: &mut Vec<Problem>,
) {
    // With the defaults first, so that what is written is what is blamed.
    let mut taken: Vec<(String, SocketAddr, Option<Mark>)> = vec![
        ("gateway.listen".to_owned(), gateway.gateway.listen, gateway.listen),
        (
            "control_plane.listen".to_owned(),
            control_plane.control_plane.listen,
            control_plane.listen,
        ),
    ];
    if let Some(etcd) = control_plane.control_plane.etcd_listen {
        taken.push(("control_plane.etcd_listen".to_owned(), etcd, control_plane.etcd_listen));
    }
    if let Some(dns) = control_plane.control_plane.dns_listen {
        taken.push(("control_plane.dns_listen".to_owned(), dns, control_plane.dns_listen));
    }
    if let Some(admin) = gateway.gateway.admin {
        taken.push(("gateway.admin".to_owned(), admin, gateway.admin));
    }
    for placed in services {
        let (Some(port), Some(mark)) = (placed.service.port, placed.port) else { continue };
        let name = format!("services.{}.port", placed.service.name);
        let instances = placed.service.instances().count();
        if instances > 1 {
            let message = format!(
                "{name}: {instances} instances cannot share one port; remove `port`, or the \
                 versions and replicas"
            );
            problems.push(Problem::new(mark, message));
        }
        taken.push((name, SocketAddr::from(([127, 0, 0, 1], port.get())), Some(mark)));
    }
    taken.sort_by_key(|(_, _, mark)| *mark);
    for (index, (name, address, mark)) in taken.iter().enumerate() {
        let Some(mark) = mark else { continue };
        let clash = taken[..index].iter().find(|(_, other, _)| clashes(*other, *address));
        if let Some((other, address, _)) = clash {
            let port = address.port();
            let message = format!("{name}: port {port} is taken by {other}; choose another one");
            problems.push(Problem::new(*mark, message));
        }
    }
}

/// Whether both cannot listen at once; port 0 is a free one each time.
fn clashes(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && (any || one.ip() == other.ip())
}

fn routes(
    services: &[Placed],
    names: &[ServiceName],
    gateway: &PlacedGateway,
    problems: &mut Vec<Problem>,
) {
    let has_auth = gateway.gateway.auth.is_some();
    let grpc: Vec<&str> = services.iter().flat_map(|s| &s.grpc).map(|(name, _)| &**name).collect();
    let routes = &gateway.gateway.routes;
    for (index, (route, placed)) in routes.iter().zip(&gateway.routes).enumerate() {
        let name = format!("gateway.routes[{index}]");
        let first = route.path.split('/').nth(1).unwrap_or_default();
        let wild = first.starts_with(['*', '{']);
        let known = names.iter().any(|name| name.as_str() == first) || grpc.contains(&first);
        if !wild && !known {
            let meant =
                nearest(first, names.iter().map(ServiceName::as_str).chain(grpc.iter().copied()));
            let remedy = meant.map_or_else(
                || "paths begin with the name of a service or gRPC service".to_owned(),
                |meant| format!("did you mean `/{meant}`?"),
            );
            let message = format!("{name}.path: there is no service `{first}`; {remedy}");
            problems.push(Problem::new(placed.path, message));
        }
        if let (Some(version), Some(mark)) = (&route.version, placed.version) {
            let service = services.iter().find(|it| it.service.name.as_str() == first);
            let known = service.map_or(&[][..], |placed| &placed.service.versions);
            // Without versions of its own the instances' may come from elsewhere.
            if !known.is_empty() && known.iter().all(|known| known.label != *version) {
                let meant = nearest(version, known.iter().map(|known| known.label.as_str()));
                let remedy = meant.map_or_else(
                    || format!("add it to services.{first}.versions, with 0 for no other traffic"),
                    |meant| format!("did you mean `{meant}`?"),
                );
                let message = format!("{name}.version: `{first}` has no `{version}`; {remedy}");
                problems.push(Problem::new(mark, message));
            }
        }
        match (placed.auth, placed.roles) {
            (Some((Requirement::Required | Requirement::Optional, mark)), _) if !has_auth => {
                let message = format!(
                    "{name}.auth: the gateway verifies no tokens; write `gateway.auth` with an issuer"
                );
                problems.push(Problem::new(mark, message));
            }
            (None, Some(mark)) if !has_auth => {
                let message = format!(
                    "{name}.roles: the gateway verifies no tokens; write `gateway.auth` with an issuer"
                );
                problems.push(Problem::new(mark, message));
            }
            (Some((Requirement::None | Requirement::Optional, mark)), Some(_))
                if !route.roles.is_empty() =>
            {
                let message =
                    format!("{name}.auth: roles need a token; write `auth: required` or remove it");
                problems.push(Problem::new(mark, message));
            }
            _ => {}
        }
        let earlier = routes[..index].iter().position(|earlier| {
            earlier.path == route.path
                && (earlier.methods.is_empty()
                    || (!route.methods.is_empty()
                        && route.methods.iter().all(|method| earlier.methods.contains(method))))
        });
        if let Some(earlier) = earlier {
            let message = format!(
                "{name}: it is never reached, for rule {earlier} in line {} matches all it would; \
                 remove one of them",
                routes[earlier].line
            );
            problems.push(Problem::new(placed.path, message));
        }
    }
}
