//! When sessions end by themselves, and which locks may not be taken yet.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Session, Sessions};

/// Consul's limit of lock delays; what is above counts as this.
const MAX_LOCK_DELAY: Duration = Duration::from_secs(60);

/// When sessions end by themselves, and which locks may not be taken yet. Nothing of it is on the
/// disk: after a restart every session has its whole time again and no lock is delayed, as with a
/// new leader of Consul's.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: HashMap<Arc<str>, Instant>,
    due: BTreeSet<(Instant, Arc<str>)>,
    delayed: HashMap<Arc<str>, Instant>,
    /// The same, the one that is free first first.
    free: BTreeSet<(Instant, Arc<str>)>,
}

impl Timers {
    /// A session begins, or was renewed.
    pub(crate) fn start(&mut self, now: Instant, session: &Session) {
        self.stop(&session.id);
        if let Some(ttl) = session.spec.lifetime() {
            // Consul says: not before its TTL, not after twice that. In the middle it is neither
            // for a client that is late nor for one that looks whether it has ended.
            let deadline = now + ttl + ttl / 2;
            self.deadlines.insert(session.id.clone(), deadline);
            self.due.insert((deadline, session.id.clone()));
        }
    }

    /// A session has ended.
    pub(crate) fn stop(&mut self, id: &Arc<str>) {
        if let Some(deadline) = self.deadlines.remove(id) {
            self.due.remove(&(deadline, id.clone()));
        }
    }

    /// Begins the time of sessions that have none running, and stops that of those that are gone.
    pub(crate) fn align(&mut self, now: Instant, sessions: &Sessions) {
        let gone = self.deadlines.keys().filter(|id| sessions.get(id).is_none());
        let gone: Vec<_> = gone.cloned().collect();
        gone.iter().for_each(|id| self.stop(id));
        let new = sessions.iter().filter(|session| !self.deadlines.contains_key(&session.id));
        let new: Vec<_> = new.cloned().collect();
        new.iter().for_each(|session| self.start(now, session));
    }

    /// Begins the time of each session anew.
    pub(crate) fn begin_anew(&mut self, now: Instant, sessions: &Sessions) {
        self.deadlines.clear();
        self.due.clear();
        self.align(now, sessions);
    }

    /// A lock was lost with its session and may not be taken for so long.
    pub(crate) fn delay(&mut self, now: Instant, key: &Arc<str>, delay: Duration) {
        if delay.is_zero() {
            return;
        }
        let until = now + delay.min(MAX_LOCK_DELAY);
        if let Some(old) = self.delayed.insert(key.clone(), until) {
            self.free.remove(&(old, key.clone()));
        }
        self.free.insert((until, key.clone()));
    }

    /// Whether a lock may not be taken yet.
    pub(crate) fn is_delayed(&self, now: Instant, key: &str) -> bool {
        self.delayed.get(key).is_some_and(|until| *until > now)
    }

    /// When the next session ends by itself.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|(deadline, _)| *deadline)
    }

    /// A session whose time is over.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Arc<str>> {
        self.due.first().filter(|(deadline, _)| *deadline <= now).map(|(_, id)| id.clone())
    }

    /// Forgets the delays that are over.
    pub(crate) fn tidy(&mut self, now: Instant) {
        while let Some((until, _)) = self.free.first()
            && *until <= now
            && let Some((_, key)) = self.free.pop_first()
        {
            self.delayed.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Behavior, SessionSpec};

    fn session(id: &str, ttl: &str) -> Arc<Session> {
        let spec = SessionSpec {
            name: String::new(),
            node: "n".to_owned(),
            ttl: ttl.to_owned(),
            behavior: Behavior::Release,
            lock_delay: Duration::ZERO,
            node_checks: Vec::new(),
            service_checks: Vec::new(),
        };
        Arc::new(Session { id: id.into(), created: 1, spec })
    }

    fn start() -> (Timers, impl Fn(u64) -> Instant) {
        let start = tokio::time::Instant::now().into_std();
        (Timers::default(), move |seconds| start + Duration::from_secs(seconds))
    }

    #[test]
    fn a_session_ends_between_its_ttl_and_twice_that_unless_it_is_renewed() {
        let (mut timers, at) = start();
        timers.start(at(0), &session("a", "10s"));
        assert_eq!(timers.overdue(at(10)), None);
        assert_eq!(timers.overdue(at(20)).as_deref(), Some("a"));
        timers.start(at(10), &session("a", "10s"));
        assert_eq!(timers.overdue(at(20)), None);
        assert_eq!(timers.next_deadline(), Some(at(25)));
        timers.stop(&"a".into());
        assert_eq!((timers.overdue(at(90)), timers.next_deadline()), (None, None));
    }

    #[test]
    fn a_session_without_a_ttl_does_not_end_by_itself() {
        let (mut timers, at) = start();
        timers.start(at(0), &session("a", ""));
        timers.start(at(0), &session("b", "0s"));
        assert_eq!(timers.next_deadline(), None);
    }

    #[test]
    fn those_that_are_there_get_their_whole_time_and_those_that_are_gone_none() {
        let (mut timers, at) = start();
        let mut sessions = Sessions::default();
        sessions.put(&session("a", "10s"));
        sessions.put(&session("b", "10s"));
        timers.start(at(0), &session("gone", "10s"));
        timers.start(at(0), &session("a", "10s"));
        timers.align(at(4), &sessions);
        assert_eq!(timers.overdue(at(15)).as_deref(), Some("a"));
        timers.stop(&"a".into());
        assert_eq!(timers.next_deadline(), Some(at(19)));
        timers.begin_anew(at(100), &sessions);
        assert_eq!(timers.next_deadline(), Some(at(115)));
    }

    #[test]
    fn a_delayed_lock_is_free_again_later_and_then_forgotten() {
        let (mut timers, at) = start();
        timers.delay(at(0), &"k".into(), Duration::from_secs(5));
        timers.delay(at(2), &"k".into(), Duration::from_secs(5));
        timers.delay(at(2), &"other".into(), Duration::ZERO);
        assert!(timers.is_delayed(at(6), "k") && !timers.is_delayed(at(7), "k"));
        assert!(!timers.is_delayed(at(2), "other"));
        timers.delay(at(2), &"long".into(), Duration::from_secs(3600));
        assert!(timers.is_delayed(at(61), "long") && !timers.is_delayed(at(62), "long"));
        timers.tidy(at(6));
        assert_eq!(timers.delayed.len(), 2);
        timers.tidy(at(7));
        assert_eq!((timers.delayed.len(), timers.free.len()), (1, 1));
    }
}
