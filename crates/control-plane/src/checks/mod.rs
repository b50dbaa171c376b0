//! Health checks: when each is due, what it asks, and the task that runs them.

mod schedule;
pub(crate) use schedule::{Due, Schedule};

mod probe;
pub(crate) use probe::Prober;

mod runner;
pub(crate) use runner::{Runner, SharedSchedule};
