//! The instances of one service, and how far to trust the list.

use std::sync::Arc;
use std::time::{Duration, Instant};

use regatta_core::Instance;

/// The instances of one service at one moment; immutable, replaced whole.
#[derive(Clone, Debug)]
pub struct InstanceSet {
    /// The healthy instances, ordered by id, each id once.
    pub instances: Arc<[Instance]>,
    /// Whether the registry stands behind the list now.
    pub freshness: Freshness,
    /// Grows by one with each change of `instances`, and only then; 0 until the first answer.
    pub generation: u64,
}

/// Whether the registry stands behind a list of instances now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The registry has not answered yet; an empty list means nothing.
    Unknown,
    /// The registry's latest answer.
    Fresh,
    /// The last known list; the registry is away, or came back without its memory.
    Stale {
        /// When the registry was first missed.
        since: Instant,
    },
}

impl Freshness {
    /// The name in logs, metrics and health, such as `stale`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Fresh => "fresh",
            Self::Stale { .. } => "stale",
        }
    }
}

impl InstanceSet {
    /// The set before any answer: empty and [`Freshness::Unknown`].
    pub fn unknown() -> Self {
        Self { instances: Arc::new([]), freshness: Freshness::Unknown, generation: 0 }
    }

    /// A first, fresh set of these instances.
    pub fn fresh(instances: Vec<Instance>) -> Self {
        Self { instances: ordered(instances), freshness: Freshness::Fresh, generation: 1 }
    }

    /// One instance by chance, each of those with a weight as likely as the others; `random` is in
    /// `[0, 1)`.
    pub fn any(&self, random: f64) -> Option<&Instance> {
        let wanted = || self.instances.iter().filter(|instance| instance.weight > 0);
        let count = wanted().count();
        // A share of the count, rounded down, is below it.
        wanted().nth((random * count as f64) as usize)
    }

    /// How long the registry has not stood behind the list, for health and metrics; none while it
    /// does, and before its first answer.
    pub fn stale_for(&self, now: Instant) -> Option<Duration> {
        match self.freshness {
            Freshness::Stale { since } => Some(now.saturating_duration_since(since)),
            Freshness::Unknown | Freshness::Fresh => None,
        }
    }

    /// Whether the registry has answered at least once.
    pub fn is_known(&self) -> bool {
        self.freshness != Freshness::Unknown
    }
}

/// Orders by id and keeps one instance of each id: the later, as a registry that replaces would.
pub(crate) fn ordered(mut instances: Vec<Instance>) -> Arc<[Instance]> {
    instances.reverse();
    instances.sort_by(|a, b| a.id.cmp(&b.id));
    instances.dedup_by(|a, b| a.id == b.id);
    instances.into()
}

#[cfg(test)]
mod tests {
    use regatta_core::InstanceId;

    use super::*;

    #[test]
    fn each_instance_that_has_a_weight_is_drawn_for_its_share_of_chance() {
        let instance = |id: &str, weight: u32| {
            let endpoint = regatta_core::Endpoint::try_new("127.0.0.1", 1).unwrap();
            let mut instance = Instance::new("a".parse().unwrap(), endpoint);
            (instance.id, instance.weight) = (InstanceId::new(id), weight);
            instance
        };
        let set = InstanceSet::fresh(vec![instance("a", 1), instance("b", 0), instance("c", 9)]);
        let drawn = |random| set.any(random).map(|instance| instance.id.as_str());
        assert_eq!([0.0, 0.49, 0.5, 0.99].map(drawn), [Some("a"), Some("a"), Some("c"), Some("c")]);
        assert!(InstanceSet::unknown().any(0.5).is_none());
    }

    #[test]
    fn lists_each_id_once_in_order() {
        let instance = |id: &str, port: u16| {
            let endpoint = regatta_core::Endpoint::try_new("127.0.0.1", port).unwrap();
            Instance::new("a".parse().unwrap(), endpoint).with_id(InstanceId::new(id))
        };
        let set = InstanceSet::fresh(vec![instance("b", 1), instance("a", 2), instance("b", 3)]);
        let listed: Vec<_> =
            set.instances.iter().map(|i| (i.id.as_str(), i.endpoint.port())).collect();
        assert_eq!(listed, [("a", 2), ("b", 3)]);
    }
}
