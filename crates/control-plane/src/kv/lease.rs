//! Leases: keys that end unless their owner calls again in time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;

/// The least that a lease lasts, in seconds: etcd's, three halves of its election timeout.
pub(crate) const MIN_TTL: i64 = 2;
/// The longest a client may ask for, in seconds: etcd's.
pub(crate) const MAX_TTL: i64 = 9_000_000_000;

/// One lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// In seconds.
    pub(crate) ttl: i64,
    pub(crate) deadline: Instant,
    pub(crate) keys: BTreeSet<Bytes>,
}

/// All leases, and which ends next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leases {
    all: BTreeMap<i64, Lease>,
    due: BTreeSet<(Instant, i64)>,
}

impl Leases {
    pub(crate) fn get(&self, id: i64) -> Option<&Lease> {
        self.all.get(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// By id, with the seconds each was granted for.
    pub(crate) fn granted(&self) -> impl Iterator<Item = (i64, i64)> {
        self.all.iter().map(|(id, lease)| (*id, lease.ttl))
    }

    /// Their ids, the one that ends first first.
    pub(crate) fn by_deadline(&self) -> impl Iterator<Item = i64> {
        self.due.iter().map(|(_, id)| *id)
    }

    pub(crate) fn grant(&mut self, now: Instant, id: i64, ttl: i64) {
        let deadline = after(now, ttl);
        self.all.insert(id, Lease { ttl, deadline, keys: BTreeSet::new() });
        self.due.insert((deadline, id));
    }

    /// Begins its time anew; the seconds it has now, none when there is no such lease.
    pub(crate) fn keep_alive(&mut self, now: Instant, id: i64) -> Option<i64> {
        let lease = self.all.get_mut(&id)?;
        self.due.remove(&(lease.deadline, id));
        lease.deadline = after(now, lease.ttl);
        self.due.insert((lease.deadline, id));
        Some(lease.ttl)
    }

    /// Begins the time of each anew.
    pub(crate) fn begin_anew(&mut self, now: Instant) {
        self.due.clear();
        for (id, lease) in &mut self.all {
            lease.deadline = after(now, lease.ttl);
            self.due.insert((lease.deadline, *id));
        }
    }

    /// Takes it away with the list of its keys.
    pub(crate) fn remove(&mut self, id: i64) -> Option<Lease> {
        let lease = self.all.remove(&id)?;
        self.due.remove(&(lease.deadline, id));
        Some(lease)
    }

    pub(crate) fn attach(&mut self, id: i64, key: Bytes) {
        if let Some(lease) = self.all.get_mut(&id) {
            lease.keys.insert(key);
        }
    }

    pub(crate) fn detach(&mut self, id: i64, key: &[u8]) {
        if let Some(lease) = self.all.get_mut(&id) {
            lease.keys.remove(key);
        }
    }

    /// When the next one ends.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|(deadline, _)| *deadline)
    }

    /// One whose time is over.
    pub(crate) fn overdue(&self, now: Instant) -> Option<i64> {
        self.due.first().filter(|(deadline, _)| *deadline <= now).map(|(_, id)| *id)
    }
}

fn after(now: Instant, ttl: i64) -> Instant {
    now + Duration::from_secs(u64::try_from(ttl).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a first instant to count from")]
    fn the_one_that_was_kept_alive_ends_later() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut leases = Leases::default();
        leases.grant(start, 1, 10);
        leases.grant(start, 2, 12);
        assert_eq!(leases.next_deadline(), Some(at(10)));
        assert_eq!(leases.keep_alive(at(5), 1), Some(10));
        assert_eq!(leases.keep_alive(at(5), 3), None);
        assert_eq!(leases.overdue(at(11)), None);
        assert_eq!(leases.overdue(at(12)), Some(2));
        assert!(leases.remove(2).is_some());
        assert_eq!(leases.overdue(at(14)), None);
        assert_eq!(leases.overdue(at(15)), Some(1));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a first instant to count from")]
    fn each_has_its_whole_time_when_all_begin_anew() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut leases = Leases::default();
        leases.grant(start, 1, 10);
        leases.grant(start, 2, 4);
        leases.begin_anew(at(30));
        assert_eq!(leases.next_deadline(), Some(at(34)));
        assert!(leases.remove(2).is_some());
        assert_eq!(leases.next_deadline(), Some(at(40)));
    }
}
