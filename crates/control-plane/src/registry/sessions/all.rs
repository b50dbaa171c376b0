//! All sessions, and which lives with which check.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Session;
use crate::registry::Key;

/// All sessions. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    all: BTreeMap<Arc<str>, Arc<Session>>,
    /// Check -> the sessions that end with it.
    by_check: BTreeMap<Key, BTreeSet<Arc<str>>>,
}

impl Sessions {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Session>> {
        self.all.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.all.values()
    }

    /// Those that live with a check.
    pub(crate) fn of_check(&self, check: &Key) -> impl Iterator<Item = &Arc<Session>> {
        let ids = self.by_check.get(check).into_iter().flatten();
        ids.filter_map(|id| self.all.get(id))
    }

    pub(crate) fn put(&mut self, session: &Arc<Session>) {
        self.remove(&session.id);
        for check in session.spec.checks() {
            let of_check = self.by_check.entry(Key::new(&session.spec.node, check)).or_default();
            of_check.insert(session.id.clone());
        }
        self.all.insert(session.id.clone(), Arc::clone(session));
    }

    pub(crate) fn remove(&mut self, id: &str) {
        let Some(old) = self.all.remove(id) else { return };
        for check in old.spec.checks() {
            let key = Key::new(&old.spec.node, check);
            if let Some(of_check) = self.by_check.get_mut(&key) {
                of_check.remove(id);
                if of_check.is_empty() {
                    self.by_check.remove(&key);
                }
            }
        }
    }
}
