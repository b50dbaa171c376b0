//! The rule that keeps the last known set through outages.

use std::time::{Duration, Instant};

use regatta_core::Instance;

use crate::instance_set::ordered;
use crate::{Freshness, InstanceSet};

/// Turns a registry's answers and failures into sets to publish; a pure rule for backends.
///
/// A failure never removes an instance: it makes the set stale. A registry that comes back may
/// have lost its memory (a wiped disk, checks not run yet), so for `grace` after its return, until
/// it has named an instance, an *empty* answer is not believed. An empty answer with no outage
/// before it is believed at once.
#[derive(Debug)]
pub struct LastKnown {
    set: InstanceSet,
    grace: Duration,
    doubt: Doubt,
}

#[derive(Clone, Copy, Debug)]
enum Doubt {
    None,
    /// Away, or just reset: the next answer starts the grace.
    Away {
        since: Instant,
    },
    /// Back, but empty answers are not believed before `until`.
    Back {
        since: Instant,
        until: Instant,
    },
}

impl LastKnown {
    /// How long an empty answer is not believed after an outage: three verifications of a
    /// registrar with default settings, so that whoever lives has registered again.
    pub const GRACE: Duration = Duration::from_secs(30);

    /// Starts with the unknown set. A grace of zero believes every answer.
    pub fn new(grace: Duration) -> Self {
        Self { set: InstanceSet::unknown(), grace, doubt: Doubt::None }
    }

    /// The present set.
    pub fn set(&self) -> &InstanceSet {
        &self.set
    }

    /// Takes an answer; returns the set to publish if anything changed.
    pub fn answer(&mut self, now: Instant, instances: Vec<Instance>) -> Option<InstanceSet> {
        if let Doubt::Away { since } = self.doubt {
            self.doubt = Doubt::Back { since, until: now + self.grace };
        }
        if let Doubt::Back { since, until } = self.doubt {
            if instances.is_empty() && !self.set.instances.is_empty() && now < until {
                return self.become_(Freshness::Stale { since });
            }
            // It knows of someone again, or had its time: from now on nobody means nobody.
            self.doubt = Doubt::None;
        }
        let instances = ordered(instances);
        if instances != self.set.instances || !self.set.is_known() {
            self.set = InstanceSet {
                instances,
                freshness: Freshness::Fresh,
                generation: self.set.generation + 1,
            };
            return Some(self.set.clone());
        }
        self.become_(Freshness::Fresh)
    }

    /// Takes a failure; returns the set to publish if it was fresh until now.
    pub fn failure(&mut self, now: Instant) -> Option<InstanceSet> {
        let since = self.distrust(now);
        self.become_(Freshness::Stale { since })
    }

    /// Notes that the registry began anew (its index went backwards); it answers, so the set is
    /// not stale by this alone.
    pub fn reset(&mut self, now: Instant) {
        self.distrust(now);
    }

    /// How long the next answer may be waited for, so that a doubt ends in time; none when there is
    /// no doubt.
    pub fn recheck_after(&self, now: Instant) -> Option<Duration> {
        match self.doubt {
            Doubt::Back { until, .. } => Some(until.saturating_duration_since(now)),
            Doubt::None | Doubt::Away { .. } => None,
        }
    }

    fn distrust(&mut self, now: Instant) -> Instant {
        let since = match self.doubt {
            Doubt::Away { since } => since,
            // Still the same trouble if the set never became fresh in between.
            Doubt::Back { since, .. } if matches!(self.set.freshness, Freshness::Stale { .. }) => {
                since
            }
            Doubt::None | Doubt::Back { .. } => now,
        };
        self.doubt = Doubt::Away { since };
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
