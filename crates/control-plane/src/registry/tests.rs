//! Commands against a state, with no disk and no clock.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;

use super::{
    CheckKind, CheckSpec, Command, Key, Limits, NodeSpec, Record, Rejection, ServiceSpec, State,
    Status, Topic, Weights, decide,
};

const NODE: &str = "n";

#[test]
fn registering_the_same_again_changes_nothing() {
    let mut registry = Registry::new();
    let topics = registry.run(register("web", "web-1", &["c"]));
    assert!(topics.contains(&Topic::service("web")) && topics.contains(&Topic::Services));
    let index = registry.state.index();
    assert!(registry.run(register("web", "web-1", &["c"])).is_empty());
    assert_eq!(registry.state.index(), index);
}

#[test]
fn registering_again_keeps_what_the_check_found_and_stays_created_when_it_was() {
    let mut registry = Registry::new();
    registry.run(register("web", "web-1", &["c"]));
    registry.run(report("c", Status::Passing));
    let Command::RegisterService { mut service, checks, .. } = register("web", "web-1", &["c"])
    else {
        panic!("registers")
    };
    service.port = 9;
    registry.run(Command::RegisterService { service, checks, replace_checks: false });
    assert_eq!(registry.status("c"), Some(Status::Passing));
    let service = registry.state.service(&Key::new(NODE, "web-1")).unwrap();
    assert_eq!((service.created, service.modified, service.port), (2, 4, 9));
}

#[test]
fn a_check_that_asks_something_else_begins_critical() {
    let mut registry = Registry::new();
    registry.run(register("web", "web-1", &["c"]));
    registry.run(report("c", Status::Passing));
    let kind = CheckKind::Ttl { ttl: Duration::from_secs(1) };
    registry.run(Command::RegisterCheck { check: CheckSpec { kind, ..check("c", "web-1") } });
    assert_eq!(registry.status("c"), Some(Status::Critical));
}

#[test]
fn checks_not_named_again_stay_unless_they_are_to_be_replaced() {
    let mut registry = Registry::new();
    registry.run(register("web", "web-1", &["a", "b"]));
    registry.run(register("web", "web-1", &["b"]));
    assert_eq!(registry.status("a"), Some(Status::Critical));
    let Command::RegisterService { service, checks, .. } = register("web", "web-1", &["b"]) else {
        panic!("registers")
    };
    registry.run(Command::RegisterService { service, checks, replace_checks: true });
    assert_eq!(registry.status("a"), None);
    assert_eq!(registry.status("b"), Some(Status::Critical));
}

#[test]
fn a_service_takes_its_checks_along_when_it_goes() {
    let mut registry = Registry::new();
    registry.run(register("web", "web-1", &["a", "b"]));
    registry.run(Command::DeregisterService { key: Key::new(NODE, "web-1") });
    assert_eq!((registry.state.services().count(), registry.state.checks().count()), (0, 0));
    assert!(registry.run(Command::DeregisterService { key: Key::new(NODE, "web-1") }).is_empty());
}

#[test]
fn a_probe_of_another_definition_is_void() {
    let mut registry = Registry::new();
    registry.run(register("web", "web-1", &["c"]));
    let kind = CheckKind::Ttl { ttl: Duration::from_secs(1) };
    let (key, output) = (Key::new(NODE, "c"), String::new());
    registry.run(Command::Probed { key, kind, status: Status::Passing, output });
    assert_eq!(registry.status("c"), Some(Status::Critical));
}

#[test]
fn an_output_alone_is_shown_but_wakes_nobody_and_grows_no_index() {
    let mut registry = Registry::new();
    registry.run(register("web", "web-1", &["c"]));
    let index = registry.state.index();
    let (key, output) = (Key::new(NODE, "c"), "refused".to_owned());
    let topics = registry.run(Command::Report { key, status: Status::Critical, output });
    assert!(topics.is_empty());
    assert_eq!(registry.state.index(), index);
    assert_eq!(registry.state.check(&Key::new(NODE, "c")).unwrap().output, "refused");
}

#[test]
fn only_a_check_that_is_still_critical_reaps_its_service() {
    let mut registry = Registry::new();
    registry.run(register("web", "web-1", &["c"]));
    registry.run(report("c", Status::Passing));
    registry.run(Command::Reap { check: Key::new(NODE, "c") });
    assert_eq!(registry.state.services().count(), 1);
    registry.run(report("c", Status::Critical));
    registry.run(Command::Reap { check: Key::new(NODE, "c") });
    assert_eq!(registry.state.services().count(), 0);
}

#[test]
fn a_nodes_check_concerns_every_service_on_it() {
    let mut registry = Registry::new();
    registry.run(register("web", "web-1", &[]));
    registry.run(register("db", "db-1", &[]));
    let reason = Some(String::new());
    let command = Command::Maintain { node: NODE.to_owned(), service_id: None, reason };
    let topics = registry.run(command);
    assert!(topics.contains(&Topic::service("web")) && topics.contains(&Topic::service("db")));
}

#[test]
fn a_service_that_changes_its_name_leaves_the_old_one() {
    let mut registry = Registry::new();
    registry.run(register("web", "x", &["c"]));
    let topics = registry.run(register("api", "x", &[]));
    assert!(topics.contains(&Topic::service("web")) && topics.contains(&Topic::service("api")));
    assert_eq!(registry.state.instances("web").count(), 0);
    assert_eq!(registry.state.instances("API").count(), 1);
    assert_eq!(registry.state.check(&Key::new(NODE, "c")).unwrap().service_name, "api");
}

#[test]
fn the_own_node_cannot_be_removed_and_another_goes_whole() {
    let mut registry = Registry::new();
    let node = node("other");
    let service = Some(ServiceSpec { node: "other".to_owned(), ..service("db", "db-1") });
    let checks = Vec::new();
    registry.run(Command::RegisterNode { node, skip_update: false, service, checks });
    let remove = |node: &str| Command::DeregisterNode {
        node: node.to_owned(),
        service_id: None,
        check_id: None,
    };
    registry.run(remove("other"));
    assert_eq!((registry.state.nodes().count(), registry.state.services().count()), (0, 0));
    let refused = decide(&registry.state, &registry.limits, remove(NODE), 9);
    assert_eq!(refused, Err(Rejection::OwnNode { name: NODE.to_owned() }));
}

#[test]
fn a_node_whose_metadata_change_concerns_who_lists_services_by_them() {
    let mut registry = Registry::new();
    let put = |rack: &str| {
        let meta = BTreeMap::from([("rack".to_owned(), rack.to_owned())]);
        let node = NodeSpec { meta, ..node("other") };
        let service = Some(ServiceSpec { node: "other".to_owned(), ..service("db", "db-1") });
        Command::RegisterNode { node, skip_update: false, service, checks: Vec::new() }
    };
    registry.run(put("r1"));
    let index = registry.state.index_of(&Topic::Services);
    let topics = registry.run(put("r2"));
    assert!(topics.contains(&Topic::ServicesOfNodes) && topics.contains(&Topic::service("db")));
    assert!(registry.state.index_of(&Topic::ServicesOfNodes) > index);
    assert_eq!(registry.state.index_of(&Topic::Services), index, "the names are the same");
}

#[test]
fn what_is_the_control_planes_own_is_refused_on_its_node_only() {
    let registry = Registry::new();
    let asked = |command| decide(&registry.state, &registry.limits, command, 9);
    let service = Err(Rejection::Own { what: "service", id: "consul" });
    let check = Err(Rejection::Own { what: "check", id: "serfHealth" });
    assert_eq!(asked(register("web", "consul", &[])), service);
    assert_eq!(asked(Command::DeregisterService { key: Key::new(NODE, "consul") }), service);
    assert_eq!(asked(register("web", "web-1", &["serfHealth"])), check);
    assert_eq!(asked(Command::DeregisterCheck { key: Key::new(NODE, "serfHealth") }), check);
    let on = |node: &str| {
        let of = |check: CheckSpec| CheckSpec { node: node.to_owned(), ..check };
        Command::RegisterNode {
            node: self::node(node),
            skip_update: true,
            service: None,
            checks: vec![of(self::check("serfHealth", ""))],
        }
    };
    assert_eq!(asked(on(NODE)), check);
    assert_eq!(asked(on("other")).map(|deltas| deltas.len()), Ok(2));
    let missing = Err(Rejection::NoSuchService { id: "consul".to_owned() });
    assert_eq!(asked(Command::RegisterCheck { check: self::check("c", "consul") }), missing);
}

#[test]
fn limits_hold_for_new_services_and_for_checks() {
    let mut registry = Registry::new();
    registry.limits.services = 1;
    registry.run(register("web", "web-1", &[]));
    let more = decide(&registry.state, &registry.limits, register("web", "web-2", &[]), 9);
    assert_eq!(more, Err(Rejection::TooManyServices { count: 1 }));
    let ids = ["a", "b", "c", "d"];
    let more = decide(&registry.state, &registry.limits, register("web", "web-1", &ids), 9);
    assert_eq!(more, Err(Rejection::TooManyChecks { count: 3 }));
}

/// Checks of a node, and those that came with their service through the catalog, were not counted.
#[test]
fn limits_hold_for_nodes_their_checks_and_what_the_catalog_registers_together() {
    let mut registry = Registry::new();
    registry.limits.nodes = 1;
    let on = |node: &str, service: Option<&str>, checks: &[&str]| {
        let of = service.map(|id| ServiceSpec { node: node.to_owned(), ..self::service("s", id) });
        let check = |id: &&str| CheckSpec {
            node: node.to_owned(),
            ..self::check(id, service.unwrap_or_default())
        };
        let checks = checks.iter().map(check).collect();
        let node = self::node(node);
        Command::RegisterNode { node, skip_update: false, service: of, checks }
    };
    let many = Err(Rejection::TooManyChecks { count: 3 });
    for service in [None, Some("s-1")] {
        let refused =
            decide(&registry.state, &registry.limits, on("a", service, &["1", "2", "3", "4"]), 9);
        assert_eq!(refused, many);
    }
    registry.run(on("a", None, &["1", "2"]));
    registry.run(on("a", Some("s-1"), &["3", "4", "5"]));
    let refused = decide(&registry.state, &registry.limits, on("a", None, &["6", "7"]), 9);
    assert_eq!(refused, many);
    // What is there may be registered again.
    registry.run(on("a", Some("s-1"), &["3", "4", "5"]));
    let refused = decide(&registry.state, &registry.limits, on("b", None, &[]), 9);
    assert_eq!(refused, Err(Rejection::TooManyNodes { count: 1 }));
}

#[test]
fn what_would_take_too_much_memory_is_refused_until_something_goes() {
    let mut registry = Registry::new();
    let large = |id: &str| {
        let Command::RegisterService { mut service, checks, .. } = register("web", id, &[]) else {
            panic!("registers")
        };
        service.tags = vec!["t".repeat(100_000)];
        Command::RegisterService { service, checks, replace_checks: false }
    };
    for id in 0..9 {
        registry.run(large(&id.to_string()));
    }
    registry.limits.registry_bytes = 910_000;
    let refused = decide(&registry.state, &registry.limits, large("more"), 99);
    assert_eq!(refused, Err(Rejection::TooLarge { bytes: 910_000 }));
    registry.run(large("1"));
    registry.run(Command::DeregisterService { key: Key::new(NODE, "1") });
    registry.run(large("more"));
}

proptest! {
    #[test]
    fn every_change_grows_the_index_of_the_topics_it_names_and_of_no_other(
        steps in prop::collection::vec((0_u8..4, 0_u8..3, 0_u8..3, any::<bool>()), 1..60),
    ) {
        let mut registry = Registry::new();
        let names = ["s0", "s1", "s2"];
        let topics: Vec<_> = names.iter().map(|name| Topic::service(name))
            .chain([Topic::Services, Topic::Checks, Topic::Nodes])
            .collect();
        let mut shown: Vec<_> = topics.iter().map(|topic| registry.state.index_of(topic)).collect();
        for (what, name, id, flag) in steps {
            let (name, id) = (names[usize::from(name)], format!("i{id}"));
            let check = format!("c-{id}");
            let named = [check.as_str()];
            let changed = registry.run(match what {
                0 => register(name, &id, if flag { &named } else { &[] }),
                1 => Command::DeregisterService { key: Key::new(NODE, &id) },
                2 => Command::DeregisterCheck { key: Key::new(NODE, &check) },
                _ => {
                    let status = if flag { Status::Passing } else { Status::Critical };
                    let (key, kind) = (Key::new(NODE, &check), ttl());
                    Command::Probed { key, kind, status, output: String::new() }
                }
            });
            for (topic, shown) in topics.iter().zip(&mut shown) {
                let now = registry.state.index_of(topic);
                prop_assert!(now >= *shown, "{topic:?} went from {shown} to {now}");
                if changed.contains(topic) {
                    prop_assert!(now > *shown, "{topic:?} changed and stayed at {now}");
                } else if registry.is_listed(topic) {
                    prop_assert_eq!(now, *shown, "{:?} grew without a change", topic);
                }
                *shown = now;
            }
            registry.check_whole();
        }
    }
}

/// A state with the limits it is under.
struct Registry {
    state: State,
    limits: Limits,
}

impl Registry {
    fn new() -> Self {
        let limits = Limits {
            nodes: 100,
            services: 100,
            registry_bytes: 1 << 20,
            checks_per_service: 3,
            own_node: NODE.to_owned(),
            sessions: 100,
            key_bytes: 1 << 20,
        };
        // As after the bootstrap, which takes the first index.
        let mut state = State::default();
        state.restore(&Record { index: 1, deltas: Vec::new() });
        state.settle();
        Self { state, limits }
    }

    fn run(&mut self, command: Command) -> HashSet<Topic> {
        let index = self.state.index() + 1;
        let deltas = decide(&self.state, &self.limits, command, index).unwrap();
        let grows = deltas.iter().any(super::Delta::is_durable);
        self.state.apply(&deltas, if grows { index } else { index - 1 })
    }

    fn status(&self, check: &str) -> Option<Status> {
        self.state.check(&Key::new(NODE, check)).map(|check| check.status)
    }

    fn is_listed(&self, topic: &Topic) -> bool {
        match topic {
            Topic::Service(name) => self.state.instances(name).count() > 0,
            _ => true,
        }
    }

    /// What is found by name and by service is what is there.
    fn check_whole(&self) {
        let mut anew = State::default();
        self.state.image().for_each(|record| anew.restore(&record));
        assert_eq!(self.state.bytes(), anew.bytes());
        let by_name = ["s0", "s1", "s2"].map(|name| self.state.instances(name).count());
        assert_eq!(by_name.iter().sum::<usize>(), self.state.service_count());
        let of_services = self.state.services().map(|s| self.state.checks_of(NODE, &s.id).count());
        assert_eq!(of_services.sum::<usize>(), self.state.checks().count());
    }
}

fn register(name: &str, id: &str, checks: &[&str]) -> Command {
    let checks = checks.iter().map(|check| self::check(check, id)).collect();
    Command::RegisterService { service: service(name, id), checks, replace_checks: false }
}

fn report(check: &str, status: Status) -> Command {
    Command::Report { key: Key::new(NODE, check), status, output: String::new() }
}

fn node(name: &str) -> NodeSpec {
    NodeSpec {
        name: name.to_owned(),
        id: String::new(),
        address: "a".to_owned(),
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
    }
}

fn service(name: &str, id: &str) -> ServiceSpec {
    ServiceSpec {
        node: NODE.to_owned(),
        id: id.to_owned(),
        name: name.to_owned(),
        tags: Vec::new(),
        meta: BTreeMap::new(),
        address: String::new(),
        port: 1,
        weights: Weights { passing: 1, warning: 1 },
        tagged_addresses: BTreeMap::new(),
        enable_tag_override: false,
    }
}

fn check(id: &str, service_id: &str) -> CheckSpec {
    CheckSpec {
        node: NODE.to_owned(),
        id: id.to_owned(),
        name: String::new(),
        status: None,
        notes: String::new(),
        output: String::new(),
        service_id: service_id.to_owned(),
        kind: ttl(),
        deregister_after: None,
        thresholds: super::Thresholds::default(),
        definition: serde_json::Value::Null,
    }
}

fn ttl() -> CheckKind {
    CheckKind::Ttl { ttl: Duration::from_secs(60) }
}
