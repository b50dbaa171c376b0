//! What is registered: the model, its transitions and its indexes.
//!
//! Rules are pure; [`published`] holds what is committed and wakes who waits for it.

mod model;
pub(crate) use model::{
    Address, Check, CheckKind, Key, NODE_MAINTENANCE, Node, OWN_SERVICE, SERF_HEALTH,
    SERVICE_MAINTENANCE, Service, Status, Thresholds, Weights,
};

mod topic;
pub(crate) use topic::{Indexes, Topic};

mod keys;
pub(crate) use keys::{Conflict, Draft, KeyOperation, Keys, Outcome, Pair, Write};

mod sessions;
pub(crate) use sessions::{Behavior, Refusal, Session, SessionSpec, Sessions, Timers};

mod size;

mod state;
pub(crate) use state::{Delta, State};

mod command;
pub(crate) use command::{CheckSpec, Command, NodeSpec, Rejection, ServiceSpec};

mod own;

mod transition;
pub(crate) use transition::{Limits, decide};

mod bootstrap;
pub(crate) use bootstrap::bootstrap;

mod record;
pub(crate) use record::Record;

mod turn;
pub(crate) use turn::{Failed, Turn};

mod wakers;
pub(crate) use wakers::{Wakers, Waking};

mod published;
pub(crate) use published::Published;

#[cfg(test)]
mod tests;
