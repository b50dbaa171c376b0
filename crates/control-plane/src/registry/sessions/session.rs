//! A session, in Consul's words.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration;

/// What happens to the keys whose locks an ending session holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Behavior {
    /// Their locks are free again.
    Release,
    /// They are deleted.
    Delete,
}

/// A session as a client asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionSpec {
    pub(crate) name: String,
    pub(crate) node: String,
    /// As the client wrote it; empty for none.
    pub(crate) ttl: String,
    pub(crate) behavior: Behavior,
    pub(crate) lock_delay: Duration,
    /// Checks of its node that it lives with.
    pub(crate) node_checks: Vec<String>,
    /// Checks of services on its node that it lives with.
    pub(crate) service_checks: Vec<String>,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: Arc<str>,
    pub(crate) created: u64,
    pub(crate) spec: SessionSpec,
}

impl SessionSpec {
    /// How long it lives without being renewed; none for ever.
    pub(crate) fn lifetime(&self) -> Option<Duration> {
        duration::parse(&self.ttl).filter(|ttl| !ttl.is_zero())
    }

    /// The checks that it lives with.
    pub(crate) fn checks(&self) -> impl Iterator<Item = &String> {
        self.node_checks.iter().chain(&self.service_checks)
    }
}
