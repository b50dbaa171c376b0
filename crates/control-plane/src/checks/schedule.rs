//! When each check is due: a pure rule over an ordered queue.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::registry::{Check, CheckKind, Key, Status, Thresholds};

/// How long after a failure to write it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// When each check is due. No timer and no task per check: one queue for all.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    entries: HashMap<Key, Entry>,
    queue: BTreeMap<(Instant, u64), (Key, Event)>,
    sequence: u64,
    min_deregister_after: Duration,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Ask, then call [`Schedule::finished`] with the run.
    Probe { key: Key, kind: CheckKind, run: u64 },
    /// A TTL check was silent for too long, after so many reports.
    Expired { key: Key, kind: CheckKind, heard: u64 },
    /// The check was critical for too long; its service goes.
    Reap { key: Key },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Act,
    Reap,
}

#[derive(Debug)]
struct Entry {
    kind: CheckKind,
    deregister_after: Option<Duration>,
    /// Where in the queue its next probe or expiry is; none while a probe runs.
    act: Option<(Instant, u64)>,
    reap: Option<(Instant, u64)>,
    /// The latest probe; an older one that ends late says nothing about this definition.
    run: u64,
    runs: u32,
    /// Reports on a TTL check that are on their way to the disk or there.
    heard: u64,
    thresholds: Thresholds,
    /// Findings in a row that were passing or warning, or that were critical.
    good: u32,
    bad: u32,
}

impl Schedule {
    /// `min_deregister_after` is the least that `DeregisterCriticalServiceAfter` counts as.
    pub(crate) fn new(min_deregister_after: Duration) -> Self {
        Self { min_deregister_after, ..Self::default() }
    }

    /// Takes a check in that was registered or whose status changed. One that asks the same as
    /// before keeps its rhythm; a new one is due at once.
    pub(crate) fn put(&mut self, now: Instant, check: &Check) {
        let key = check.key();
        let is_same = self.entries.get(&key).is_some_and(|entry| entry.kind == check.kind);
        if !is_same {
            self.remove(&key);
            let first = match check.kind {
                CheckKind::External => None,
                CheckKind::Tcp { .. } | CheckKind::Http { .. } | CheckKind::Grpc { .. } => {
                    Some(now)
                }
                CheckKind::Ttl { ttl } => Some(now + ttl),
            };
            let act = first.map(|at| self.enqueue(at, &key, Event::Act));
            let kind = check.kind.clone();
            let entry = Entry {
                kind,
                deregister_after: None,
                act,
                reap: None,
                run: 0,
                runs: 0,
                heard: 0,
                thresholds: check.thresholds,
                good: 0,
                bad: 0,
            };
            self.entries.insert(key.clone(), entry);
        }
        self.entries.entry(key.clone()).and_modify(|entry| entry.thresholds = check.thresholds);
        self.put_reaping(now, &key, check);
    }

    /// Forgets a check; a probe of it that runs is void.
    pub(crate) fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            entry.act.iter().chain(&entry.reap).for_each(|place| {
                self.queue.remove(place);
            });
        }
    }

    /// A TTL check is being reported on: what expired before is void from now on.
    pub(crate) fn heard(&mut self, key: &Key) {
        self.entries.entry(key.clone()).and_modify(|entry| entry.heard += 1);
    }

    /// Whether what expired still holds: the check is the same, and nobody has reported since.
    pub(crate) fn is_silent(&self, key: &Key, kind: &CheckKind, heard: u64) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.heard == heard && entry.kind == *kind)
    }

    /// Plans anew what was due and could not be written.
    pub(crate) fn put_back(&mut self, now: Instant, due: &Due) {
        let (key, event) = match due {
            Due::Probe { .. } => return,
            Due::Expired { key, .. } => (key, Event::Act),
            Due::Reap { key } => (key, Event::Reap),
        };
        let Some(entry) = self.entries.get(key) else { return };
        let is_wanted = match due {
            Due::Expired { kind, heard, .. } => {
                entry.act.is_none() && self.is_silent(key, kind, *heard)
            }
            _ => entry.reap.is_none() && entry.deregister_after.is_some(),
        };
        if !is_wanted {
            return;
        }
        let place = self.enqueue(now + AGAIN, key, event);
        self.entries.entry(key.clone()).and_modify(|entry| match event {
            Event::Act => entry.act = Some(place),
            Event::Reap => entry.reap = Some(place),
        });
    }

    /// A TTL check was reported on: its time begins anew.
    pub(crate) fn reported(&mut self, now: Instant, key: &Key) {
        let Some(Entry { kind: CheckKind::Ttl { ttl }, act, .. }) = self.entries.get_mut(key)
        else {
            return;
        };
        let ttl = *ttl;
        if let Some(place) = act.take() {
            self.queue.remove(&place);
        }
        let place = self.enqueue(now + ttl, key, Event::Act);
        self.entries.entry(key.clone()).and_modify(|entry| entry.act = Some(place));
    }

    /// When to call [`Schedule::pop`] next; none when nothing is planned.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next thing that is due by now.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Due> {
        let first = self.queue.first_entry().filter(|first| first.key().0 <= now)?;
        let (key, event) = first.remove();
        self.sequence += 1;
        let sequence = self.sequence;
        let entry = self.entries.get_mut(&key)?;
        match (event, &entry.kind) {
            (Event::Reap, _) => {
                entry.reap = None;
                Some(Due::Reap { key })
            }
            (Event::Act, CheckKind::Ttl { .. }) => {
                entry.act = None;
                let (kind, heard) = (entry.kind.clone(), entry.heard);
                Some(Due::Expired { key, kind, heard })
            }
            (Event::Act, _) => {
                entry.act = None;
                entry.run = sequence;
                let kind = entry.kind.clone();
                Some(Due::Probe { key, kind, run: sequence })
            }
        }
    }

    /// A probe ended; plans the next one and says whether what it found is to be recorded: it asked
    /// what the check asks now, and it is the last of as many in a row as its thresholds want.
    ///
    /// The second probe comes after a random part of the interval (`random` is in `[0, 1)`), the
    /// further ones after the whole: thousands of checks registered at once spread out.
    pub(crate) fn finished(
        &mut self,
        now: Instant,
        key: &Key,
        run: u64,
        found: Status,
        random: f64,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.run == run) else {
            return false;
        };
        let Some(interval) = entry.kind.interval() else { return false };
        let is_enough = entry.count(found);
        let wait = if entry.runs == 0 { interval.mul_f64(random) } else { interval };
        entry.runs = entry.runs.saturating_add(1);
        let place = self.enqueue(now + wait, key, Event::Act);
        self.entries.entry(key.clone()).and_modify(|entry| entry.act = Some(place));
        is_enough
    }

    /// How many checks are known.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn put_reaping(&mut self, now: Instant, key: &Key, check: &Check) {
        let after = check.deregister_after.filter(|_| check.status == Status::Critical);
        let after = after.filter(|after| !after.is_zero() && !check.service_id.is_empty());
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.deregister_after == after && entry.reap.is_some() == after.is_some() {
            return;
        }
        entry.deregister_after = after;
        if let Some(place) = entry.reap.take() {
            self.queue.remove(&place);
        }
        let at = after.map(|after| now + after.max(self.min_deregister_after));
        let place = at.map(|at| self.enqueue(at, key, Event::Reap));
        self.entries.entry(key.clone()).and_modify(|entry| entry.reap = place);
    }

    fn enqueue(&mut self, at: Instant, key: &Key, event: Event) -> (Instant, u64) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), (key.clone(), event));
        (at, self.sequence)
    }
}

impl Entry {
    /// Counts a finding; whether there are enough of its kind in a row.
    fn count(&mut self, found: Status) -> bool {
        if found == Status::Critical {
            (self.good, self.bad) = (0, self.bad.saturating_add(1));
            self.bad >= self.thresholds.critical
        } else {
            (self.good, self.bad) = (self.good.saturating_add(1), 0);
            self.good >= self.thresholds.passing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PASSING: Status = Status::Passing;

    #[test]
    fn a_probe_is_due_at_once_then_after_a_part_of_the_interval_then_after_all_of_it() {
        let (mut schedule, now) = with(&tcp());
        let run = probe(&mut schedule, now);
        assert_eq!(schedule.next(), None, "not due again while it runs");
        assert!(schedule.finished(now, &key(), run, PASSING, 0.3));
        assert_eq!(schedule.next(), Some(now + 3 * SECOND));
        let run = probe(&mut schedule, now + 3 * SECOND);
        assert!(schedule.finished(now + 4 * SECOND, &key(), run, PASSING, 0.3));
        assert_eq!(schedule.next(), Some(now + 14 * SECOND));
    }

    #[test]
    fn many_checks_registered_at_once_spread_over_the_interval() {
        let (mut schedule, now) = (Schedule::new(SECOND), now());
        for id in 0..100 {
            schedule.put(now, &Check { id: id.to_string(), ..tcp() });
        }
        for part in 0..100 {
            let Some(Due::Probe { key, run, .. }) = schedule.pop(now) else { panic!("is due") };
            schedule.finished(now, &key, run, PASSING, f64::from(part) / 100.0);
        }
        for tenth in 1..=10 {
            let until = now + tenth * SECOND - Duration::from_millis(1);
            let due = std::iter::from_fn(|| schedule.pop(until)).count();
            assert_eq!(due, 10, "in second {tenth}");
        }
    }

    #[test]
    fn a_status_change_or_the_same_registration_keeps_the_rhythm() {
        let (mut schedule, now) = with(&tcp());
        let run = probe(&mut schedule, now);
        schedule.put(now + SECOND, &Check { status: Status::Passing, ..tcp() });
        assert!(schedule.finished(now + SECOND, &key(), run, PASSING, 0.5));
        schedule.put(now + 2 * SECOND, &tcp());
        assert_eq!(schedule.next(), Some(now + 6 * SECOND));
    }

    #[test]
    fn a_probe_of_an_older_definition_or_of_a_removed_check_does_not_count() {
        let (mut schedule, now) = with(&tcp());
        let old = probe(&mut schedule, now);
        let address = "elsewhere:1".to_owned();
        let kind = CheckKind::Tcp { address, interval: SECOND, timeout: SECOND };
        schedule.put(now, &Check { kind, ..tcp() });
        assert!(!schedule.finished(now, &key(), old, PASSING, 0.5));
        let run = probe(&mut schedule, now);
        schedule.remove(&key());
        assert!(!schedule.finished(now, &key(), run, PASSING, 0.5));
        assert_eq!((schedule.next(), schedule.len()), (None, 0));
    }

    #[test]
    fn a_finding_is_recorded_once_there_are_as_many_in_a_row_as_wanted() {
        let thresholds = Thresholds { passing: 2, critical: 3 };
        let (mut schedule, mut now) = with(&Check { thresholds, ..tcp() });
        let mut find = |found| {
            now += 10 * SECOND;
            let run = probe(&mut schedule, now);
            schedule.finished(now, &key(), run, found, 0.0)
        };
        use Status::{Critical, Passing, Warning};
        let recorded =
            [Passing, Warning, Critical, Critical, Passing, Critical, Critical, Critical]
                .map(&mut find);
        assert_eq!(recorded, [false, true, false, false, false, false, false, true]);
        assert!(find(Critical), "goes on being recorded");
    }

    #[test]
    fn a_silent_ttl_check_expires_and_each_report_begins_its_time_anew() {
        let ttl = Check { kind: CheckKind::Ttl { ttl: 2 * SECOND }, ..tcp() };
        let (mut schedule, now) = with(&ttl);
        schedule.reported(now + SECOND, &key());
        assert_eq!(schedule.pop(now + 2 * SECOND), None);
        let due = schedule.pop(now + 3 * SECOND);
        assert_eq!(due, Some(Due::Expired { key: key(), kind: ttl.kind, heard: 0 }));
        assert_eq!(schedule.next(), None, "expires once");
        schedule.reported(now + 4 * SECOND, &key());
        assert_eq!(schedule.next(), Some(now + 6 * SECOND));
    }

    #[test]
    fn what_expired_is_void_once_somebody_reports_or_the_check_is_another() {
        let ttl = Check { kind: CheckKind::Ttl { ttl: SECOND }, ..tcp() };
        let (mut schedule, now) = with(&ttl);
        let Some(Due::Expired { key, kind, heard }) = schedule.pop(now + SECOND) else {
            panic!("is due")
        };
        assert!(schedule.is_silent(&key, &kind, heard));
        schedule.heard(&key);
        assert!(!schedule.is_silent(&key, &kind, heard));
        schedule.put(now, &Check { kind: CheckKind::Ttl { ttl: 2 * SECOND }, ..tcp() });
        assert!(!schedule.is_silent(&key, &kind, 0));
    }

    #[test]
    fn what_could_not_be_written_is_due_again_unless_it_is_void() {
        let deregister_after = Some(SECOND);
        let ttl = Check { kind: CheckKind::Ttl { ttl: SECOND }, deregister_after, ..tcp() };
        let (mut schedule, now) = with(&ttl);
        let now = now + SECOND;
        let due: Vec<_> = std::iter::from_fn(|| schedule.pop(now)).collect();
        assert_eq!((due.len(), schedule.next()), (2, None));
        due.iter().for_each(|due| schedule.put_back(now, due));
        assert_eq!(schedule.pop(now), None);
        let again: Vec<_> = std::iter::from_fn(|| schedule.pop(now + AGAIN)).collect();
        assert_eq!(again, due);
        schedule.heard(&key());
        schedule.put(now, &Check { status: PASSING, ..ttl });
        due.iter().for_each(|due| schedule.put_back(now, due));
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a_service_is_reaped_when_its_check_stays_critical_and_not_when_it_recovers() {
        let deregister_after = Some(5 * SECOND);
        let kind = CheckKind::External;
        let critical = Check { deregister_after, kind, ..tcp() };
        let passing = Check { status: Status::Passing, ..critical.clone() };
        let (mut schedule, now) = with(&critical);
        schedule.put(now + SECOND, &passing);
        assert_eq!(schedule.next(), None);
        schedule.put(now + 2 * SECOND, &critical);
        // Said again: critical since then, not since now.
        schedule.put(now + 3 * SECOND, &critical);
        assert_eq!(schedule.pop(now + 6 * SECOND), None);
        assert_eq!(schedule.pop(now + 7 * SECOND), Some(Due::Reap { key: key() }));
    }

    #[test]
    fn nothing_is_reaped_sooner_than_the_least() {
        let check = Check { deregister_after: Some(Duration::from_millis(1)), ..tcp() };
        let check = Check { kind: CheckKind::External, ..check };
        let (schedule, now) = with(&check);
        assert_eq!(schedule.next(), Some(now + SECOND));
    }

    fn with(check: &Check) -> (Schedule, Instant) {
        let (mut schedule, now) = (Schedule::new(SECOND), now());
        schedule.put(now, check);
        (schedule, now)
    }

    fn probe(schedule: &mut Schedule, now: Instant) -> u64 {
        match schedule.pop(now) {
            Some(Due::Probe { run, .. }) => run,
            other => panic!("{other:?}"),
        }
    }

    fn key() -> Key {
        tcp().key()
    }

    fn tcp() -> Check {
        let address = "here:1".to_owned();
        Check {
            node: "n".to_owned(),
            id: "c".to_owned(),
            name: String::new(),
            status: Status::Critical,
            notes: String::new(),
            output: String::new(),
            service_id: "s".to_owned(),
            service_name: "s".to_owned(),
            kind: CheckKind::Tcp { address, interval: 10 * SECOND, timeout: SECOND },
            deregister_after: None,
            thresholds: Thresholds::default(),
            definition: serde_json::Value::Null,
            created: 1,
            modified: 1,
        }
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }
}
