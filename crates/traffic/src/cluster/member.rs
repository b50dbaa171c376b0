//! One instance with what is known of it.

use std::sync::Arc;

use regatta_core::Instance;
use regatta_resilience::breaker::Breaker;

use super::load::Load;

/// One instance with what is known of it, and with what the caller hung on it.
///
/// It lives as long as it is in the set or a call to it is in flight.
#[derive(Debug)]
pub struct Member<T> {
    /// Unique in the cluster, from 1; never given again.
    pub(super) number: u64,
    pub(super) instance: Instance,
    pub(super) data: T,
    pub(super) breaker: Breaker,
    pub(super) load: Arc<Load>,
}

impl<T> Member<T> {
    /// The instance.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// What the caller hung on it.
    pub fn data(&self) -> &T {
        &self.data
    }

    /// Tells it from every other member of the cluster, also from an earlier life of the same
    /// instance.
    pub fn number(&self) -> u64 {
        self.number
    }
}
