//! The port through which callers find instances.

use std::time::Duration;

use async_trait::async_trait;
use rand::Rng;
use regatta_core::ServiceName;

use crate::Watch;

/// How long a program that asks for one address waits for the registry's first answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Finds the healthy instances of services.
///
/// Implementations must pass every check in `conformance` (feature `conformance`): a watch first
/// yields the present set and then each change; the last known set is kept while the registry is
/// away; an empty answer of a registry that has just come back does not empty it at once.
#[async_trait]
pub trait Discover: Send + Sync + std::fmt::Debug + 'static {
    /// Watches a service. Never blocks and never fails: before the first answer the set is empty
    /// and [`Freshness::Unknown`](crate::Freshness::Unknown); wait with [`Watch::first`].
    ///
    /// Watching a service that others watch already costs no further request. May need the context
    /// of a tokio runtime.
    fn watch(&self, service: &ServiceName) -> Watch;

    /// The address of one healthy instance, drawn at random, as `http://127.0.0.1:8080`; none when
    /// there is none, or the registry does not answer within 5 s. For a program that calls now and
    /// then; one that calls often keeps a watch, and a client balances better than chance.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: asking changes nothing.
    async fn discover_service(&self, service: &ServiceName) -> Option<String> {
        let set = self.watch(service).first(ANSWER_WITHIN).await;
        let instance = set.any(rand::rng().random())?;
        Some(format!("http://{}", instance.endpoint))
    }
}
