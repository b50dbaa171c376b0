//! What the handles of a cluster share, and how its health changes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use regatta_core::ServiceName;
use regatta_resilience::breaker::{Breaker, Override};
use regatta_resilience::outlier::{self, Peer};

use super::announce::Announcer;
use super::control::Control;
use super::out::{BRIEFLY, Out};
use super::snapshot::Snapshot;
use super::{EjectionCause, Member, State, What};

pub(super) struct Shared<T> {
    pub(super) service: ServiceName,
    /// The instant from which nanoseconds are counted.
    pub(super) origin: Instant,
    pub(super) announcer: Arc<Announcer>,
    /// Of the service as a whole.
    pub(super) breaker: Breaker,
    pub(super) snapshot: ArcSwap<Snapshot<T>>,
    /// Calls in flight, counted under consistent hashing only. Only the number counts.
    pub(super) in_flight: AtomicU64,
    /// When the lock's holder has something to do next, in nanoseconds; written under the lock.
    /// Relaxed: a call that reads an older time leaves the work to the next.
    wakes_at: AtomicU64,
    /// Members whose breakers opened by themselves take calls: too few others are left. Written
    /// under the lock. Relaxed: a call that reads what was before finds another member, or is told
    /// that there is none.
    overrules_breakers: AtomicBool,
    control: Mutex<Control>,
    /// Held by who builds a snapshot, which may take long, so that each is built upon the last.
    /// Taken before the control. The number of the next member.
    building: Mutex<u64>,
}

/// A member whose breaker awaits a probe, and where it is in the snapshot of this moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) number: u64,
    pub(super) place: usize,
}

impl<T> Shared<T> {
    pub(super) fn new(
        service: ServiceName,
        origin: Instant,
        announcer: Arc<Announcer>,
        breaker: Breaker,
        snapshot: Snapshot<T>,
    ) -> Self {
        Self {
            service,
            origin,
            announcer,
            breaker,
            snapshot: ArcSwap::from_pointee(snapshot),
            in_flight: AtomicU64::new(0),
            wakes_at: AtomicU64::new(u64::MAX),
            overrules_breakers: AtomicBool::new(false),
            control: Mutex::new(Control::new()),
            building: Mutex::new(1),
        }
    }

    /// The cluster's nanoseconds at an instant; 584 years of them.
    pub(super) fn nanos(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_nanos() as u64
    }

    /// Whether the lock's holder has something to do by now.
    pub(super) fn is_due(&self, nanos: u64) -> bool {
        nanos >= self.wakes_at.load(Ordering::Relaxed)
    }

    /// Whether members whose breakers opened by themselves take calls.
    pub(super) fn overrules_breakers(&self) -> bool {
        self.overrules_breakers.load(Ordering::Relaxed)
    }

    /// Does something under the lock and announces what came of it.
    pub(super) fn locked<R>(&self, work: impl FnOnce(&mut Control) -> R) -> R {
        let done = self.quietly(work);
        self.announcer.deliver();
        done
    }

    /// Does something under the lock; what came of it is yet to be announced.
    fn quietly<R>(&self, work: impl FnOnce(&mut Control) -> R) -> R {
        // What a panic leaves is put right by the next replace or configure.
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(&mut control);
        self.wakes_at.store(control.wakes_at(), Ordering::Relaxed);
        done
    }

    /// Builds upon the present snapshot, beside all calls, what then is put in its place under the
    /// lock; none leaves it. One at a time. `build` may number members.
    pub(super) fn rebuild<R>(
        &self,
        now: Instant,
        build: impl FnOnce(&Snapshot<T>, &mut u64) -> (Option<Snapshot<T>>, R),
        at_put: impl FnOnce(&Control, &R),
    ) -> R {
        let mut building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.snapshot.load_full();
        let (snapshot, done) = build(&old, &mut building);
        if let Some(snapshot) = snapshot {
            self.quietly(|control| {
                at_put(control, &done);
                self.rebase(control, &snapshot, now);
                self.snapshot.store(Arc::new(snapshot));
            });
        }
        // An observer may use the cluster, so not while it waits.
        drop(building);
        self.announcer.deliver();
        done
    }

    /// Does what is due, unless another thread is at it; says who awaits a probe.
    #[cold]
    pub(super) fn wake(&self, now: Instant) -> Option<Probe> {
        let mut control = self.control.try_lock().ok()?;
        self.do_due(&mut control, now);
        let probe = control.take_probe().map(|(number, place)| Probe { number, place });
        self.wakes_at.store(control.wakes_at(), Ordering::Relaxed);
        drop(control);
        self.announcer.deliver();
        probe
    }

    /// Does what is due: ejections that end, breakers that await a probe, success rates.
    pub(super) fn do_due(&self, control: &mut Control, now: Instant) {
        let (snapshot, nanos) = (self.snapshot.load(), self.nanos(now));
        while let Some(number) = control.next_due(nanos) {
            self.settle(control, &snapshot, number, now);
        }
        if nanos >= control.next_look {
            self.look(control, &snapshot, now);
        }
    }

    /// Takes in how a member stands, and what follows from it for all.
    pub(super) fn settle(
        &self,
        control: &mut Control,
        snapshot: &Snapshot<T>,
        number: u64,
        now: Instant,
    ) {
        let Some((place, state)) = self.take_in(control, snapshot, number, now) else { return };
        self.apply_panic(control, snapshot);
        let (was_blocked, is_blocked) =
            (snapshot.blocked.contains(place), control.is_blocked(place));
        snapshot.block(place, is_blocked);
        if was_blocked && !is_blocked && state == State::HalfOpen {
            control.await_probe(number);
        }
    }

    /// Takes in how a member stands by its breaker and its record: its place, and its breaker's
    /// state.
    fn take_in(
        &self,
        control: &mut Control,
        snapshot: &Snapshot<T>,
        number: u64,
        now: Instant,
    ) -> Option<(usize, State)> {
        let place = control.places.get(&number).copied()?;
        let member = snapshot.members.get(place)?;
        let (life, breaker) = (&member.life, &member.life.breaker);
        if breaker.state(now) == State::Closed {
            // A use that ends while the breaker is not closed must find the mark, so it goes only
            // now; a change since the look has set it too early, and is seen by the next look.
            breaker.unmark();
        }
        let state = breaker.state(now);
        if state != State::Closed {
            breaker.mark();
        }
        let before = control.out(place);
        let (waits, forced) = (state == State::Open, breaker.control() == Override::ForcedOpen);
        if waits && !before.waits && !control.census().may_open(&snapshot.limits(), before) {
            breaker.probe_within(now, BRIEFLY);
        }
        let open = breaker.check(now).err();
        let ejected = control.ejected_until(number, now);
        // A probe in flight ends by itself, and so needs no time.
        let awaited = open.as_ref().filter(|open| !open.retry_after.is_zero());
        let awaited = awaited.and_then(|open| now.checked_add(open.retry_after));
        for until in awaited.into_iter().chain(ejected) {
            control.look_at(number, self.nanos(until));
        }
        let out = Out { open: open.is_some(), waits, forced, ejected: ejected.is_some() };
        control.note(place, out);
        if before.ejected && !out.ejected {
            life.tally.clear();
            self.announcer.note(Some(&member.instance), What::Returned);
        }
        Some((place, state))
    }

    /// Lets members that are out by a rule take calls when too few others are left, and no longer
    /// when enough are.
    fn apply_panic(&self, control: &mut Control, snapshot: &Snapshot<T>) {
        let panic = control.census().panic(&snapshot.limits());
        let before = std::mem::replace(&mut control.panic, panic);
        if panic == before {
            return;
        }
        self.overrules_breakers.store(panic.overrules_breakers(), Ordering::Relaxed);
        if panic.is_on != before.is_on {
            self.announcer.note(None, What::Panic(panic.is_on));
        }
        self.block_all(control, snapshot);
    }

    fn block_all(&self, control: &Control, snapshot: &Snapshot<T>) {
        for place in 0..snapshot.members.len() {
            snapshot.block(place, control.is_blocked(place));
        }
    }

    /// Takes in a failure that is one of so many in a row; says whether the member is ejected by it.
    #[cold]
    pub(super) fn failed(&self, member: &Member<T>, in_a_row: u32, now: Instant) -> bool {
        let is_over = |snapshot: &Snapshot<T>| {
            let settings = snapshot.policies.outlier.as_ref();
            settings.is_some_and(|settings| in_a_row >= settings.consecutive_failures)
        };
        if !is_over(&self.snapshot.load()) {
            return false;
        }
        self.locked(|control| {
            // Again, since places hold under the lock only.
            let snapshot = self.snapshot.load();
            let settings = snapshot.policies.outlier.as_ref().filter(|_| is_over(&snapshot));
            settings.is_some_and(|settings| {
                let cause = EjectionCause::FailuresInARow;
                self.eject(control, &snapshot, settings, member.number(), cause, now)
            })
        })
    }

    fn eject(
        &self,
        control: &mut Control,
        snapshot: &Snapshot<T>,
        settings: &outlier::Settings,
        number: u64,
        cause: EjectionCause,
        now: Instant,
    ) -> bool {
        let Some(place) = control.places.get(&number).copied() else { return false };
        let total = snapshot.members.len();
        if control.out(place).ejected
            || !outlier::may_eject(settings, control.census().ejected(), total)
        {
            return false;
        }
        let Some(member) = snapshot.members.get(place) else { return false };
        let record = control.records.entry(number).or_default();
        let time = record.eject(settings, now);
        let what = What::Ejected { time, times: record.times(), cause };
        member.life.tally.clear();
        self.announcer.note(Some(&member.instance), what);
        self.settle(control, snapshot, number, now);
        true
    }

    /// Compares the success rates of the members since the last look.
    fn look(&self, control: &mut Control, snapshot: &Snapshot<T>, now: Instant) {
        let Some(settings) = &snapshot.policies.outlier else {
            control.next_look = u64::MAX;
            return;
        };
        control.next_look = self.nanos(now).saturating_add(settings.interval.as_nanos() as u64);
        let peer = |member: &Arc<Member<T>>| {
            let (successes, failures) = member.life.tally.take();
            Peer { successes, failures }
        };
        let peers: Vec<Peer> = snapshot.members.iter().map(peer).collect();
        let rule = settings.success_rate.as_ref();
        let laggards = rule.map_or_else(Vec::new, |rule| outlier::laggards(rule, &peers));
        for place in &laggards {
            let number = snapshot.members[*place].number();
            self.eject(control, snapshot, settings, number, EjectionCause::SuccessRate, now);
        }
        control.records.retain(|_, record| {
            record.quiet(now);
            record.times() > 0 || record.is_ejected(now)
        });
    }

    /// Begins with the snapshot's members, and takes in how each of them stands.
    pub(super) fn rebase(&self, control: &mut Control, snapshot: &Snapshot<T>, now: Instant) {
        control.rebase(snapshot.members.iter().map(|member| member.number()));
        let nanos = self.nanos(now);
        control.next_look = match &snapshot.policies.outlier {
            None => u64::MAX,
            // A look that is due stays due.
            Some(settings) => {
                let next = nanos.saturating_add(settings.interval.as_nanos() as u64);
                control.next_look.min(next)
            }
        };
        self.forgive(control, snapshot, now);
        // Those that are in and calm need no look. The ejected come first: they count in how many
        // breakers may be open for their whole time.
        let is_ejected = |control: &Control, member: &Member<T>| {
            control.ejected_until(member.number(), now).is_some()
        };
        for pass in [true, false] {
            for member in &snapshot.members {
                let is_ejected = is_ejected(control, member);
                if is_ejected == pass && (is_ejected || member.life.is_watched()) {
                    self.take_in(control, snapshot, member.number(), now);
                }
            }
        }
        self.apply_panic(control, snapshot);
        self.block_all(control, snapshot);
    }

    /// Ends ejections, the one that is over soonest first, until no more are out than may be: there
    /// are fewer members now, or other settings.
    fn forgive(&self, control: &mut Control, snapshot: &Snapshot<T>, now: Instant) {
        let until = |number: u64| control.ejected_until(number, now);
        let mut ejected: Vec<(Instant, u64)> = snapshot
            .members
            .iter()
            .filter_map(|member| Some((until(member.number())?, member.number())))
            .collect();
        ejected.sort_unstable();
        let total = snapshot.members.len();
        for (place, (_, number)) in ejected.iter().enumerate() {
            // How many others would stay out.
            let others = ejected.len() - place - 1;
            let settings = snapshot.policies.outlier.as_ref();
            if settings.is_some_and(|settings| outlier::may_eject(settings, others, total)) {
                break;
            }
            control.records.remove(number);
            if let Some(place) = control.places.get(number) {
                let member = &snapshot.members[*place];
                member.life.tally.clear();
                self.announcer.note(Some(&member.instance), What::Returned);
            }
        }
    }
}
