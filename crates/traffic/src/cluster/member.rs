//! One instance with what is known of it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use regatta_core::Instance;
use regatta_resilience::breaker::{self, Breaker};
use regatta_resilience::outlier;

use super::announce::Announcer;
use super::load::Load;
use super::shared::Shared;
use super::{State, What};

/// One instance with what is known of it, and with what the caller hung on it.
///
/// It lives as long as it is in the set or a call to it is in flight.
pub struct Member<T> {
    pub(super) instance: Arc<Instance>,
    /// Shared with the members before and after it that differ in their attributes only.
    pub(super) life: Arc<Life<T>>,
}

/// What one life of an instance leaves behind.
pub(super) struct Life<T> {
    /// Unique in the cluster, from 1; never given again.
    pub(super) number: u64,
    pub(super) data: T,
    pub(super) breaker: Breaker,
    pub(super) tally: outlier::Tally,
    pub(super) load: Load,
    /// The breaker is not plainly closed, so each use may change whether the next is admitted.
    pub(super) watched: Arc<AtomicBool>,
    /// When it joined, in the cluster's nanoseconds.
    pub(super) joined: u64,
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
    /// Whether the last change left the breaker in a state that uses may end.
    pub(super) fn is_watched(&self) -> bool {
        // Acquire, with the release below: whoever sees the mark sees the breaker's change.
        self.watched.load(Ordering::Acquire)
    }
}

/// A breaker whose changes are announced and mark the life as watched.
pub(super) fn breaker(
    settings: breaker::Settings,
    instance: Option<Arc<Instance>>,
    watched: &Arc<AtomicBool>,
    announcer: &Arc<Announcer>,
) -> Breaker {
    let (watched, announcer) = (Arc::clone(watched), Arc::clone(announcer));
    let observer = move |change: breaker::Change| {
        if change.to != State::Closed {
            watched.store(true, Ordering::Release);
        }
        announcer.note(instance.as_ref(), What::Breaker(change));
        announcer.deliver();
    };
    let made = Breaker::try_observed(settings, Arc::new(observer));
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
