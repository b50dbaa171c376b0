//! Everything registered at one index, with what is needed to find it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::size;
use super::{Check, Indexes, Key, Keys, Node, Pair, Record, Service, Session, Sessions, Topic};

/// Everything registered at one index. Cloning shares the rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    index: u64,
    nodes: BTreeMap<String, Arc<Node>>,
    services: BTreeMap<Key, Arc<Service>>,
    checks: BTreeMap<Key, Arc<Check>>,
    /// Lower-case service name -> its instances, ordered by id and then node as Consul lists them.
    by_name: BTreeMap<String, BTreeSet<(String, String)>>,
    /// Service (or node, with an empty id) -> ids of its checks.
    checks_of: BTreeMap<Key, BTreeSet<String>>,
    keys: Keys,
    sessions: Sessions,
    indexes: Indexes,
    /// What nodes, services and checks take in memory, about.
    bytes: usize,
}

/// One row's change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delta {
    PutNode(Arc<Node>),
    RemoveNode(String),
    PutService(Arc<Service>),
    RemoveService(Key),
    PutCheck(Arc<Check>),
    RemoveCheck(Key),
    PutKey(Arc<Pair>),
    RemoveKey(Arc<str>),
    PutSession(Arc<Session>),
    RemoveSession(Arc<str>),
    /// Only the output differs: shown, but neither stored nor a reason to wake a query, since
    /// outputs change with every probe.
    Output(Arc<Check>),
}

impl Delta {
    /// Whether it is stored and grows the index.
    pub(crate) fn is_durable(&self) -> bool {
        !matches!(self, Self::Output(_))
    }
}

impl State {
    /// Takes in what was kept on the disk, in its order.
    pub(crate) fn restore(&mut self, record: &Record) {
        self.apply(&record.deltas, record.index);
    }

    /// Ends a recovery: every topic shows at least the index of the last change, since which
    /// changed when is not kept for all of them.
    pub(crate) fn settle(&mut self) {
        self.indexes = Indexes::starting_at(self.index);
        self.keys.settle(self.index);
    }

    /// Everything that [`State::restore`] needs to make this state again.
    pub(crate) fn image(&self) -> impl Iterator<Item = Record> {
        let index = self.index;
        let nodes = self.nodes.values().cloned().map(Delta::PutNode);
        let services = self.services.values().cloned().map(Delta::PutService);
        let checks = self.checks.values().cloned().map(Delta::PutCheck);
        let keys = self.keys.all().cloned().map(Delta::PutKey);
        let sessions = self.sessions.iter().cloned().map(Delta::PutSession);
        let rows = nodes.chain(services).chain(checks).chain(keys).chain(sessions);
        // The last change may have been a removal, which no row shows.
        let number = [Record { index, deltas: Vec::new() }];
        number.into_iter().chain(rows.map(move |row| Record { index, deltas: vec![row] }))
    }

    /// The index of the latest change.
    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    /// The index a query on this topic shows.
    pub(crate) fn index_of(&self, topic: &Topic) -> u64 {
        match topic {
            Topic::Key(key) => self.keys.index_of(key),
            Topic::Prefix(prefix) => self.keys.index_beginning(prefix),
            topic => self.indexes.of(topic),
        }
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Takes changes of one command in, at this index, and says whom they concern.
    pub(crate) fn apply(&mut self, deltas: &[Delta], index: u64) -> HashSet<Topic> {
        self.index = self.index.max(index);
        deltas.iter().flat_map(|delta| self.put(delta, index)).collect()
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    pub(crate) fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.get(name)
    }

    /// The name a node has that is called by this one, in any case; this one if there is none.
    pub(crate) fn node_name(&self, name: &str) -> String {
        if self.nodes.contains_key(name) {
            return name.to_owned();
        }
        let same = self.nodes.keys().find(|own| own.eq_ignore_ascii_case(name));
        same.map_or(name, String::as_str).to_owned()
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// What nodes, services and checks take in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn service_count(&self) -> usize {
        self.services.len()
    }

    pub(crate) fn service(&self, key: &Key) -> Option<&Arc<Service>> {
        self.services.get(key)
    }

    pub(crate) fn services_on<'a>(
        &'a self,
        node: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Service>> {
        on_node(&self.services, node)
    }

    /// The instances of a service, by its name in any case, ordered by id.
    pub(crate) fn instances(&self, name: &str) -> impl Iterator<Item = &Arc<Service>> {
        let keys = self.by_name.get(&name.to_lowercase()).into_iter().flatten();
        keys.filter_map(|(id, node)| self.services.get(&Key::new(node, id)))
    }

    pub(crate) fn checks(&self) -> impl Iterator<Item = &Arc<Check>> {
        self.checks.values()
    }

    pub(crate) fn check(&self, key: &Key) -> Option<&Arc<Check>> {
        self.checks.get(key)
    }

    pub(crate) fn checks_on<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Arc<Check>> {
        on_node(&self.checks, node)
    }

    /// The checks of one service, or of the node with an empty id, without those of its node.
    pub(crate) fn checks_of<'a>(
        &'a self,
        node: &'a str,
        service_id: &str,
    ) -> impl Iterator<Item = &'a Arc<Check>> {
        let ids = self.checks_of.get(&Key::new(node, service_id)).into_iter().flatten();
        ids.filter_map(move |id| self.checks.get(&Key::new(node, id)))
    }

    /// The checks that decide about an instance: those of its node, then its own.
    pub(crate) fn deciding_checks<'a>(
        &'a self,
        service: &'a Service,
    ) -> impl Iterator<Item = &'a Arc<Check>> {
        self.checks_of(&service.node, "").chain(self.checks_of(&service.node, &service.id))
    }

    fn put(&mut self, delta: &Delta, index: u64) -> Vec<Topic> {
        match delta {
            Delta::PutNode(node) => {
                let topics =
                    self.topics_of_node(&node.name, [Topic::Nodes, Topic::ServicesOfNodes]);
                let old = self.nodes.insert(node.name.clone(), Arc::clone(node));
                self.resize(size::node(node), old.map_or(0, |old| size::node(&old)));
                self.changed(topics, index)
            }
            Delta::RemoveNode(name) => {
                let old = self.nodes.remove(name);
                self.resize(0, old.map_or(0, |old| size::node(&old)));
                let topics = self.changed(vec![Topic::Nodes, Topic::ServicesOfNodes], index);
                self.disappeared(topics, Topic::Node(name.clone()), index)
            }
            Delta::PutService(service) => self.put_service(service, index),
            Delta::RemoveService(key) => match self.services.remove(key) {
                Some(service) => {
                    self.resize(0, size::service(&service));
                    self.unlist(&service, index)
                }
                None => Vec::new(),
            },
            Delta::PutCheck(check) => {
                let key = check.key();
                let mut left = Vec::new();
                self.resize(size::check(check), 0);
                if let Some(old) = self.checks.insert(key, Arc::clone(check)) {
                    self.resize(0, size::check(&old));
                    self.unlink(&old);
                    if old.service_id != check.service_id {
                        left = self.topics_of_check(&old);
                    }
                }
                let subject = Key::new(&check.node, &check.service_id);
                self.checks_of.entry(subject).or_default().insert(check.id.clone());
                let mut topics = self.topics_of_check(check);
                topics.extend(left);
                self.changed(topics, index)
            }
            Delta::RemoveCheck(key) => match self.checks.remove(key) {
                Some(check) => {
                    self.resize(0, size::check(&check));
                    self.unlink(&check);
                    let topics = self.topics_of_check(&check);
                    self.changed(topics, index)
                }
                None => Vec::new(),
            },
            Delta::PutKey(pair) => {
                self.keys.put(pair);
                vec![Topic::Key(pair.key.clone())]
            }
            Delta::RemoveKey(key) => {
                self.keys.remove(key, index);
                vec![Topic::Key(key.clone())]
            }
            Delta::PutSession(session) => {
                self.sessions.put(session);
                let topics = vec![Topic::Sessions, Topic::Session(session.id.clone())];
                self.changed(topics, index)
            }
            Delta::RemoveSession(id) => {
                self.sessions.remove(id);
                let topics = self.changed(vec![Topic::Sessions], index);
                self.disappeared(topics, Topic::Session(id.clone()), index)
            }
            Delta::Output(check) => {
                let old = self.checks.insert(check.key(), Arc::clone(check));
                self.resize(size::check(check), old.map_or(0, |old| size::check(&old)));
                Vec::new()
            }
        }
    }

    fn put_service(&mut self, service: &Arc<Service>, index: u64) -> Vec<Topic> {
        let old = self.services.insert(service.key(), Arc::clone(service));
        self.resize(size::service(service), old.as_ref().map_or(0, |old| size::service(old)));
        let renamed = old.filter(|old| !old.name.eq_ignore_ascii_case(&service.name));
        let left = renamed.map(|old| self.unlist(&old, index)).unwrap_or_default();
        let listed = self.by_name.entry(service.name.to_lowercase()).or_default();
        listed.insert((service.id.clone(), service.node.clone()));
        let node = Topic::Node(service.node.clone());
        let lists = [Topic::Services, Topic::ServicesOfNodes];
        let topics = lists.into_iter().chain([Topic::service(&service.name), node]).collect();
        self.changed(topics, index).into_iter().chain(left).collect()
    }

    fn unlist(&mut self, service: &Service, index: u64) -> Vec<Topic> {
        let name = service.name.to_lowercase();
        let node = Topic::Node(service.node.clone());
        let topics = vec![Topic::Services, Topic::ServicesOfNodes, node];
        let topics = self.changed(topics, index);
        let listed = self.by_name.entry(name.clone()).or_default();
        listed.remove(&(service.id.clone(), service.node.clone()));
        if listed.is_empty() {
            self.by_name.remove(&name);
            self.disappeared(topics, Topic::Service(name), index)
        } else {
            let more = self.changed(vec![Topic::Service(name)], index);
            topics.into_iter().chain(more).collect()
        }
    }

    fn resize(&mut self, new: usize, old: usize) {
        self.bytes = (self.bytes + new).saturating_sub(old);
    }

    fn unlink(&mut self, check: &Check) {
        let subject = Key::new(&check.node, &check.service_id);
        if let Some(ids) = self.checks_of.get_mut(&subject) {
            ids.remove(&check.id);
            if ids.is_empty() {
                self.checks_of.remove(&subject);
            }
        }
    }

    fn topics_of_check(&self, check: &Check) -> Vec<Topic> {
        if check.service_id.is_empty() {
            return self.topics_of_node(&check.node, [Topic::Checks]);
        }
        let node = Topic::Node(check.node.clone());
        // A check outlives its service for a moment; then the name has disappeared already.
        let listed = self.by_name.contains_key(&check.service_name.to_lowercase());
        let service = listed.then(|| Topic::service(&check.service_name));
        [Topic::Checks, node].into_iter().chain(service).collect()
    }

    fn topics_of_node<const N: usize>(&self, node: &str, also: [Topic; N]) -> Vec<Topic> {
        let services = self.services_on(node).map(|service| Topic::service(&service.name));
        let services: HashSet<_> = services.collect();
        also.into_iter().chain([Topic::Node(node.to_owned())]).chain(services).collect()
    }

    fn changed(&mut self, topics: Vec<Topic>, index: u64) -> Vec<Topic> {
        topics.iter().for_each(|topic| self.indexes.change(topic, index));
        topics
    }

    fn disappeared(&mut self, mut topics: Vec<Topic>, topic: Topic, index: u64) -> Vec<Topic> {
        self.indexes.disappear(&topic, index);
        topics.push(topic);
        topics
    }
}

fn on_node<'a, T>(rows: &'a BTreeMap<Key, T>, node: &'a str) -> impl Iterator<Item = &'a T> {
    let from = Key::new(node, "");
    rows.range(from..).take_while(move |(key, _)| key.node == node).map(|(_, row)| row)
}
