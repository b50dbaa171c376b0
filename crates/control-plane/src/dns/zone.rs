//! The records behind a name, given what is registered: pure.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use rand::Rng;
use rand::seq::SliceRandom;

use super::asked::DOMAIN;
use super::{Asked, Found};
use crate::registry::{Node, Service};

/// Records may not be kept: instances come and go. Consul's default.
const TTL: u32 = 0;

/// Who answers.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    pub(crate) datacenter: String,
    /// The node that is the control plane itself.
    pub(crate) node: String,
}

/// What is answered to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: ResponseCode,
    pub(crate) answers: Vec<Answer>,
    /// Who is responsible, for answers that say no.
    pub(crate) authority: Option<Record>,
}

/// A record, and the addresses that go along with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) record: Record,
    pub(crate) along: Vec<Record>,
}

impl Reply {
    pub(crate) fn refused(code: ResponseCode) -> Self {
        Self { code, answers: Vec::new(), authority: None }
    }
}

impl From<Record> for Answer {
    fn from(record: Record) -> Self {
        Self { record, along: Vec::new() }
    }
}

impl Zone {
    /// What a name asks for.
    pub(crate) fn asked(&self, name: &Name) -> Asked {
        let labels: Option<Vec<&str>> =
            name.iter().map(|label| std::str::from_utf8(label).ok()).collect();
        labels.map_or(Asked::Outside, |labels| Asked::read(&labels, &self.datacenter))
    }

    /// Answers a question about it with at most so many records; `now` is in seconds since 1970 and
    /// becomes the zone's serial.
    pub(crate) fn reply(
        &self,
        found: Found,
        (name, kind): (&Name, RecordType),
        now: u32,
        most: usize,
        random: &mut impl Rng,
    ) -> Reply {
        let answers = match found {
            Found::Outside => return Reply::refused(ResponseCode::Refused),
            Found::Nothing => {
                let authority = soa(now);
                return Reply { code: ResponseCode::NXDomain, answers: Vec::new(), authority };
            }
            Found::Zone(node) => self.of_zone(node.as_deref(), name, kind, now),
            Found::Instances(mut instances) => {
                // The order is what spreads the load of clients that take the first.
                instances.shuffle(random);
                self.of_instances(&instances, (name, kind), most)
            }
            Found::Node(node) => of_node(&node, name, kind),
            Found::Address(ip) => by_address(ip, name, kind).into_iter().collect(),
            Found::Named(nodes, services) => self.of_named(&nodes, &services, (name, kind), most),
        };
        let authority = answers.is_empty().then(|| soa(now)).flatten();
        Reply { code: ResponseCode::NoError, answers, authority }
    }

    fn of_zone(&self, node: Option<&Node>, name: &Name, kind: RecordType, now: u32) -> Vec<Answer> {
        let any = kind == RecordType::ANY;
        let mut answers = Vec::new();
        if any || kind == RecordType::SOA {
            answers.extend(soa(now).map(Answer::from));
        }
        if (any || kind == RecordType::NS)
            && let Some(server) = self.node_name(&self.node)
        {
            let record = Record::from_rdata(name.clone(), TTL, RData::NS(NS(server.clone())));
            let along = node.and_then(|node| node.address.parse().ok());
            let along = along.map(|ip| address_record(&server, ip)).into_iter().collect();
            answers.push(Answer { record, along });
        }
        answers
    }

    fn of_instances(
        &self,
        instances: &[(Arc<Service>, Arc<Node>)],
        (name, kind): (&Name, RecordType),
        most: usize,
    ) -> Vec<Answer> {
        if kind == RecordType::SRV {
            let answers = instances.iter().filter_map(|(it, node)| self.srv(it, node, name));
            return answers.take(most).collect();
        }
        let mut seen = HashSet::new();
        let mut alias = None;
        let mut answers = Vec::new();
        for (service, node) in instances {
            if answers.len() == most {
                break;
            }
            let address = effective_address(service, node);
            if !seen.insert(address) {
                continue;
            }
            match address.parse() {
                Ok(ip) => answers.extend(by_address(ip, name, kind)),
                // A name can have one alias only, and no address beside it (RFC 1034, 3.6.2).
                Err(_) => alias = alias.or_else(|| cname(address, name, kind)),
            }
        }
        if answers.is_empty() {
            answers.extend(alias);
        }
        answers
    }

    fn of_named(
        &self,
        nodes: &[String],
        services: &BTreeSet<String>,
        (name, kind): (&Name, RecordType),
        most: usize,
    ) -> Vec<Answer> {
        if ![RecordType::PTR, RecordType::ANY].contains(&kind) {
            return Vec::new();
        }
        let nodes = nodes.iter().filter_map(|node| self.node_name(node));
        let services =
            services.iter().filter_map(|service| within(&[service, "service", &self.datacenter]));
        let record = |target| Record::from_rdata(name.clone(), TTL, RData::PTR(PTR(target)));
        nodes.chain(services).take(most).map(record).map(Answer::from).collect()
    }

    /// Where an instance listens, with the address of its target.
    fn srv(&self, service: &Service, node: &Node, name: &Name) -> Option<Answer> {
        let address = effective_address(service, node);
        let ip = address.parse::<IpAddr>().ok();
        let of_node = || self.node_name(&node.name).filter(|_| service.address.is_empty());
        let target = match ip {
            Some(ip) => of_node().or_else(|| self.address_name(ip))?,
            None => external(address)?,
        };
        let along = ip.map(|ip| address_record(&target, ip)).into_iter().collect();
        // Consul's range of weights fits.
        let weight = u16::try_from(service.weights.passing).unwrap_or(u16::MAX);
        let data = RData::SRV(SRV::new(1, weight, service.port, target));
        Some(Answer { record: Record::from_rdata(name.clone(), TTL, data), along })
    }

    fn node_name(&self, node: &str) -> Option<Name> {
        within(&[node, "node", &self.datacenter])
    }

    fn address_name(&self, ip: IpAddr) -> Option<Name> {
        let hex = match ip {
            IpAddr::V4(ip) => format!("{:08x}", ip.to_bits()),
            IpAddr::V6(ip) => format!("{:032x}", ip.to_bits()),
        };
        within(&[&hex, "addr", &self.datacenter])
    }
}

fn of_node(node: &Node, name: &Name, kind: RecordType) -> Vec<Answer> {
    let mut answers: Vec<_> = match node.address.parse() {
        Ok(ip) => by_address(ip, name, kind).into_iter().collect(),
        Err(_) => cname(&node.address, name, kind).into_iter().collect(),
    };
    if [RecordType::TXT, RecordType::ANY].contains(&kind) {
        let texts = node.meta.iter().map(|(key, value)| match key.strip_prefix("rfc1035-") {
            Some(_) => value.clone(),
            None => format!("{key}={value}"),
        });
        // A text has at most 255 bytes (RFC 1035, 3.3); a longer one is not shown.
        let texts = texts.filter(|text| text.len() <= 255);
        let record = |text| Record::from_rdata(name.clone(), TTL, RData::TXT(TXT::new(vec![text])));
        answers.extend(texts.map(record).map(Answer::from));
    }
    answers
}

fn effective_address<'a>(service: &'a Service, node: &'a Node) -> &'a str {
    if service.address.is_empty() { &node.address } else { &service.address }
}

fn by_address(ip: IpAddr, name: &Name, kind: RecordType) -> Option<Answer> {
    let own = if ip.is_ipv4() { RecordType::A } else { RecordType::AAAA };
    [own, RecordType::ANY].contains(&kind).then(|| address_record(name, ip).into())
}

fn cname(target: &str, name: &Name, kind: RecordType) -> Option<Answer> {
    let has_alias = [RecordType::A, RecordType::AAAA, RecordType::CNAME, RecordType::ANY];
    let target = external(target).filter(|_| has_alias.contains(&kind))?;
    Some(Record::from_rdata(name.clone(), TTL, RData::CNAME(CNAME(target))).into())
}

fn address_record(name: &Name, ip: IpAddr) -> Record {
    let data = match ip {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    };
    Record::from_rdata(name.clone(), TTL, data)
}

/// The numbers are Consul's.
fn soa(now: u32) -> Option<Record> {
    let (server, contact) = (within(&["ns"])?, within(&["hostmaster"])?);
    let data = SOA::new(server, contact, now, 3600, 600, 86_400, 0);
    Some(Record::from_rdata(within(&[])?, TTL, RData::SOA(data)))
}

/// A name of the zone; none if a label cannot be one.
fn within(labels: &[&str]) -> Option<Name> {
    let labels = labels.iter().chain(&[DOMAIN]).map(|label| label.as_bytes());
    let mut name = Name::from_labels(labels).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// A name outside the zone.
fn external(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok().filter(|name| !name.is_root())?;
    name.set_fqdn(true);
    Some(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;
    use crate::access::{Level, Resource, Rules};
    use crate::registry::{Check, CheckKind, Delta, State, Status, Thresholds, Weights, bootstrap};

    const MOST: usize = 3;

    #[test]
    fn no_more_records_are_made_than_asked_for_and_not_always_the_same() {
        let services: Vec<_> = (1..=9)
            .map(|n| Service { address: format!("10.0.0.{n}"), ..service(&n.to_string(), n) })
            .collect();
        let state = state(&services);
        for kind in [RecordType::A, RecordType::SRV] {
            let reply = ask(&state, "web.service.consul.", kind);
            assert_eq!(reply.answers.len(), MOST);
        }
        let zone = Zone { datacenter: "dc1".to_owned(), node: "n".to_owned() };
        let name = Name::from_ascii("web.service.consul.").unwrap();
        let mut random = SmallRng::seed_from_u64(7);
        let mut firsts = HashSet::new();
        for _ in 0..100 {
            let rules = Rules::management();
            let found = Found::find(&state, &zone.asked(&name), &zone.node, &rules);
            let reply = zone.reply(found, (&name, RecordType::A), 1, 1, &mut random);
            firsts.insert(format!("{:?}", reply.answers));
        }
        assert_eq!(firsts.len(), services.len());
    }

    #[test]
    fn an_address_is_answered_once_however_many_instances_have_it() {
        let state = state(&[service("one", 1), service("two", 2)]);
        assert_eq!(ask(&state, "web.service.consul.", RecordType::A).answers.len(), 1);
        assert_eq!(ask(&state, "web.service.consul.", RecordType::SRV).answers.len(), 2);
    }

    #[test]
    fn an_instance_with_a_warning_is_not_answered() {
        let mut state = state(&[service("one", 1)]);
        let check = |status| Delta::PutCheck(Arc::new(check(status)));
        state.apply(&[check(Status::Warning)], 3);
        let reply = ask(&state, "web.service.consul.", RecordType::A);
        assert_eq!((reply.code, reply.answers.len()), (ResponseCode::NXDomain, 0));
        assert!(reply.authority.is_some());
        state.apply(&[check(Status::Passing)], 4);
        assert_eq!(ask(&state, "web.service.consul.", RecordType::A).answers.len(), 1);
    }

    #[test]
    fn a_sick_node_takes_its_instances_along() {
        let mut state = state(&[service("one", 1)]);
        let of_node = Check { service_id: String::new(), ..check(Status::Critical) };
        state.apply(&[Delta::PutCheck(Arc::new(of_node))], 3);
        let reply = ask(&state, "web.service.consul.", RecordType::A);
        assert_eq!(reply.code, ResponseCode::NXDomain);
        // It has its own name all the same.
        assert_eq!(ask(&state, "n.node.consul.", RecordType::A).answers.len(), 1);
    }

    #[test]
    fn what_the_asker_may_not_see_does_not_exist() {
        let state = state(&[service("one", 1)]);
        let mut rules = Rules::default();
        for name in ["web.service.consul.", "n.node.consul.", "1.0.0.10.in-addr.arpa."] {
            let kind = if name.ends_with("arpa.") { RecordType::PTR } else { RecordType::A };
            let reply = ask_as(&rules, &state, name, kind);
            assert_eq!(reply.code, ResponseCode::NXDomain, "{name}");
        }
        rules.set(Resource::Service, "web".into(), Level::Read);
        let reply = ask_as(&rules, &state, "web.service.consul.", RecordType::A);
        assert_eq!(reply.answers.len(), 1);
    }

    #[test]
    fn an_alias_stands_alone_and_only_where_there_is_no_address() {
        let named = Service { address: "db.example.org".to_owned(), ..service("one", 1) };
        let alone = state(std::slice::from_ref(&named));
        let reply = ask(&alone, "web.service.consul.", RecordType::A);
        assert_eq!(reply.answers[0].record.record_type(), RecordType::CNAME);
        let beside = state(&[named, service("two", 2)]);
        let reply = ask(&beside, "web.service.consul.", RecordType::A);
        assert_eq!(reply.answers.len(), 1);
        assert_eq!(reply.answers[0].record.record_type(), RecordType::A);
    }

    #[test]
    fn a_target_that_no_name_can_be_is_written_as_its_address() {
        let node = "x".repeat(64);
        let on = |service: Service| Service { node: node.clone(), ..service };
        let mut state = State::default();
        let row = Node { name: node.clone(), ..self::node() };
        let bare = Service { address: String::new(), ..on(service("one", 1)) };
        let rows = [Delta::PutNode(Arc::new(row)), Delta::PutService(Arc::new(bare))];
        state.apply(&rows, 2);
        let reply = ask(&state, "web.service.consul.", RecordType::SRV);
        let RData::SRV(srv) = &reply.answers[0].record.data else { panic!("{reply:?}") };
        assert_eq!(srv.target.to_ascii(), "0a000001.addr.dc1.consul.");
    }

    fn ask(state: &State, name: &str, kind: RecordType) -> Reply {
        ask_as(&Rules::management(), state, name, kind)
    }

    fn ask_as(rules: &Rules, state: &State, name: &str, kind: RecordType) -> Reply {
        let zone = Zone { datacenter: "dc1".to_owned(), node: "n".to_owned() };
        let name = Name::from_ascii(name).unwrap();
        let found = Found::find(state, &zone.asked(&name), &zone.node, rules);
        zone.reply(found, (&name, kind), 1, MOST, &mut SmallRng::seed_from_u64(7))
    }

    fn state(services: &[Service]) -> State {
        let mut state = State::default();
        state.apply(&bootstrap(&state, "n", "10.0.0.1", "id", 1), 1);
        let put = |service: &Service| Delta::PutService(Arc::new(service.clone()));
        state.apply(&services.iter().map(put).collect::<Vec<_>>(), 2);
        state
    }

    fn node() -> Node {
        Node {
            name: "n".to_owned(),
            id: String::new(),
            address: "10.0.0.1".to_owned(),
            tagged_addresses: BTreeMap::new(),
            meta: BTreeMap::new(),
            created: 1,
            modified: 1,
        }
    }

    fn service(id: &str, port: u16) -> Service {
        Service {
            node: "n".to_owned(),
            id: id.to_owned(),
            name: "web".to_owned(),
            tags: Vec::new(),
            meta: BTreeMap::new(),
            address: "10.0.0.1".to_owned(),
            port,
            weights: Weights { passing: 1, warning: 1 },
            tagged_addresses: BTreeMap::new(),
            enable_tag_override: false,
            created: 2,
            modified: 2,
        }
    }

    fn check(status: Status) -> Check {
        Check {
            node: "n".to_owned(),
            id: "c".to_owned(),
            name: String::new(),
            status,
            notes: String::new(),
            output: String::new(),
            service_id: "one".to_owned(),
            service_name: "web".to_owned(),
            kind: CheckKind::External,
            deregister_after: None,
            thresholds: Thresholds::default(),
            definition: serde_json::Value::Null,
            created: 3,
            modified: 3,
        }
    }
}
