//! One instance with what is known of it.

use std::fmt;
use std::sync::{Arc, Weak};

use regatta_core::Instance;
use regatta_resilience::breaker::{self, Breaker, Circuit};
use regatta_resilience::outlier;

use super::What;
use super::announce::Announcer;
use super::load::Load;
use super::shared::Shared;

/// One instance with what is known of it, and with what the caller hung on it.
///
/// It lives as long as it is in the set or a call to it is in flight.
pub struct Member<T> {
    pub(super) instance: Arc<Instance>,
    /// Shared with the members before and after it that differ in their attributes only.
    pub(super) life: Arc<Life<T>>,
}

/// What one life of an instance leaves behind.
// What picks read and reports write comes first: a cache line, and the breaker's beside it.
#[repr(C, align(64))]
pub(super) struct Life<T> {
    pub(super) load: Load,
    pub(super) tally: outlier::Tally,
    /// Unique in the cluster, from 1; never given again.
    pub(super) number: u64,
    /// When it joined, in the cluster's nanoseconds.
    pub(super) joined: u64,
    pub(super) breaker: Circuit,
    /// The service's, so that who holds a life needs no handle of it.
    pub(super) service: Breaker,
    pub(super) data: T,
    pub(super) cluster: Weak<Shared<T>>,
}

impl<T> Member<T> {
    /// The instance.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// What the caller hung on it.
    pub fn data(&self) -> &T {
        &self.life.data
    }

    /// Tells it from every other member of the cluster, also from an earlier life of the same
    /// instance.
    pub fn number(&self) -> u64 {
        self.life.number
    }

    /// The same life with other attributes.
    pub(super) fn with_instance(&self, instance: Instance) -> Self {
        Self { instance: Arc::new(instance), life: Arc::clone(&self.life) }
    }
}

impl<T> Life<T> {
    /// Whether the breaker is not plainly closed, so that each use may change whether the next is
    /// admitted.
    pub(super) fn is_watched(&self) -> bool {
        self.breaker.is_marked()
    }
}

/// A breaker whose changes are announced.
pub(super) fn breaker(
    settings: breaker::Settings,
    instance: Option<Arc<Instance>>,
    announcer: &Arc<Announcer>,
) -> Circuit {
    let announcer = Arc::clone(announcer);
    let observer = move |change: breaker::Change| {
        announcer.note(instance.as_ref(), What::Breaker(change));
        announcer.deliver();
    };
    let made = Circuit::try_observed(settings, Arc::new(observer));
    made.expect("the settings were checked with the policies")
}

impl<T> fmt::Debug for Member<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("number", &self.number())
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}
