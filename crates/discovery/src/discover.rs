//! The port through which callers find instances.

use regatta_core::ServiceName;

use crate::Watch;

/// Finds the healthy instances of services.
///
/// Implementations must pass every check in `conformance` (feature `conformance`): a watch first
/// yields the present set and then each change; the last known set is kept while the registry is
/// away; an empty answer of a registry that has just come back does not empty it at once.
pub trait Discover: Send + Sync + std::fmt::Debug + 'static {
    /// Watches a service. Never blocks and never fails: before the first answer the set is empty
    /// and [`Freshness::Unknown`](crate::Freshness::Unknown); wait with [`Watch::first`].
    ///
    /// Watching a service that others watch already costs no further request. May need the context
    /// of a tokio runtime.
    fn watch(&self, service: &ServiceName) -> Watch;
}
