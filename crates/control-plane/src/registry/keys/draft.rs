//! What one request does to keys and locks: pure, and whole or nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Conflict, KeyOperation, Keys, Outcome, Pair, Write};
use crate::registry::{Behavior, Delta, Session, Sessions};

/// Keys and locks as a request leaves them. Each operation sees those before it.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    keys: &'a Keys,
    sessions: &'a Sessions,
    index: u64,
    quota_bytes: usize,
    changed: BTreeMap<Arc<str>, Option<Arc<Pair>>>,
    ended: Vec<Arc<Session>>,
    bytes: usize,
}

impl<'a> Draft<'a> {
    /// What is changed gets this index; all pairs together may take so many bytes.
    pub(crate) fn new(
        keys: &'a Keys,
        sessions: &'a Sessions,
        index: u64,
        quota_bytes: usize,
    ) -> Self {
        let (changed, ended, bytes) = (BTreeMap::new(), Vec::new(), keys.bytes());
        Self { keys, sessions, index, quota_bytes, changed, ended, bytes }
    }

    /// Does one operation, or says why not.
    pub(crate) fn run(&mut self, operation: &KeyOperation) -> Result<Outcome, Conflict> {
        match operation {
            KeyOperation::Set(write) => self.set(write),
            KeyOperation::SetAt(write, index) => self.set_at(write, *index),
            KeyOperation::Lock(write, session) => self.lock(write, session),
            KeyOperation::Unlock(write, session) => self.unlock(write, session),
            KeyOperation::Get(key) => {
                let found = self.get(key).cloned().map(Outcome::Found);
                found.ok_or_else(|| Conflict::Missing { key: key.clone() })
            }
            KeyOperation::GetTree(prefix) => Ok(Outcome::Tree(self.tree(prefix))),
            KeyOperation::CheckIndex(key, wanted) => self.check_index(key, *wanted),
            KeyOperation::CheckSession(key, wanted) => self.check_session(key, wanted),
            KeyOperation::CheckNotExists(key) => match self.get(key) {
                Some(_) => Err(Conflict::Exists { key: key.clone() }),
                None => Ok(Outcome::Done),
            },
            KeyOperation::Delete(key) => {
                self.remove(key);
                Ok(Outcome::Done)
            }
            KeyOperation::DeleteAt(key, index) => match self.get(key) {
                Some(pair) if pair.modified != *index => {
                    Err(Conflict::StaleDelete { key: key.clone() })
                }
                _ => {
                    self.remove(key);
                    Ok(Outcome::Done)
                }
            },
            KeyOperation::Unknown(_, verb) => Err(Conflict::UnknownVerb { verb: verb.clone() }),
            KeyOperation::DeleteTree(prefix) => {
                for pair in self.tree(prefix) {
                    self.remove(&pair.key);
                }
                Ok(Outcome::Done)
            }
        }
    }

    /// Ends a session: its locks are given back, or their keys are deleted.
    pub(crate) fn end(&mut self, session: &Arc<Session>) {
        let keys: Vec<_> = self.keys.held_by(&session.id).cloned().collect();
        for key in keys {
            let Some(pair) = self.get(&key).cloned() else { continue };
            match session.spec.behavior {
                Behavior::Release => {
                    let pair = Pair { session: None, modified: self.index, ..Pair::clone(&pair) };
                    self.put(pair);
                }
                Behavior::Delete => self.remove(&key),
            }
        }
        self.ended.push(Arc::clone(session));
    }

    /// What has to change for it to be so.
    pub(crate) fn into_deltas(self) -> Vec<Delta> {
        let keys = self.changed.into_iter().map(|(key, pair)| match pair {
            Some(pair) => Delta::PutKey(pair),
            None => Delta::RemoveKey(key),
        });
        let ended = self.ended.into_iter();
        keys.chain(ended.map(|session| Delta::RemoveSession(session.id.clone()))).collect()
    }

    fn get(&self, key: &str) -> Option<&Arc<Pair>> {
        match self.changed.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.keys.get(key),
        }
    }

    fn tree(&self, prefix: &str) -> Vec<Arc<Pair>> {
        if self.changed.is_empty() {
            return self.keys.beginning(prefix).cloned().collect();
        }
        let before = self.keys.beginning(prefix).map(|pair| (pair.key.clone(), pair.clone()));
        let mut tree: BTreeMap<_, _> = before.collect();
        for (key, pair) in self.changed.iter().filter(|(key, _)| key.starts_with(prefix)) {
            match pair {
                Some(pair) => _ = tree.insert(key.clone(), pair.clone()),
                None => _ = tree.remove(key),
            }
        }
        tree.into_values().collect()
    }

    /// Sets a value; the lock stays as it is.
    fn set(&mut self, write: &Write) -> Result<Outcome, Conflict> {
        let old = self.get(&write.key);
        let (lock_index, session) =
            old.map_or((0, None), |old| (old.lock_index, old.session.clone()));
        self.write(write, lock_index, session)
    }

    fn set_at(&mut self, write: &Write, index: u64) -> Result<Outcome, Conflict> {
        let modified = self.get(&write.key).map(|old| old.modified);
        // A key that does not exist is modified at 0, in Consul's words.
        if modified.unwrap_or(0) != index {
            return Err(Conflict::StaleSet { key: write.key.clone() });
        }
        self.set(write)
    }

    fn lock(&mut self, write: &Write, session: &str) -> Result<Outcome, Conflict> {
        if session.is_empty() {
            return Err(Conflict::NoSession);
        }
        let unknown = || Conflict::UnknownSession { id: session.to_owned() };
        let session = self.sessions.get(session).ok_or_else(unknown)?.id.clone();
        let lock_index = match self.get(&write.key) {
            None => 1,
            Some(old) => match &old.session {
                None => old.lock_index + 1,
                Some(holder) if **holder == *session => old.lock_index,
                Some(_) => return Err(Conflict::Held { key: write.key.clone() }),
            },
        };
        self.write(write, lock_index, Some(session))
    }

    fn unlock(&mut self, write: &Write, session: &str) -> Result<Outcome, Conflict> {
        if session.is_empty() {
            return Err(Conflict::NoSession);
        }
        match self.get(&write.key) {
            Some(old) if old.session.as_deref() == Some(session) => {
                let lock_index = old.lock_index;
                self.write(write, lock_index, None)
            }
            _ => Err(Conflict::NotHeld { key: write.key.clone() }),
        }
    }

    fn check_index(&self, key: &Arc<str>, wanted: u64) -> Result<Outcome, Conflict> {
        let missing = || Conflict::NothingToIndex { key: key.clone() };
        let pair = self.get(key).ok_or_else(missing)?;
        if pair.modified != wanted {
            return Err(Conflict::OtherIndex { key: key.clone(), is: pair.modified, wanted });
        }
        Ok(Outcome::Pair(pair.clone()))
    }

    fn check_session(&self, key: &Arc<str>, wanted: &str) -> Result<Outcome, Conflict> {
        let missing = || Conflict::NothingToHold { key: key.clone() };
        let pair = self.get(key).ok_or_else(missing)?;
        let is = pair.session.as_deref().unwrap_or_default();
        if is != wanted {
            let (is, wanted) = (is.to_owned(), wanted.to_owned());
            return Err(Conflict::OtherSession { key: key.clone(), is, wanted });
        }
        Ok(Outcome::Pair(pair.clone()))
    }

    fn write(
        &mut self,
        write: &Write,
        lock_index: u64,
        session: Option<Arc<str>>,
    ) -> Result<Outcome, Conflict> {
        let old = self.get(&write.key);
        let pair = Pair {
            key: old.map_or_else(|| write.key.clone(), |old| old.key.clone()),
            value: write.value.clone(),
            flags: write.flags,
            lock_index,
            session,
            created: old.map_or(self.index, |old| old.created),
            modified: self.index,
        };
        if let Some(old) = old.filter(|old| old.says_the_same(&pair)) {
            // Nobody is woken for what was so already.
            return Ok(Outcome::Pair(old.clone()));
        }
        let grown = self.bytes + pair.bytes() - old.map_or(0, |old| old.bytes());
        if grown > self.quota_bytes && grown > self.bytes {
            return Err(Conflict::Full { bytes: self.quota_bytes });
        }
        Ok(Outcome::Pair(self.put(pair)))
    }

    fn put(&mut self, pair: Pair) -> Arc<Pair> {
        self.bytes += pair.bytes();
        self.bytes -= self.get(&pair.key).map_or(0, |old| old.bytes());
        let pair = Arc::new(pair);
        self.changed.insert(pair.key.clone(), Some(pair.clone()));
        pair
    }

    fn remove(&mut self, key: &Arc<str>) {
        let Some(old) = self.get(key) else { return };
        let (key, bytes) = (old.key.clone(), old.bytes());
        self.bytes -= bytes;
        match self.keys.get(&key) {
            Some(_) => _ = self.changed.insert(key, None),
            // Made by this request: as if it had never been.
            None => _ = self.changed.remove(&key),
        }
    }
}
