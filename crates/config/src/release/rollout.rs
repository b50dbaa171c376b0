//! What instances follow of a release: its changes, and whom they reach.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The changes of a release, and whom they reach; under the service's keys while it is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The release.
    pub release: String,
    /// The settings by their dotted keys; none deletes the service's own.
    pub changes: BTreeMap<String, Option<String>>,
    /// The instances; all when none.
    #[serde(default)]
    pub instances: Option<Vec<String>>,
}

impl Rollout {
    /// Reads one; none for a text that is no rollout.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As it is written.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether the changes are for this instance; one that does not know its name yet is reached
    /// when all are.
    pub fn reaches(&self, instance: Option<&str>) -> bool {
        match &self.instances {
            None => true,
            Some(names) => instance.is_some_and(|name| names.iter().any(|it| it == name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaches_the_named_or_all() {
        let some = Rollout { instances: Some(vec!["a".to_owned()]), ..Rollout::default() };
        assert!(some.reaches(Some("a")) && !some.reaches(Some("b")) && !some.reaches(None));
        let all = Rollout { instances: None, ..some.clone() };
        assert!(all.reaches(Some("b")) && all.reaches(None));
        assert_eq!(Rollout::parse(&some.to_text()), Some(some));
    }
}
