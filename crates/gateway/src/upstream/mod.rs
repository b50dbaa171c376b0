//! The instances a service's requests go to.

mod cluster;
pub(crate) use cluster::{Cluster, Tried, Upstream};
mod watch;
pub(crate) use watch::follow;
pub(crate) mod retry;
