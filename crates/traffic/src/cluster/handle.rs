//! The cluster that callers share.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use regatta_core::{Instance, InstanceId, ServiceName};
use regatta_resilience::breaker::Override;
use regatta_resilience::outlier;

use super::announce::Announcer;
use super::load::Load;
use super::member::{Life, breaker};
use super::policies::breaker_settings;
use super::shared::Shared;
use super::snapshot::Snapshot;
use super::{InvalidPolicies, Member, Observer, Policies, View, view};
use crate::balance::{Ring, Strategy};

/// Instances that take about a millisecond to take over; each is a few microseconds.
const MANY: usize = 200;

/// Points of a ring that take about a millisecond to sort, twice: versions have rings, too.
const MANY_POINTS: u64 = 8_192;

/// The state of one called service. Cheap to clone; all clones are one cluster.
pub struct Cluster<T> {
    pub(super) shared: Arc<Shared<T>>,
}

/// What a new set changed.
#[derive(Debug)]
pub struct Replaced<T> {
    /// Who is new: also an instance that was known, in another life or at another address.
    pub added: Vec<Arc<Member<T>>>,
    /// Who has left. Calls to them that are in flight go on; nobody picks them any more.
    pub removed: Vec<Arc<Member<T>>>,
}

/// There is no instance of this id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("service `{service}` has no instance `{instance}`; look at the list of its instances")]
pub struct UnknownInstance {
    /// The service.
    pub service: ServiceName,
    /// What was given.
    pub instance: InstanceId,
}

impl<T> Cluster<T> {
    /// A cluster without instances. `random` are 64 random bits, so that many processes do not all
    /// begin with the same instance.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicies`] names the first policy out of range.
    pub fn try_new(
        service: ServiceName,
        policies: Policies,
        now: Instant,
        random: u64,
    ) -> Result<Self, InvalidPolicies> {
        Self::build(service, policies, now, random, None)
    }

    /// A cluster without instances that tells the observer of each change.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicies`] names the first policy out of range.
    pub fn try_observed(
        service: ServiceName,
        policies: Policies,
        now: Instant,
        random: u64,
        observer: Observer,
    ) -> Result<Self, InvalidPolicies> {
        Self::build(service, policies, now, random, Some(observer))
    }

    fn build(
        service: ServiceName,
        policies: Policies,
        now: Instant,
        random: u64,
        observer: Option<Observer>,
    ) -> Result<Self, InvalidPolicies> {
        policies.validate()?;
        let announcer = Arc::new(Announcer::new(service.clone(), observer));
        let settings = breaker_settings(policies.service_breaker.as_ref());
        let breaker = breaker(settings, None, &announcer).into();
        let snapshot = Snapshot::new(Arc::new(policies), Box::default(), None, random >> 32);
        let shared = Shared::new(service, now, announcer, breaker, snapshot);
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The service.
    pub fn service(&self) -> &ServiceName {
        &self.shared.service
    }

    /// The policies in force.
    pub fn policies(&self) -> Arc<Policies> {
        Arc::clone(&self.shared.snapshot.load().policies)
    }

    /// Puts other policies in force, for the next pick on. What is known of the instances stays;
    /// a breaker that is open stays so for the time it was told.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicies`] names the first policy out of range; the old ones stay in force.
    pub fn configure(&self, now: Instant, policies: Policies) -> Result<(), InvalidPolicies> {
        policies.validate()?;
        let build = |old: &Snapshot<T>, _: &mut u64| {
            if *old.policies == policies {
                return (None, ());
            }
            let settings = breaker_settings(policies.breaker.as_ref());
            for member in &old.members {
                // The settings were checked with the policies; so below.
                _ = member.life.breaker.reconfigure(settings.clone());
            }
            let settings = breaker_settings(policies.service_breaker.as_ref());
            _ = self.shared.breaker.reconfigure(settings);
            let members = old.members.clone();
            (Some(Snapshot::new(Arc::new(policies), members, Some(old), 0)), ())
        };
        self.shared.rebuild(now, build, |_, ()| ());
        Ok(())
    }

    /// Takes over a new set of instances, each id once; `make` makes what is hung on a new one.
    ///
    /// An instance that stays under its id, at its endpoint and in its life (incarnation) keeps
    /// what is known of it, also if its attributes change; one that left and came back begins anew,
    /// and so does the service's own breaker when anyone is new. A call that is in flight to an
    /// instance that has left goes on; once this has returned nobody picks one that has left.
    ///
    /// Calls go on by the set before while this one is built. `make` runs meanwhile: it may use the
    /// cluster, but neither replace nor configure.
    pub fn replace(
        &self,
        now: Instant,
        instances: impl IntoIterator<Item = Instance>,
        mut make: impl FnMut(&Instance) -> T,
    ) -> Replaced<T> {
        let build = |old: &Snapshot<T>, next_number: &mut u64| {
            let mut held: HashMap<_, _> =
                old.members.iter().map(|member| (&member.instance.id, member)).collect();
            let mut added = Vec::new();
            let mut members = Vec::with_capacity(old.members.len());
            for instance in instances {
                let same_life = held.get(&instance.id).copied().filter(|member| {
                    member.instance.endpoint == instance.endpoint
                        && member.instance.incarnation == instance.incarnation
                });
                let Some(member) = same_life else {
                    let data = make(&instance);
                    let member = self.member(*next_number, old, instance, data, now);
                    *next_number += 1;
                    added.push(Arc::clone(&member));
                    members.push(member);
                    continue;
                };
                held.remove(&instance.id);
                members.push(if *member.instance == instance {
                    Arc::clone(member)
                } else {
                    Arc::new(member.with_instance(instance))
                });
            }
            let removed = held.into_values().map(Arc::clone).collect();
            let policies = Arc::clone(&old.policies);
            let snapshot = Snapshot::new(policies, members.into(), Some(old), 0);
            (Some(snapshot), Replaced { added, removed })
        };
        let replaced = self.shared.rebuild(now, build, |control, replaced| {
            if control.force != Override::Automatic {
                let force = |member: &Arc<Member<T>>| member.life.breaker.control_by(control.force);
                self.shared.announcer.hold(|| replaced.added.iter().for_each(force));
            }
        });
        if !replaced.added.is_empty() {
            // What the instances before them did says nothing about these.
            self.shared.breaker.reset();
        }
        replaced
    }

    /// Whether to replace the set by this one takes more than about a millisecond, so that it is
    /// better done on a thread that nobody waits for.
    pub fn takes_long<'a>(&self, instances: impl Iterator<Item = &'a Instance> + Clone) -> bool {
        let is_hashed = self.shared.snapshot.load().policies.balance == Strategy::ConsistentHash;
        let points = || Ring::size(instances.clone().map(|instance| instance.weight));
        instances.clone().count() > MANY || is_hashed && points() > MANY_POINTS
    }

    fn member(
        &self,
        number: u64,
        old: &Snapshot<T>,
        instance: Instance,
        data: T,
        now: Instant,
    ) -> Arc<Member<T>> {
        let instance = Arc::new(instance);
        let settings = breaker_settings(old.policies.breaker.as_ref());
        let about = Some(Arc::clone(&instance));
        let breaker = breaker(settings, about, &self.shared.announcer);
        let life = Life {
            load: Load::new(),
            tally: outlier::Tally::default(),
            number,
            joined: self.shared.nanos(now),
            breaker,
            service: self.shared.breaker.clone(),
            data,
            cluster: Arc::downgrade(&self.shared),
        };
        Arc::new(Member { instance, life: Arc::new(life) })
    }

    /// Hands the decision about a breaker to an operator, or back: of one instance; or of all, also
    /// of those that come, and of the service. An instance that comes back or was restarted is as
    /// all are.
    ///
    /// # Errors
    ///
    /// [`UnknownInstance`] when there is none of this id now.
    pub fn override_breaker(
        &self,
        now: Instant,
        instance: Option<&InstanceId>,
        control: Override,
    ) -> Result<(), UnknownInstance> {
        let members = self.members();
        let is_meant =
            |member: &&Arc<Member<T>>| instance.is_none_or(|id| member.instance.id == *id);
        let mut meant = members.iter().filter(is_meant).peekable();
        match instance {
            None => {
                self.shared.locked(|held| held.force = control);
                self.shared.breaker.control_by(control);
            }
            Some(id) if meant.peek().is_none() => {
                return Err(UnknownInstance {
                    service: self.service().clone(),
                    instance: id.clone(),
                });
            }
            Some(_) => (),
        }
        for member in meant {
            // Tells the observer, so not under the lock.
            member.life.breaker.control_by(control);
            self.shared.locked(|held| {
                let snapshot = self.shared.snapshot.load();
                self.shared.settle(held, &snapshot, member.number(), now);
            });
        }
        Ok(())
    }

    /// The present instances.
    pub fn members(&self) -> Vec<Arc<Member<T>>> {
        self.shared.snapshot.load().members.to_vec()
    }

    /// The state as plain data.
    pub fn view(&self, now: Instant) -> View {
        view::view(&self.shared, now)
    }
}

impl<T> Clone for Cluster<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for Cluster<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("service", &self.shared.service)
            .field("instances", &self.shared.snapshot.load().members.len())
            .finish_non_exhaustive()
    }
}
