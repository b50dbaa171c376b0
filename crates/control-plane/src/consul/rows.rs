//! Rows as a call found them, written when the registry is free again.

use std::sync::Arc;

use crate::registry::{Check, Key, Node, Service, State};

/// An instance with its node, if that is there.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) service: Arc<Service>,
    pub(crate) node: Option<Arc<Node>>,
}

/// An instance with the checks that decide about it.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    pub(crate) instance: Instance,
    pub(crate) checks: Vec<Arc<Check>>,
}

/// A check with its service, if it has one.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) check: Arc<Check>,
    pub(crate) service: Option<Arc<Service>>,
}

impl Instance {
    pub(crate) fn find(state: &State, service: &Arc<Service>) -> Self {
        Self { service: Arc::clone(service), node: state.node(&service.node).cloned() }
    }
}

impl Health {
    pub(crate) fn find(state: &State, service: &Arc<Service>) -> Self {
        let checks = state.deciding_checks(service).cloned().collect();
        Self { instance: Instance::find(state, service), checks }
    }
}

impl Checked {
    pub(crate) fn find(state: &State, check: &Arc<Check>) -> Self {
        let service = state.service(&Key::new(&check.node, &check.service_id)).cloned();
        Self { check: Arc::clone(check), service }
    }
}
