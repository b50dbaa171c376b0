//! Health checks: when each is due, what it asks, who runs it.

mod schedule;
pub(crate) use schedule::{Due, Schedule};

mod grpc;
mod lookup;
mod probe;
pub(crate) use probe::Prober;

mod runner;
pub(crate) use runner::{Runner, SharedSchedule};
