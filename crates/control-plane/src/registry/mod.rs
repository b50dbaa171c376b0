//! What is registered: the model, its transitions and its indexes, all pure.

mod model;
pub(crate) use model::{
    Address, Check, CheckKind, Key, Node, OWN_SERVICE, SERF_HEALTH, Service, Status, Thresholds,
    Weights,
};

mod topic;
pub(crate) use topic::{Indexes, Topic};

mod state;
pub(crate) use state::{Delta, State};

mod command;
pub(crate) use command::{CheckSpec, Command, NodeSpec, Rejection, ServiceSpec};

mod transition;
pub(crate) use transition::{Limits, decide};

mod bootstrap;
pub(crate) use bootstrap::bootstrap;

#[cfg(test)]
mod tests;
