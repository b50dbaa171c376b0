//! Who has to agree to a registration: the owners of everything it puts and replaces. Pure.

use super::needs::One;
use crate::access::{Level, Resource};
use crate::registry::{CheckSpec, Command, Key, ServiceSpec, State};

/// Writing to all of these is needed for a command that registers. Read from the command as it
/// will be carried out, defaults filled in, so that no name is read here in another way than there.
pub(crate) fn owners(state: &State, command: &Command) -> Vec<One> {
    match command {
        Command::RegisterService { service, checks, .. } => {
            [of_service(state, service), replaced(state, checks)].concat()
        }
        Command::RegisterCheck { check } => {
            [vec![of_check(state, check)], replaced(state, std::slice::from_ref(check))].concat()
        }
        Command::RegisterNode { node, service, checks, .. } => {
            let service = service.as_ref();
            let put = service.map(|service| of_service(state, service)).unwrap_or_default();
            let is_of =
                |check: &&CheckSpec| service.is_none_or(|service| service.id != check.service_id);
            let others = checks.iter().filter(is_of).map(|check| of_check(state, check));
            let node = One::new(Resource::Node, node.name.clone(), Level::Write);
            [vec![node], put, others.collect(), replaced(state, checks)].concat()
        }
        _ => Vec::new(),
    }
}

/// Its own name, and that of whoever has its id now.
fn of_service(state: &State, service: &ServiceSpec) -> Vec<One> {
    let before = state.service(&Key::new(&service.node, &service.id));
    let names = [Some(&service.name), before.map(|before| &before.name)].into_iter().flatten();
    names.map(|name| One::new(Resource::Service, name.clone(), Level::Write)).collect()
}

/// The service that a check is put on, or its node. A service that is not there is the node's.
fn of_check(state: &State, check: &CheckSpec) -> One {
    let service = state.service(&Key::new(&check.node, &check.service_id));
    subject(&check.node, service.map_or("", |service| &service.name))
}

/// Those who have checks of these ids now.
fn replaced(state: &State, checks: &[CheckSpec]) -> Vec<One> {
    let before = checks.iter().filter_map(|check| state.check(&Key::new(&check.node, &check.id)));
    before.map(|check| subject(&check.node, &check.service_name)).collect()
}

fn subject(node: &str, service: &str) -> One {
    match service {
        "" => One::new(Resource::Node, node.to_owned(), Level::Write),
        service => One::new(Resource::Service, service.to_owned(), Level::Write),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consul::decode;
    use crate::registry::{Limits, decide};

    const NODE: &str = "own";

    /// A node with the service `bank`, whose id is `shop-1`, and a check of the node.
    fn state() -> State {
        let mut state = State::default();
        let limits = Limits {
            services: 9,
            checks_per_service: 9,
            registry_bytes: 1 << 20,
            ..Limits::default()
        };
        let bank = r#"{"Name":"bank","ID":"shop-1","Check":{"TTL":"1m"}}"#;
        let node = r#"{"Name":"disk","TTL":"1m"}"#;
        let commands = [
            decode::service(bank.as_bytes(), NODE, false).unwrap(),
            decode::check(node.as_bytes(), NODE).unwrap(),
        ];
        for (index, command) in (1..).zip(commands) {
            let deltas = decide(&state, &limits, command, index).unwrap();
            state.apply(&deltas, index);
        }
        state
    }

    /// What is needed, as `service:bank` or `node:own`.
    fn needed(command: &Command) -> Vec<String> {
        let text = |one: One| {
            assert_eq!(one.level, Level::Write);
            let name = String::from_utf8_lossy(&one.name).into_owned();
            format!("{:?}:{name}", one.resource).to_lowercase()
        };
        owners(&state(), command).into_iter().map(text).collect()
    }

    fn service(body: &str) -> Vec<String> {
        needed(&decode::service(body.as_bytes(), NODE, false).unwrap())
    }

    fn check(body: &str) -> Vec<String> {
        needed(&decode::check(body.as_bytes(), NODE).unwrap())
    }

    fn catalog(body: &str) -> Vec<String> {
        needed(&decode::catalog(body.as_bytes(), "dc1").unwrap())
    }

    #[test]
    fn an_id_is_taken_from_whoever_has_it_also_when_it_is_only_the_name() {
        let both = ["service:shop-1", "service:bank"];
        assert_eq!(service(r#"{"Name":"shop-1"}"#), both);
        assert_eq!(service(r#"{"Name":"shop-1","ID":""}"#), both);
        assert_eq!(service(r#"{"Name":"shop","ID":"shop-1"}"#), ["service:shop", "service:bank"]);
        assert_eq!(service(r#"{"Name":"shop"}"#), ["service:shop"]);
    }

    #[test]
    fn a_check_is_taken_from_whoever_has_it() {
        let named = |id: &str| {
            service(&format!(r#"{{"Name":"shop","Check":{{"CheckID":"{id}","TTL":"1m"}}}}"#))
        };
        assert_eq!(named("service:shop-1"), ["service:shop", "service:bank"]);
        assert_eq!(named("disk"), ["service:shop", "node:own"]);
        assert_eq!(named("new"), ["service:shop"]);
        let several = r#"{"Name":"shop","Checks":[{"TTL":"1m"},{"ID":"disk","TTL":"1m"}]}"#;
        assert_eq!(service(several), ["service:shop", "node:own"]);
        let taken = r#"{"Name":"x","ID":"disk","ServiceID":"shop-1","TTL":"1m"}"#;
        assert_eq!(check(taken), ["service:bank", "node:own"]);
        let taken = r#"{"Name":"service:shop-1","TTL":"1m"}"#;
        assert_eq!(check(taken), ["node:own", "service:bank"]);
        assert_eq!(check(r#"{"Name":"x","ServiceID":"none","TTL":"1m"}"#), ["node:own"]);
    }

    #[test]
    fn the_catalog_asks_the_node_and_all_whose_rows_it_replaces() {
        let on = |rest: &str| catalog(&format!(r#"{{"Node":"own","Address":"a",{rest}}}"#));
        let taken = ["node:own", "service:shop-1", "service:bank"];
        assert_eq!(on(r#""Service":{"Service":"shop-1"}"#), taken);
        let check = r#""Check":{"CheckID":"service:shop-1"}"#;
        assert_eq!(on(check), ["node:own", "node:own", "service:bank"]);
        let check = r#""Check":{"CheckID":"new","ServiceID":"shop-1"}"#;
        assert_eq!(on(check), ["node:own", "service:bank"]);
        let own = r#""Service":{"Service":"shop"},"Check":{"CheckID":"new","ServiceID":"shop"}"#;
        assert_eq!(on(own), ["node:own", "service:shop"]);
    }
}
