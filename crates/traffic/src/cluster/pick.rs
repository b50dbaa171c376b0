//! Picks an instance and asks its breaker.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use regatta_resilience::breaker::{Admission, Circuit, Override};

use super::choose::Search;
use super::dice::Dice;
use super::shared::{Probe, Shared};
use super::snapshot::Snapshot;
use super::{Cluster, Hints, Member, PickError, Picked, Tried};
use crate::balance::Strategy;

/// Instances passed over because others took their probes between the look and the ask.
const ASKS: usize = 8;

impl<T> Cluster<T> {
    /// Picks an instance for a call, for 64 random bits: one that was not tried, is not ejected,
    /// and that its breaker lets be called. When too few are, those that are out by a rule of ours
    /// are as good as any.
    ///
    /// Takes no lock and costs the same for ten instances and ten thousand, as long as nothing
    /// changes. An instance whose breaker awaits a probe is picked at once, whatever the strategy
    /// says, but for consistent hashing.
    ///
    /// # Errors
    ///
    /// [`PickError`] says why there is none.
    pub fn pick(
        &self,
        now: Instant,
        random: u64,
        tried: &Tried,
        hints: &Hints<'_>,
    ) -> Result<Picked<T>, PickError> {
        let shared = &*self.shared;
        let nanos = shared.nanos(now);
        let probe = if shared.is_due(nanos) { shared.wake(now) } else { None };
        let service = shared.breaker.enter(now).map_err(|open| {
            let retry_after = open.retry_after;
            PickError::ServiceOpen { retry_after }
        })?;
        let mut service = Entered { circuit: &shared.breaker, admission: Some(service) };
        let snapshot = shared.snapshot.load();
        let is_hashed = snapshot.policies.balance == Strategy::ConsistentHash;
        let in_flight = if is_hashed { shared.in_flight.load(Ordering::Relaxed) } else { 0 };
        let search = Search { snapshot: &snapshot, now: nanos, tried, hints, in_flight };
        let mut dice = Dice::new(random);
        let mut first = probe.filter(|_| !is_hashed).and_then(|probe| search.probed(probe));
        for _ in 0..ASKS {
            let place = match first.take() {
                Some(place) => place,
                None => search.choose(&mut dice).map_err(|_| shared.why_not(&search, now))?,
            };
            let member = &snapshot.members[place];
            let circuit = &member.life.breaker;
            let admission = match circuit.enter(now) {
                Err(_) if shared.overrules_breakers() => circuit.enter_despite(now).ok(),
                admission => admission.ok(),
            };
            let is_despite = admission.as_ref().is_some_and(Admission::is_despite);
            let mut instance = Entered { circuit, admission };
            // What is let through in spite of the breaker leaves it as it is.
            if member.life.is_watched() && !is_despite {
                // The probe may have been the last one allowed.
                shared.locked(|control| {
                    let snapshot = shared.snapshot.load();
                    shared.settle(control, &snapshot, member.number(), now);
                });
            }
            if instance.admission.is_some()
                && let Some(admissions) = instance.take().zip(service.take())
            {
                return Ok(Picked::new(shared, Arc::clone(member), admissions, now, is_hashed));
            }
        }
        Err(shared.why_not(&search, now))
    }

    /// Whether an instance is left for such a call beside those that were tried.
    pub fn has_another(&self, now: Instant, tried: &Tried, hints: &Hints<'_>) -> bool {
        let nanos = self.shared.nanos(now);
        if self.shared.is_due(nanos) {
            self.shared.locked(|control| self.shared.do_due(control, now));
        }
        let snapshot = self.shared.snapshot.load();
        Search { snapshot: &snapshot, now: nanos, tried, hints, in_flight: 0 }.is_possible()
    }
}

/// What a breaker admitted, if it did, as long as nobody is picked.
struct Entered<'a> {
    circuit: &'a Circuit,
    admission: Option<Admission>,
}

impl Entered<'_> {
    fn take(&mut self) -> Option<Admission> {
        self.admission.take()
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if let Some(admission) = self.take() {
            self.circuit.abandon(admission);
        }
    }
}

impl<T> Search<'_, T> {
    /// The place of the member that awaits a probe, if this call may be it.
    fn probed(&self, Probe { number, place }: Probe) -> Option<usize> {
        // The snapshot may be another by now.
        let member = self.snapshot.members.get(place).filter(|member| member.number() == number)?;
        let is_free =
            !self.tried.contains(member.number()) && !self.snapshot.blocked.contains(place);
        (is_free && self.snapshot.may_choose(place, self.hints)).then_some(place)
    }
}

impl<T> Shared<T> {
    #[cold]
    fn why_not(&self, search: &Search<'_, T>, now: Instant) -> PickError {
        let Snapshot { members, .. } = search.snapshot;
        if members.is_empty() {
            return PickError::Empty;
        }
        let version = |version: &str| {
            members.iter().any(|member| member.instance.version.as_deref() == Some(version))
        };
        if let Some(subset) = search.hints.subset.filter(|subset| !version(subset)) {
            return PickError::NoSubset { subset: subset.to_owned() };
        }
        let may_choose = |place: &usize| search.snapshot.may_choose(*place, search.hints);
        let chosen = (0..members.len()).filter(may_choose).map(|place| &members[place]);
        let chosen: Vec<_> = chosen.collect();
        if chosen.is_empty() {
            return PickError::NoWeight;
        }
        let waits = self.locked(|control| {
            let wait = |member: &Arc<Member<T>>| {
                let breaker = &member.life.breaker;
                let holds = || {
                    !control.panic.overrules_breakers() || breaker.control() == Override::ForcedOpen
                };
                let open = breaker.check(now).err().filter(|_| holds());
                let open = open.map(|open| open.retry_after);
                let ejected = control.ejected_until(member.number(), now);
                let ejected = ejected.filter(|_| !control.panic.is_on);
                let ejected = ejected.map(|until| until.saturating_duration_since(now));
                open.into_iter().chain(ejected).max()
            };
            chosen.into_iter().map(wait).collect::<Option<Vec<Duration>>>()
        });
        match waits {
            Some(waits) => {
                PickError::AllOpen { retry_after: waits.into_iter().min().unwrap_or_default() }
            }
            None => PickError::AllTried,
        }
    }
}
