//! What a command changes, given what is registered: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::command::{CheckSpec, Command, NodeSpec, Rejection, ServiceSpec};
use super::model::{NODE_MAINTENANCE, SERVICE_MAINTENANCE};
use super::{Check, CheckKind, Delta, Key, Node, Service, State, Status, Thresholds};
use super::{own, size};

/// What the registry may hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) nodes: usize,
    pub(crate) services: usize,
    /// Of one service, and of one node without a service.
    pub(crate) checks_per_service: usize,
    /// Of memory, about, for nodes, services and checks.
    pub(crate) registry_bytes: usize,
    /// The node that is the control plane itself.
    pub(crate) own_node: String,
    pub(crate) sessions: usize,
    /// Of memory, about, for all keys with their values.
    pub(crate) key_bytes: usize,
}

/// What this command changes, stamped with this index; nothing when it is so already.
pub(crate) fn decide(
    state: &State,
    limits: &Limits,
    command: Command,
    index: u64,
) -> Result<Vec<Delta>, Rejection> {
    own::refuse(&limits.own_node, &command)?;
    // What was found and what goes is written at any size: it is bounded by what is registered.
    let may_grow = matches!(
        command,
        Command::RegisterService { .. }
            | Command::RegisterCheck { .. }
            | Command::RegisterNode { .. }
            | Command::Maintain { .. }
    );
    let deltas = changes(state, limits, command, index)?;
    match size::grown(state, &deltas).filter(|bytes| *bytes > limits.registry_bytes) {
        Some(_) if may_grow => Err(Rejection::TooLarge { bytes: limits.registry_bytes }),
        _ => Ok(deltas),
    }
}

fn changes(
    state: &State,
    limits: &Limits,
    command: Command,
    index: u64,
) -> Result<Vec<Delta>, Rejection> {
    let deciding = Deciding { state, limits, index };
    match command {
        Command::RegisterService { service, checks, replace_checks } => {
            deciding.register_service(service, checks, replace_checks)
        }
        Command::DeregisterService { key } => Ok(deciding.remove_service(&key)),
        Command::RegisterCheck { check } => deciding.register_check(check),
        Command::DeregisterCheck { key } => Ok(deciding.remove_check(&key)),
        Command::Probed { key, kind, status, output } => {
            let check = state.check(&key).filter(|check| check.kind == kind);
            Ok(check.map(|check| deciding.update(check, status, output)).unwrap_or_default())
        }
        Command::Report { key, status, output } => {
            let check = state.check(&key).filter(|c| matches!(c.kind, CheckKind::Ttl { .. }));
            let check = check.ok_or(Rejection::NoTtl { id: key.id })?;
            Ok(deciding.update(check, status, output))
        }
        Command::Reap { check } => Ok(deciding.reap(&check)),
        Command::Maintain { node, service_id, reason } => {
            deciding.maintain(&node, service_id, reason)
        }
        Command::RegisterNode { node, skip_update, service, checks } => {
            deciding.register_node(node, skip_update, service, checks)
        }
        Command::DeregisterNode { node, service_id, check_id } => {
            deciding.deregister_node(&node, service_id, check_id)
        }
    }
}

struct Deciding<'a> {
    state: &'a State,
    limits: &'a Limits,
    index: u64,
}

impl Deciding<'_> {
    fn register_service(
        &self,
        service: ServiceSpec,
        checks: Vec<CheckSpec>,
        replace_checks: bool,
    ) -> Result<Vec<Delta>, Rejection> {
        let (key, name) = (Key::new(&service.node, &service.id), service.name.clone());
        if self.state.service(&key).is_none() && self.state.service_count() >= self.limits.services
        {
            return Err(Rejection::TooManyServices { count: self.state.service_count() });
        }
        let held = || self.state.checks_of(&key.node, &key.id);
        let is_kept = |check: &&Arc<Check>| {
            let named = checks.iter().any(|spec| spec.id == check.id);
            !named && (!replace_checks || check.id.starts_with(SERVICE_MAINTENANCE))
        };
        if held().filter(is_kept).count() + checks.len() > self.limits.checks_per_service {
            return Err(Rejection::TooManyChecks { count: self.limits.checks_per_service });
        }
        let dropped = held().filter(|check| {
            replace_checks && !is_kept(check) && !checks.iter().any(|spec| spec.id == check.id)
        });
        let mut deltas: Vec<_> = dropped.map(|check| Delta::RemoveCheck(check.key())).collect();
        // A service under a new name takes the checks it keeps along.
        let renamed = held().filter(is_kept).filter(|check| check.service_name != name);
        deltas.extend(renamed.map(|check| {
            let service_name = name.clone();
            Delta::PutCheck(Arc::new(Check {
                service_name,
                modified: self.index,
                ..Check::clone(check)
            }))
        }));
        let service = self.put_service(service);
        let checks = checks.into_iter().filter_map(|check| self.put_check(check, &name));
        Ok(service.into_iter().chain(deltas).chain(checks).collect())
    }

    fn register_check(&self, check: CheckSpec) -> Result<Vec<Delta>, Rejection> {
        self.count(std::slice::from_ref(&check))?;
        if check.service_id.is_empty() {
            return Ok(self.put_check(check, "").into_iter().collect());
        }
        let service = self.state.service(&Key::new(&check.node, &check.service_id));
        let Some(service) = service else {
            return Err(Rejection::NoSuchService { id: check.service_id });
        };
        Ok(self.put_check(check, &service.name).into_iter().collect())
    }

    /// Refuses new checks of a service, or of a node without one, of which there are enough.
    fn count(&self, checks: &[CheckSpec]) -> Result<(), Rejection> {
        let mut new = BTreeMap::<(&str, &str), BTreeSet<&str>>::new();
        for check in checks {
            let held = self.state.check(&Key::new(&check.node, &check.id));
            if held.is_none_or(|held| held.service_id != check.service_id) {
                new.entry((&check.node, &check.service_id)).or_default().insert(&check.id);
            }
        }
        let most = self.limits.checks_per_service;
        let is_enough = |((node, service), new): (&(&str, &str), &BTreeSet<&str>)| {
            self.state.checks_of(node, service).count() + new.len() > most
        };
        match new.iter().any(is_enough) {
            true => Err(Rejection::TooManyChecks { count: most }),
            false => Ok(()),
        }
    }

    /// The service as a row, unless the same is there.
    fn put_service(&self, spec: ServiceSpec) -> Option<Delta> {
        let old = self.state.service(&Key::new(&spec.node, &spec.id));
        let stamps = old.map_or((self.index, self.index), |old| (old.created, old.modified));
        let mut service = Service {
            node: spec.node,
            id: spec.id,
            name: spec.name,
            tags: spec.tags,
            meta: spec.meta,
            address: spec.address,
            port: spec.port,
            weights: spec.weights,
            tagged_addresses: spec.tagged_addresses,
            enable_tag_override: spec.enable_tag_override,
            created: stamps.0,
            modified: stamps.1,
        };
        if old.is_some_and(|old| **old == service) {
            return None;
        }
        service.modified = self.index;
        Some(Delta::PutService(Arc::new(service)))
    }

    /// The check as a row, unless the same is there. A check that asks the same as before keeps
    /// what it found, so that registering again does not make a healthy instance unhealthy.
    fn put_check(&self, spec: CheckSpec, service_name: &str) -> Option<Delta> {
        let old = self.state.check(&Key::new(&spec.node, &spec.id));
        let stamps = old.map_or((self.index, self.index), |old| (old.created, old.modified));
        let known = old.filter(|old| old.kind == spec.kind && spec.kind != CheckKind::External);
        let (status, output) = match known {
            Some(old) => (old.status, old.output.clone()),
            None => (spec.status.unwrap_or(Status::Critical), spec.output),
        };
        let mut check = Check {
            node: spec.node,
            id: spec.id,
            name: spec.name,
            status,
            notes: spec.notes,
            output,
            service_id: spec.service_id,
            service_name: service_name.to_owned(),
            kind: spec.kind,
            deregister_after: spec.deregister_after,
            thresholds: spec.thresholds,
            definition: spec.definition,
            created: stamps.0,
            modified: stamps.1,
        };
        if old.is_some_and(|old| **old == check) {
            return None;
        }
        check.modified = self.index;
        Some(Delta::PutCheck(Arc::new(check)))
    }

    fn update(&self, check: &Arc<Check>, status: Status, output: String) -> Vec<Delta> {
        if check.status != status {
            let modified = self.index;
            let check = Check { status, output, modified, ..Check::clone(check) };
            vec![Delta::PutCheck(Arc::new(check))]
        } else if check.output != output {
            vec![Delta::Output(Arc::new(Check { output, ..Check::clone(check) }))]
        } else {
            Vec::new()
        }
    }

    fn reap(&self, check: &Key) -> Vec<Delta> {
        let check = self.state.check(check).filter(|check| check.status == Status::Critical);
        let service = check.and_then(|check| check.service_key());
        service.map(|service| self.remove_service(&service)).unwrap_or_default()
    }

    fn remove_service(&self, key: &Key) -> Vec<Delta> {
        if self.state.service(key).is_none() {
            return Vec::new();
        }
        let checks = self.state.checks_of(&key.node, &key.id);
        let checks = checks.map(|check| Delta::RemoveCheck(check.key()));
        checks.chain([Delta::RemoveService(key.clone())]).collect()
    }

    fn remove_check(&self, key: &Key) -> Vec<Delta> {
        self.state.check(key).map(|_| Delta::RemoveCheck(key.clone())).into_iter().collect()
    }

    fn maintain(
        &self,
        node: &str,
        service_id: Option<String>,
        reason: Option<String>,
    ) -> Result<Vec<Delta>, Rejection> {
        let subject = if service_id.is_some() { "service" } else { "node" };
        let (id, service_name, name) = match &service_id {
            Some(id) => {
                let service = self.state.service(&Key::new(node, id));
                let missing = || Rejection::NothingToMaintain { id: id.clone() };
                let service_name = service.ok_or_else(missing)?.name.clone();
                (format!("{SERVICE_MAINTENANCE}{id}"), service_name, "Service Maintenance Mode")
            }
            None => (NODE_MAINTENANCE.to_owned(), String::new(), "Node Maintenance Mode"),
        };
        let Some(reason) = reason else {
            return Ok(self.remove_check(&Key::new(node, &id)));
        };
        let notes = if reason.is_empty() {
            format!(
                "Maintenance mode is enabled for this {subject}, but no reason was provided. \
                 This is a default message."
            )
        } else {
            reason
        };
        let check = CheckSpec {
            node: node.to_owned(),
            id,
            name: name.to_owned(),
            status: Some(Status::Critical),
            notes,
            output: String::new(),
            service_id: service_id.unwrap_or_default(),
            kind: CheckKind::External,
            deregister_after: None,
            thresholds: Thresholds::default(),
            definition: serde_json::Value::Null,
        };
        Ok(self.put_check(check, &service_name).into_iter().collect())
    }

    fn register_node(
        &self,
        spec: NodeSpec,
        skip_update: bool,
        service: Option<ServiceSpec>,
        checks: Vec<CheckSpec>,
    ) -> Result<Vec<Delta>, Rejection> {
        self.count(&checks)?;
        let mut deltas: Vec<_> = self.put_node(spec, skip_update)?.into_iter().collect();
        let named = service.as_ref().map(|service| (service.id.clone(), service.name.clone()));
        if let Some(service) = service {
            deltas.extend(self.register_service(service, Vec::new(), false)?);
        }
        for check in checks {
            let named = named.as_ref().filter(|(id, _)| *id == check.service_id);
            match named {
                Some((_, name)) => deltas.extend(self.put_check(check, name)),
                None => deltas.extend(self.register_check(check)?),
            }
        }
        Ok(deltas)
    }

    fn put_node(&self, spec: NodeSpec, skip_update: bool) -> Result<Option<Delta>, Rejection> {
        let old = self.state.node(&spec.name);
        if old.is_some() && (skip_update || spec.name == self.limits.own_node) {
            return Ok(None);
        }
        let count = self.state.node_count();
        if old.is_none() && count >= self.limits.nodes {
            return Err(Rejection::TooManyNodes { count });
        }
        let stamps = old.map_or((self.index, self.index), |old| (old.created, old.modified));
        let id = if spec.id.is_empty() { old.map(|old| old.id.clone()) } else { Some(spec.id) };
        let mut node = Node {
            name: spec.name,
            id: id.unwrap_or_default(),
            address: spec.address,
            tagged_addresses: spec.tagged_addresses,
            meta: spec.meta,
            created: stamps.0,
            modified: stamps.1,
        };
        if old.is_some_and(|old| **old == node) {
            return Ok(None);
        }
        node.modified = self.index;
        Ok(Some(Delta::PutNode(Arc::new(node))))
    }

    fn deregister_node(
        &self,
        node: &str,
        service_id: Option<String>,
        check_id: Option<String>,
    ) -> Result<Vec<Delta>, Rejection> {
        let own = node == self.limits.own_node;
        match (service_id, check_id) {
            (Some(id), _) => Ok(self.remove_service(&Key::new(node, &id))),
            (None, Some(id)) => Ok(self.remove_check(&Key::new(node, &id))),
            (None, None) if own => Err(Rejection::OwnNode { name: node.to_owned() }),
            (None, None) if self.state.node(node).is_none() => Ok(Vec::new()),
            (None, None) => {
                let checks = self.state.checks_on(node).map(|c| Delta::RemoveCheck(c.key()));
                let services = self.state.services_on(node).map(|s| Delta::RemoveService(s.key()));
                let node = Delta::RemoveNode(node.to_owned());
                Ok(checks.chain(services).chain([node]).collect())
            }
        }
    }
}
