//! The instances a service's requests go to.

mod changes;
pub(crate) use changes::BreakerChanges;
mod cluster;
pub(crate) use cluster::{Cluster, Tried, Upstream};
mod watch;
pub(crate) use watch::{begin, follow};
pub(crate) mod retry;
