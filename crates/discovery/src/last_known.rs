//! The rule that keeps the last known set through outages.

use std::time::{Duration, Instant};

use regatta_core::Instance;

use crate::instance_set::ordered;
use crate::{Freshness, InstanceSet};

/// Turns a registry's answers and failures into sets to publish; a pure rule for backends.
///
/// A failure never removes an instance: it makes the set stale. A registry that comes back with its
/// memory is believed. One that comes back without it (a wiped disk: it began anew, or names nobody)
/// hears of those who live one after the other; so for `grace` after its return an instance that it
/// has not named yet stays beside those that it names, lest the first to register take the traffic of
/// all. One that it has named and names no more is gone at once. An answer with no outage before it is
/// believed as it is.
#[derive(Debug)]
pub struct LastKnown {
    set: InstanceSet,
    grace: Duration,
    doubt: Doubt,
    /// It names all or nobody; see [`LastKnown::naming_all_at_once`].
    names_all: bool,
    /// In doubt: those of before that have not been named since.
    unheard: Vec<Instance>,
}

#[derive(Clone, Copy, Debug)]
enum Doubt {
    None,
    /// Away, or just reset: the next answer may start the grace.
    Away {
        since: Instant,
        /// It has lost its memory.
        is_wiped: bool,
    },
    /// Back without its memory: who was not named stays before `until`.
    Back {
        since: Instant,
        until: Instant,
    },
}

impl LastKnown {
    /// How long instances stay that a registry without its memory does not name: three verifications
    /// of a registrar with default settings, so that whoever lives has registered again.
    pub const GRACE: Duration = Duration::from_secs(30);

    /// Starts with the unknown set. A grace of zero believes every answer.
    pub fn new(grace: Duration) -> Self {
        Self {
            set: InstanceSet::unknown(),
            grace,
            doubt: Doubt::None,
            names_all: false,
            unheard: Vec::new(),
        }
    }

    /// For a source in which instances do not register themselves, such as a zone: once it names
    /// somebody again, it names all.
    #[must_use]
    pub fn naming_all_at_once(mut self) -> Self {
        self.names_all = true;
        self
    }

    /// The present set.
    pub fn set(&self) -> &InstanceSet {
        &self.set
    }

    /// Takes an answer; returns the set to publish if anything changed.
    pub fn answer(&mut self, now: Instant, instances: Vec<Instance>) -> Option<InstanceSet> {
        if let Doubt::Away { since, is_wiped } = self.doubt {
            self.doubt = Doubt::None;
            if is_wiped || instances.is_empty() {
                self.unheard = self.set.instances.to_vec();
                self.doubt = Doubt::Back { since, until: now + self.grace };
            }
        }
        let mut freshness = Freshness::Fresh;
        if let Doubt::Back { since, until } = self.doubt {
            let is_named = |old: &Instance| instances.iter().any(|named| named.id == old.id);
            let is_over = now >= until || self.names_all && !instances.is_empty();
            self.unheard.retain(|old| !is_over && !is_named(old));
            if self.unheard.is_empty() {
                self.doubt = Doubt::None;
            } else {
                freshness = Freshness::Stale { since };
            }
        }
        let instances = ordered(instances.into_iter().chain(self.unheard.clone()).collect());
        if instances != self.set.instances || !self.set.is_known() {
            let generation = self.set.generation + 1;
            self.set = InstanceSet { instances, freshness, generation };
            return Some(self.set.clone());
        }
        self.become_(freshness)
    }

    /// Takes a failure; returns the set to publish if it was fresh until now.
    pub fn failure(&mut self, now: Instant) -> Option<InstanceSet> {
        let since = self.distrust(now, false);
        self.become_(Freshness::Stale { since })
    }

    /// Notes that the registry began anew (its index went backwards); it answers, so the set is
    /// not stale by this alone.
    pub fn reset(&mut self, now: Instant) {
        self.distrust(now, true);
    }

    /// How long the next answer may be waited for, so that a doubt ends in time; none when there is
    /// no doubt.
    pub fn recheck_after(&self, now: Instant) -> Option<Duration> {
        match self.doubt {
            Doubt::Back { until, .. } => Some(until.saturating_duration_since(now)),
            Doubt::None | Doubt::Away { .. } => None,
        }
    }

    fn distrust(&mut self, now: Instant, is_wiped: bool) -> Instant {
        let (since, was_wiped) = match self.doubt {
            Doubt::Away { since, is_wiped } => (since, is_wiped),
            // Still the same trouble if the set never became fresh in between.
            Doubt::Back { since, .. } if matches!(self.set.freshness, Freshness::Stale { .. }) => {
                (since, true)
            }
            Doubt::Back { .. } => (now, true),
            Doubt::None => (now, false),
        };
        self.doubt = Doubt::Away { since, is_wiped: is_wiped || was_wiped };
        since
    }

    fn become_(&mut self, freshness: Freshness) -> Option<InstanceSet> {
        if self.set.freshness == freshness || !self.set.is_known() {
            return None;
        }
        self.set.freshness = freshness;
        Some(self.set.clone())
    }
}
