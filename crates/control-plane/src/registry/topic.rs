//! Which queries a change concerns, and the index each of them shows.

use std::collections::HashMap;
use std::sync::Arc;

/// What a blocking query waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    /// The list of nodes.
    Nodes,
    /// One node with what is on it.
    Node(String),
    /// The list of services with their tags.
    Services,
    /// The same, of nodes with some metadata.
    ServicesOfNodes,
    /// One service, by its lower-case name: instances, their checks, their nodes.
    Service(String),
    /// All checks.
    Checks,
    /// One key of the key-value store.
    Key(Arc<str>),
    /// The keys that begin so.
    Prefix(Arc<str>),
    /// All sessions.
    Sessions,
    /// One session, by its id.
    Session(Arc<str>),
}

impl Topic {
    /// Names are compared without regard to case, as Consul does.
    pub(crate) fn service(name: &str) -> Self {
        Self::Service(name.to_lowercase())
    }
}

/// The index of the last change of each topic. No topic's index ever goes backwards.
///
/// Consul's rules (its documentation, "Blocking queries"): an index is above 0, and a thing that is
/// gone shows the index of the last disappearance of any such thing, so that no index has to be
/// kept for names that do not exist any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Indexes {
    changed: HashMap<Topic, u64>,
    last_disappearance: u64,
    /// Topics changed before the start show at least this.
    floor: u64,
}

impl Indexes {
    /// After a restart at this index. What each topic showed before is at most that.
    pub(crate) fn starting_at(index: u64) -> Self {
        Self { floor: index, ..Self::default() }
    }

    pub(crate) fn of(&self, topic: &Topic) -> u64 {
        let unchanged = match topic {
            Topic::Service(_) | Topic::Node(_) | Topic::Session(_) => self.last_disappearance,
            // These never disappear, or have indexes of their own.
            Topic::Services
            | Topic::ServicesOfNodes
            | Topic::Nodes
            | Topic::Checks
            | Topic::Sessions
            | Topic::Key(_)
            | Topic::Prefix(_) => 0,
        };
        self.changed.get(topic).copied().unwrap_or(unchanged).max(self.floor).max(1)
    }

    pub(crate) fn change(&mut self, topic: &Topic, index: u64) {
        self.changed.insert(topic.clone(), index);
    }

    pub(crate) fn disappear(&mut self, topic: &Topic, index: u64) {
        self.changed.remove(topic);
        self.last_disappearance = self.last_disappearance.max(index);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_unknown_service_shows_an_index_above_zero() {
        assert_eq!(Indexes::default().of(&Topic::service("a")), 1);
        assert_eq!(Indexes::starting_at(7).of(&Topic::service("a")), 7);
    }

    #[test]
    fn a_name_is_the_same_in_any_case() {
        assert_eq!(Topic::service("User"), Topic::service("uSER"));
    }

    proptest! {
        #[test]
        fn no_index_goes_backwards(steps in prop::collection::vec((0_u8..4, any::<bool>()), 1..60)) {
            let mut indexes = Indexes::starting_at(3);
            let topics: Vec<_> = (0..4).map(|n| Topic::service(&format!("s{n}"))).collect();
            let mut shown = [0; 4];
            for (index, (topic, appears)) in (4..).zip(steps) {
                let topic = &topics[usize::from(topic)];
                if appears { indexes.change(topic, index) } else { indexes.disappear(topic, index) }
                prop_assert_eq!(indexes.of(topic), index);
                for (topic, shown) in topics.iter().zip(&mut shown) {
                    let now = indexes.of(topic);
                    prop_assert!(now >= *shown && now <= index);
                    *shown = now;
                }
            }
        }
    }
}
