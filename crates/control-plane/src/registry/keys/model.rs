//! What keys, locks and sessions have to do, in the simplest words.

use std::collections::BTreeMap;

pub(super) const KEYS: [&str; 5] = ["a", "a/b", "a/c", "b", "ü"];
pub(super) const PREFIXES: [&str; 6] = ["", "a", "a/", "a/b", "b", "none"];

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Set(usize, u8),
    /// With the index it has, or another one.
    SetAt(usize, u8, bool),
    SetNew(usize, u8),
    Lock(usize, u8, usize),
    Unlock(usize, u8, usize),
    Get(usize),
    CheckSession(usize, usize),
    CheckNotExists(usize),
    CheckIndex(usize, bool),
    Delete(usize),
    DeleteAt(usize, bool),
    DeleteTree(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) value: u8,
    pub(super) locks: u64,
    pub(super) holder: Option<String>,
    pub(super) created: u64,
    pub(super) modified: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) ends: Option<u64>,
    pub(super) ttl: bool,
    pub(super) delete: bool,
    pub(super) delay: u64,
    pub(super) checked: bool,
}

/// What has to be, in the simplest words.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) rows: BTreeMap<&'static str, Row>,
    pub(super) sessions: BTreeMap<String, Live>,
    pub(super) delays: BTreeMap<&'static str, u64>,
    pub(super) made: usize,
    pub(super) index: u64,
    pub(super) now: u64,
}

impl Model {
    pub(super) fn keys(&mut self, ops: &[Op]) -> bool {
        let delayed = |key: &usize| self.delays.get(KEYS[*key]).is_some_and(|at| *at > self.now);
        if ops.iter().any(|op| matches!(op, Op::Lock(key, ..) if delayed(key))) {
            return false;
        }
        let before = self.rows.clone();
        let index = self.index + 1;
        if !ops.iter().all(|op| self.op(*op, index)) {
            self.rows = before;
            return false;
        }
        if self.rows != before {
            self.index = index;
        }
        true
    }

    fn op(&mut self, op: Op, index: u64) -> bool {
        match op {
            Op::Set(key, value) => self.set(key, value, index),
            Op::SetAt(key, value, right) => match self.rows.get(KEYS[key]) {
                Some(_) if right => self.set(key, value, index),
                _ => return false,
            },
            Op::SetNew(key, value) => match self.rows.get(KEYS[key]) {
                None => self.set(key, value, index),
                Some(_) => return false,
            },
            Op::Lock(key, value, session) => {
                let id = format!("s{session}");
                if !self.sessions.contains_key(&id) {
                    return false;
                }
                let row = self.rows.get(KEYS[key]);
                let locks = row.map_or(0, |row| row.locks);
                match row.and_then(|row| row.holder.clone()) {
                    Some(holder) if holder != id => return false,
                    Some(_) => self.write(key, value, locks, Some(id), index),
                    None => self.write(key, value, locks + 1, Some(id), index),
                }
            }
            Op::Unlock(key, value, session) => match self.rows.get(KEYS[key]) {
                Some(row) if row.holder == Some(format!("s{session}")) => {
                    self.write(key, value, row.locks, None, index);
                }
                _ => return false,
            },
            Op::Get(key) => return self.rows.contains_key(KEYS[key]),
            Op::CheckSession(key, session) => {
                let holder = self.rows.get(KEYS[key]).map(|row| row.holder.clone());
                return holder == Some(Some(format!("s{session}")));
            }
            Op::CheckNotExists(key) => return !self.rows.contains_key(KEYS[key]),
            Op::CheckIndex(key, right) => return right && self.rows.contains_key(KEYS[key]),
            Op::Delete(key) => _ = self.rows.remove(KEYS[key]),
            Op::DeleteAt(key, right) => {
                if !right && self.rows.contains_key(KEYS[key]) {
                    return false;
                }
                self.rows.remove(KEYS[key]);
            }
            Op::DeleteTree(prefix) => {
                self.rows.retain(|key, _| !key.starts_with(PREFIXES[prefix]));
            }
        }
        true
    }

    fn set(&mut self, key: usize, value: u8, index: u64) {
        let row = self.rows.get(KEYS[key]);
        let (locks, holder) = row.map_or((0, None), |row| (row.locks, row.holder.clone()));
        self.write(key, value, locks, holder, index);
    }

    fn write(&mut self, key: usize, value: u8, locks: u64, holder: Option<String>, index: u64) {
        let old = self.rows.get(KEYS[key]);
        let created = old.map_or(index, |old| old.created);
        let same =
            old.is_some_and(|old| (old.value, old.locks, &old.holder) == (value, locks, &holder));
        if !same {
            let row = Row { value, locks, holder, created, modified: index };
            self.rows.insert(KEYS[key], row);
        }
    }

    /// All of them in one change.
    pub(super) fn end(&mut self, ids: &[String]) {
        self.index += 1;
        for id in ids {
            let Some(live) = self.sessions.remove(id) else { continue };
            let held = self.rows.iter().filter(|(_, row)| row.holder.as_ref() == Some(id));
            let held: Vec<_> = held.map(|(key, _)| *key).collect();
            for key in held {
                if live.delay > 0 {
                    self.delays.insert(key, self.now + live.delay);
                }
                if live.delete {
                    self.rows.remove(key);
                } else if let Some(row) = self.rows.get_mut(key) {
                    row.holder = None;
                    row.modified = self.index;
                }
            }
        }
    }

    pub(super) fn expire(&mut self) {
        loop {
            let ends = self.sessions.iter().filter_map(|(id, live)| Some((live.ends?, id.clone())));
            match ends.filter(|(at, _)| *at <= self.now).min() {
                Some((_, id)) => self.end(&[id]),
                None => return,
            }
        }
    }
}
