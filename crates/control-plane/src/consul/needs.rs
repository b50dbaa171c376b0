//! What each call of Consul's interface needs, read from its path and its body.

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::app::App;
use super::decode;
use super::failure::Failure;
use super::fields::normal;
use super::owners::owners;
use super::query::Query;
use crate::access::{Level, Resource, Rules};
use crate::registry::{Command, Key};

/// What a call needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Anybody may.
    Nothing,
    /// Only who may do everything.
    Management,
    /// All of these.
    All(Vec<One>),
    /// Anybody may, and sees what is theirs to see.
    Filtered(Listed),
    /// Each operation what is at its place.
    Txn(Vec<One>),
}

/// One thing that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct One {
    pub(crate) resource: Resource,
    pub(crate) name: Bytes,
    pub(crate) level: Level,
    /// Whether it is needed for everything that begins with the name.
    pub(crate) is_prefix: bool,
}

/// What a call lists, which says where the names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Objects of keys.
    Entries,
    /// Keys as texts.
    Keys,
    /// An object whose keys are the names of services.
    ServiceNames,
    /// Objects with a node, a service or both, in any of the ways that Consul writes them.
    Instances,
    Sessions,
    Events,
}

impl One {
    pub(crate) fn new(resource: Resource, name: impl Into<Bytes>, level: Level) -> Self {
        Self { resource, name: name.into(), level, is_prefix: false }
    }

    pub(crate) fn is_allowed(&self, rules: &Rules) -> bool {
        match self.is_prefix {
            true => rules.allows_prefix(self.resource, &self.name, self.level),
            false => rules.allows(self.resource, &self.name, self.level),
        }
    }
}

impl Listed {
    /// Whether Consul answers 404 when nothing is left.
    pub(crate) fn is_absent_when_empty(self) -> bool {
        matches!(self, Self::Entries | Self::Keys)
    }
}

/// What a call needs. `path` is decoded.
pub(crate) fn needs(method: &Method, path: &[u8], query: &Query, body: &Bytes, app: &App) -> Need {
    let Some(rest) = path.strip_prefix(b"/v1/") else { return outside(path, app) };
    let (group, rest) = split(rest);
    let is_write = method != Method::GET && method != Method::HEAD;
    match group {
        b"status" => Need::Nothing,
        b"kv" => keys(method, rest, query),
        b"txn" => txn(body),
        b"event" => event(rest),
        b"session" => session(rest, body, app),
        b"agent" => agent(rest, is_write, body, app),
        b"catalog" => catalog(rest, is_write, body, app),
        b"health" if !is_write => Need::Filtered(Listed::Instances),
        // Backups among them.
        _ => Need::Management,
    }
}

/// What is not Consul's: health is for everybody, figures for who may read this node.
fn outside(path: &[u8], app: &App) -> Need {
    match path {
        b"/metrics" => one(Resource::Node, app.identity.node.clone(), Level::Read),
        b"/" => Need::Nothing,
        _ if path.starts_with(b"/health") => Need::Nothing,
        _ => Need::Management,
    }
}

fn keys(method: &Method, key: &[u8], query: &Query) -> Need {
    let key = Bytes::copy_from_slice(key);
    match *method {
        Method::GET | Method::HEAD if query.flag("recurse") => Need::Filtered(Listed::Entries),
        Method::GET | Method::HEAD if query.flag("keys") => Need::Filtered(Listed::Keys),
        Method::GET | Method::HEAD => one(Resource::Key, key, Level::Read),
        Method::DELETE if query.flag("recurse") => {
            let whole = One { is_prefix: true, ..One::new(Resource::Key, key, Level::Write) };
            Need::All(vec![whole])
        }
        _ => one(Resource::Key, key, Level::Write),
    }
}

fn txn(body: &[u8]) -> Need {
    let operations: Vec<Value> = match serde_json::from_slice(body) {
        Ok(Value::Array(operations)) => operations,
        // Refused by the call itself, since it is no transaction.
        _ => return Need::Nothing,
    };
    if operations.iter().any(is_ambiguous) {
        return Need::Management;
    }
    let needed = operations.iter().map(|operation| {
        let kv = member(operation, "KV")?;
        let verb = text(kv, "Verb").to_lowercase();
        let reads = ["get", "get-tree", "check-index", "check-session", "check-not-exists"];
        let level = if reads.contains(&&*verb) { Level::Read } else { Level::Write };
        let is_prefix = verb.ends_with("-tree");
        Some(One { is_prefix, ..One::new(Resource::Key, text(kv, "Key"), level) })
    });
    // An operation that is not on keys is one that no rule speaks of.
    needed.collect::<Option<Vec<_>>>().map_or(Need::Management, Need::Txn)
}

fn event(rest: &[u8]) -> Need {
    match split(rest) {
        (b"fire", name) => one(Resource::Event, Bytes::copy_from_slice(name), Level::Write),
        (b"list", _) => Need::Filtered(Listed::Events),
        _ => Need::Management,
    }
}

fn session(rest: &[u8], body: &[u8], app: &App) -> Need {
    match split(rest) {
        (b"create", _) => {
            let Some(body) = read(body) else { return Need::Management };
            let node = match text(&body, "Node") {
                node if node.is_empty() => app.identity.node.clone(),
                node => node,
            };
            one(Resource::Session, node, Level::Write)
        }
        (b"destroy" | b"renew", _) => {
            // Sessions are of this node, but for those that an operator made for another.
            one(Resource::Session, app.identity.node.clone(), Level::Write)
        }
        (b"info" | b"list" | b"node", _) => Need::Filtered(Listed::Sessions),
        _ => Need::Management,
    }
}

fn agent(rest: &[u8], is_write: bool, body: &[u8], app: &App) -> Need {
    let own = || app.identity.node.clone();
    let (first, rest) = split(rest);
    match (first, split(rest)) {
        (b"self", _) => one(Resource::Node, own(), Level::Read),
        (b"members" | b"services" | b"checks", _) => Need::Filtered(Listed::Instances),
        (b"maintenance", _) => one(Resource::Node, own(), Level::Write),
        (b"service", (b"register", b"")) if is_write => {
            registration(app, body, decode::service(body, &app.identity.node, false))
        }
        (b"service", (b"deregister" | b"maintenance", id)) => of_service(app, id, Level::Write),
        (b"service", _) => of_service(app, rest, Level::Read),
        (b"health", (b"service", rest)) => match split(rest) {
            (b"id", id) => of_service(app, id, Level::Read),
            (b"name", name) => one(Resource::Service, Bytes::copy_from_slice(name), Level::Read),
            _ => Need::Management,
        },
        (b"check", (b"register", b"")) if is_write => {
            registration(app, body, decode::check(body, &app.identity.node))
        }
        (b"check", (_, id)) => {
            let id = String::from_utf8_lossy(id);
            let service = app.engine.read(|state| {
                let check = state.check(&Key::new(&app.identity.node, &id))?;
                Some(check.service_name.clone()).filter(|name| !name.is_empty())
            });
            match service {
                Some(service) => one(Resource::Service, service, Level::Write),
                None => one(Resource::Node, own(), Level::Write),
            }
        }
        _ => Need::Management,
    }
}

/// What a registration needs; one that is none is refused by the call itself.
fn registration(app: &App, body: &[u8], command: Result<Command, Failure>) -> Need {
    if read(body).is_none() {
        return Need::Management;
    }
    let Ok(command) = command else { return Need::Nothing };
    Need::All(app.engine.read(|state| owners(state, &command)))
}

/// By the name of a service of this node; one that is not there is the node's.
fn of_service(app: &App, id: &[u8], level: Level) -> Need {
    let key = Key::new(&app.identity.node, &String::from_utf8_lossy(id));
    match app.engine.read(|state| state.service(&key).map(|service| service.name.clone())) {
        Some(name) => one(Resource::Service, name, level),
        None => one(Resource::Node, app.identity.node.clone(), level),
    }
}

fn catalog(rest: &[u8], is_write: bool, body: &[u8], app: &App) -> Need {
    match (split(rest), is_write) {
        ((b"datacenters", _), false) => Need::Nothing,
        ((b"services", _), false) => Need::Filtered(Listed::ServiceNames),
        ((b"nodes" | b"service" | b"node" | b"node-services" | b"connect", _), false) => {
            Need::Filtered(Listed::Instances)
        }
        ((b"register", b""), true) => {
            registration(app, body, decode::catalog(body, &app.identity.datacenter))
        }
        ((b"deregister", _), true) => {
            let Some(body) = read(body) else { return Need::Management };
            one(Resource::Node, text(&body, "Node"), Level::Write)
        }
        _ => Need::Management,
    }
}

fn one(resource: Resource, name: impl Into<Bytes>, level: Level) -> Need {
    Need::All(vec![One::new(resource, name, level)])
}

/// What is before the next slash, and what is behind it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().position(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (path, &[]),
    }
}

/// A body; none when it says something twice, since the call may take the other one.
fn read(body: &[u8]) -> Option<Value> {
    let body = serde_json::from_slice(body).unwrap_or(Value::Null);
    (!is_ambiguous(&body)).then_some(body)
}

/// Whether an object, or one in it, has two members of one name, as the calls read names.
fn is_ambiguous(value: &Value) -> bool {
    let Some(members) = value.as_object() else { return false };
    let mut names: Vec<_> = members.keys().map(|name| normal(name)).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1]) || members.values().any(is_ambiguous)
}

/// A member of an object, its name as the calls read it.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let mut members = value.as_object()?.iter();
    members.find(|(own, _)| normal(own) == normal(name)).map(|(_, value)| value)
}

fn text(value: &Value, name: &str) -> String {
    member(value, name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
