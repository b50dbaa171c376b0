//! What somebody may do, by the longest prefix that a rule names.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::kv::KeyRange;

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Resource {
    /// Keys, of etcd's interface and of Consul's.
    Key,
    /// Services, by name.
    Service,
    /// Nodes, by name; the agent of a node counts as the node.
    Node,
    /// Sessions, by the name of their node.
    Session,
    /// Events, by name.
    Event,
}

/// How much is allowed; more includes less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Deny,
    Read,
    Write,
}

/// What somebody may do. Without any rule: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    is_management: bool,
    by_prefix: BTreeMap<(Resource, Bytes), Level>,
}

/// Somebody, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// For logs; not a secret.
    pub(crate) name: String,
    pub(crate) rules: Rules,
}

impl Resource {
    pub(crate) const ALL: [(&'static str, Self); 5] = [
        ("key", Self::Key),
        ("service", Self::Service),
        ("node", Self::Node),
        ("session", Self::Session),
        ("event", Self::Event),
    ];
}

impl Rules {
    /// Everything is allowed.
    pub(crate) fn management() -> Self {
        Self { is_management: true, by_prefix: BTreeMap::new() }
    }

    /// Whether everything is allowed, also what no rule speaks of: backups, compaction, alarms.
    pub(crate) fn is_management(&self) -> bool {
        self.is_management
    }

    /// Names that begin with the prefix are allowed this much, unless a longer prefix says else.
    pub(crate) fn set(&mut self, resource: Resource, prefix: Bytes, level: Level) {
        self.by_prefix.insert((resource, prefix), level);
    }

    /// Whether so much is allowed for this name.
    pub(crate) fn allows(&self, resource: Resource, name: &[u8], needed: Level) -> bool {
        self.is_management || self.level(resource, name) >= needed
    }

    /// Whether so much is allowed for every key of a range, those that do not exist included.
    pub(crate) fn allows_range(&self, range: &KeyRange, needed: Level) -> bool {
        if self.is_management {
            return true;
        }
        if self.level(Resource::Key, range.start()) < needed {
            return false;
        }
        // Between two neighbouring edges of the rules' prefixes, one rule decides for all keys.
        self.edges()
            .all(|edge| !range.contains(&edge) || self.level(Resource::Key, &edge) >= needed)
    }

    /// Whether so much is allowed for everything that begins with the prefix.
    pub(crate) fn allows_prefix(&self, resource: Resource, prefix: &[u8], needed: Level) -> bool {
        let below = self.of(resource).filter(|(rule, _)| rule.starts_with(prefix));
        self.allows(resource, prefix, needed) && below.into_iter().all(|(_, l)| l >= needed)
            || self.is_management
    }

    fn level(&self, resource: Resource, name: &[u8]) -> Level {
        let matching = self.of(resource).filter(|(prefix, _)| name.starts_with(prefix));
        matching.max_by_key(|(prefix, _)| prefix.len()).map_or(Level::Deny, |(_, level)| level)
    }

    fn of(&self, resource: Resource) -> impl Iterator<Item = (&Bytes, Level)> {
        let rules = self.by_prefix.range((resource, Bytes::new())..);
        let own = rules.take_while(move |((of, _), _)| *of == resource);
        own.map(|((_, prefix), level)| (prefix, *level))
    }

    /// Where what is allowed for keys may change: at the beginning and the end of each prefix.
    fn edges(&self) -> impl Iterator<Item = Bytes> {
        self.of(Resource::Key).flat_map(|(prefix, _)| {
            let end = KeyRange::prefix(prefix.clone()).end().cloned();
            [Some(prefix.clone()), end].into_iter().flatten()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(keys: &[(&'static str, Level)]) -> Rules {
        let mut rules = Rules::default();
        keys.iter().for_each(|(prefix, level)| rules.set(Resource::Key, (*prefix).into(), *level));
        rules
    }

    fn range(key: &'static str, end: &'static str) -> KeyRange {
        KeyRange::new(key.into(), end.into())
    }

    #[test]
    fn without_a_rule_nothing_is_allowed_and_the_longest_prefix_decides() {
        let rules = rules(&[
            ("shop/", Level::Write),
            ("shop/secret/", Level::Deny),
            ("shop/secret/menu", Level::Read),
        ]);
        let allows = |key: &str, level| rules.allows(Resource::Key, key.as_bytes(), level);
        assert!(allows("shop/a", Level::Write) && allows("shop/a", Level::Read));
        assert!(!allows("shop/secret/a", Level::Read));
        assert!(allows("shop/secret/menu/1", Level::Read));
        assert!(!allows("shop/secret/menu/1", Level::Write));
        assert!(!allows("other", Level::Read));
        assert!(!rules.allows(Resource::Service, b"shop/a", Level::Read));
    }

    #[test]
    fn a_range_is_allowed_when_every_key_of_it_is() {
        let rules = rules(&[("a", Level::Read), ("b", Level::Write), ("bx", Level::Deny)]);
        assert!(rules.allows_range(&range("a", "b"), Level::Read));
        assert!(rules.allows_range(&range("a", "bx"), Level::Read));
        assert!(!rules.allows_range(&range("a", "c"), Level::Read));
        assert!(!rules.allows_range(&range("a", "bx"), Level::Write));
        assert!(rules.allows_range(&range("by", "c"), Level::Write));
        assert!(!rules.allows_range(&range("by", "c\0"), Level::Read));
        assert!(!rules.allows_range(&range("\0", "\0"), Level::Read));
        assert!(Rules::management().allows_range(&range("\0", "\0"), Level::Write));
    }

    #[test]
    fn a_prefix_is_allowed_when_no_longer_rule_takes_from_it() {
        let rules = rules(&[("", Level::Write), ("a/b", Level::Read)]);
        assert!(rules.allows_prefix(Resource::Key, b"a/c", Level::Write));
        assert!(!rules.allows_prefix(Resource::Key, b"a/", Level::Write));
        assert!(rules.allows_prefix(Resource::Key, b"a/", Level::Read));
    }

    proptest! {
        #[test]
        fn a_range_that_is_allowed_has_no_key_that_is_not(
            prefixes in prop::collection::vec(("[ab]{0,3}", 0..3_usize), 0..5),
            start in "[ab]{0,3}", end in "[abc]{1,3}", key in "[ab]{0,5}",
        ) {
            let mut rules = Rules::default();
            for (prefix, level) in &prefixes {
                let level = [Level::Deny, Level::Read, Level::Write][*level];
                rules.set(Resource::Key, prefix.clone().into(), level);
            }
            let range = KeyRange::new(start.into(), end.into());
            if rules.allows_range(&range, Level::Read) && range.contains(key.as_bytes()) {
                prop_assert!(rules.allows(Resource::Key, key.as_bytes(), Level::Read));
            }
        }
    }
}
