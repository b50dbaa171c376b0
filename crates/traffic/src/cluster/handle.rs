//! The cluster that callers share.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use regatta_core::{Instance, InstanceId, ServiceName};
use regatta_resilience::breaker::{self, Breaker, Override};

use super::load::Load;
use super::{
    Event, Hints, InstanceView, InvalidPolicies, Member, Observer, PickError, Picked, Policies,
    SubsetView, Tried, View, What,
};
use crate::balance::NoInstance;
use crate::subset::Split;

/// The state of one called service. Cheap to clone; all clones are one cluster.
pub struct Cluster<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    service: ServiceName,
    origin: Instant,
    observer: Option<Observer>,
    snapshot: ArcSwap<Snapshot<T>>,
    /// Held while the next snapshot is made.
    changing: Mutex<Changing>,
}

struct Changing {
    next_number: u64,
    /// Who decides about the breakers of instances that come.
    control: Override,
}

struct Snapshot<T> {
    policies: Arc<Policies>,
    split: Split,
    /// In the order of the split's instances.
    members: Box<[Arc<Member<T>>]>,
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
#[error("service `{service}` has no instance `{instance}`; `regatta ps` lists them")]
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
        let (none, weights) = (Arc::from(Vec::new()), Arc::clone(&policies.subsets));
        let split = Split::new(policies.balance, weights, none, random >> 32);
        let snapshot = Snapshot { policies: Arc::new(policies), split, members: Box::default() };
        let shared = Shared {
            service,
            origin: now,
            observer,
            snapshot: ArcSwap::from_pointee(snapshot),
            changing: Mutex::new(Changing { next_number: 1, control: Override::Automatic }),
        };
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

    /// Puts other policies in force, for the next pick on. What is known of the instances stays.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicies`] names the first policy out of range; the old ones stay in force.
    pub fn configure(&self, _now: Instant, policies: Policies) -> Result<(), InvalidPolicies> {
        policies.validate()?;
        let _changing = self.shared.lock();
        let old = self.shared.snapshot.load();
        if *old.policies == policies {
            return Ok(());
        }
        let instances = Arc::clone(old.split.instances());
        let weights = Arc::clone(&policies.subsets);
        let split = Split::new(policies.balance, weights, instances, 0);
        let members = old.members.clone();
        for member in &members {
            // The settings were checked with the policies.
            _ = member.breaker.reconfigure(breaker_settings(&policies));
        }
        let snapshot = Snapshot { policies: Arc::new(policies), split, members };
        self.shared.snapshot.store(Arc::new(snapshot));
        Ok(())
    }

    /// Takes over a new set of instances, each id once; `make` makes what is hung on a new one.
    ///
    /// An instance that stays under its id, at its endpoint and in its life (incarnation) keeps
    /// what is known of it; one that left and came back begins anew. A call that is in flight to an
    /// instance that has left goes on; once this has returned nobody picks one that has left.
    pub fn replace(
        &self,
        _now: Instant,
        instances: impl IntoIterator<Item = Instance>,
        mut make: impl FnMut(&Instance) -> T,
    ) -> Replaced<T> {
        let mut changing = self.shared.lock();
        let old = self.shared.snapshot.load();
        let mut held: HashMap<_, _> =
            old.members.iter().map(|member| (&member.instance.id, member)).collect();
        let mut added = Vec::new();
        let mut members = Vec::with_capacity(old.members.len());
        for instance in instances {
            let kept = held.get(&instance.id).filter(|member| {
                member.instance.endpoint == instance.endpoint
                    && member.instance.incarnation == instance.incarnation
            });
            if let Some(member) = kept.copied() {
                held.remove(&member.instance.id);
                if member.instance == instance {
                    members.push(Arc::clone(member));
                    continue;
                }
            }
            let number = changing.next_number;
            changing.next_number += 1;
            let data = make(&instance);
            let breaker = self.shared.breaker(&old.policies, &instance);
            breaker.control_by(changing.control);
            let load = Arc::new(Load::new());
            let member = Arc::new(Member { number, instance, data, breaker, load });
            added.push(Arc::clone(&member));
            members.push(member);
        }
        let removed = held.into_values().map(Arc::clone).collect();
        let instances = members.iter().map(|member| member.instance.clone()).collect();
        let split = old.split.with_instances(instances);
        let policies = Arc::clone(&old.policies);
        let members = members.into_boxed_slice();
        self.shared.snapshot.store(Arc::new(Snapshot { policies, split, members }));
        Replaced { added, removed }
    }

    /// Picks an instance for a call, for 64 random bits: one that was not tried, and that its
    /// breaker lets be called.
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
        let snapshot = self.shared.snapshot.load();
        let mut random = random;
        // Another call may take the probe between looking and asking; then look again.
        for _ in 0..8 {
            let number = snapshot.find(now, random, tried, hints)?;
            let member = &snapshot.members[number];
            let Ok(permit) = member.breaker.admit(now) else {
                random = random.rotate_left(7);
                continue;
            };
            member.load.begin();
            let (member, permit) = (Arc::clone(member), Some(permit));
            return Ok(Picked { member, permit, origin: self.shared.origin });
        }
        Err(PickError::AllOpen { retry_after: Duration::ZERO })
    }

    /// Whether an instance is left for such a call beside those that were tried.
    pub fn has_another(&self, now: Instant, tried: &Tried, hints: &Hints<'_>) -> bool {
        self.shared.snapshot.load().find(now, 0, tried, hints).is_ok()
    }

    /// Hands the decision about a breaker to an operator, or back: of one instance, or of all, also
    /// of those that come. An instance that comes back or was restarted is as all are.
    ///
    /// # Errors
    ///
    /// [`UnknownInstance`] when there is none of this id now.
    pub fn override_breaker(
        &self,
        instance: Option<&InstanceId>,
        control: Override,
    ) -> Result<(), UnknownInstance> {
        let mut changing = self.shared.lock();
        let members = self.members();
        let Some(id) = instance else {
            changing.control = control;
            // Observers run in these calls, and may use the cluster.
            drop(changing);
            members.iter().for_each(|member| member.breaker.control_by(control));
            return Ok(());
        };
        drop(changing);
        let member = members.iter().find(|member| member.instance.id == *id);
        let unknown = || UnknownInstance { service: self.service().clone(), instance: id.clone() };
        member.ok_or_else(unknown)?.breaker.control_by(control);
        Ok(())
    }

    /// The present instances.
    pub fn members(&self) -> Vec<Arc<Member<T>>> {
        self.shared.snapshot.load().members.to_vec()
    }

    /// The state as plain data.
    pub fn view(&self, now: Instant) -> View {
        let snapshot = self.shared.snapshot.load();
        let millis = now.saturating_duration_since(self.shared.origin).as_millis() as u32;
        let instance = |member: &Arc<Member<T>>| {
            let instance = &member.instance;
            InstanceView {
                id: instance.id.to_string(),
                endpoint: instance.endpoint.to_string(),
                version: instance.version.clone(),
                zone: instance.zone.clone(),
                weight: instance.weight,
                breaker: member.breaker.state(now).name(),
                control: member.breaker.control().name(),
                in_flight: member.load.in_flight(),
                latency_ms: member.load.estimate(millis).map(|time| time.as_secs_f64() * 1e3),
            }
        };
        let weights = &snapshot.policies.subsets;
        let mut subsets: BTreeMap<Option<String>, SubsetView> = BTreeMap::new();
        let subset = |version: Option<String>| {
            let weight = (!weights.is_empty())
                .then(|| version.as_ref().and_then(|v| weights.get(v)).copied().unwrap_or(0));
            SubsetView { version, weight, instances: 0, usable: 0 }
        };
        for version in weights.keys() {
            subsets.insert(Some(version.clone()), subset(Some(version.clone())));
        }
        for member in &snapshot.members {
            let version = member.instance.version.clone();
            let entry = subsets.entry(version.clone()).or_insert_with(|| subset(version));
            entry.instances += 1;
            entry.usable += usize::from(member.is_admitted(now));
        }
        View {
            service: self.shared.service.to_string(),
            balance: snapshot.policies.balance.name(),
            subsets: subsets.into_values().collect(),
            instances: snapshot.members.iter().map(instance).collect(),
        }
    }
}

impl<T> Member<T> {
    fn is_admitted(&self, now: Instant) -> bool {
        self.breaker.check(now).is_ok()
    }
}

impl<T> Snapshot<T> {
    fn find(
        &self,
        now: Instant,
        random: u64,
        tried: &Tried,
        hints: &Hints<'_>,
    ) -> Result<usize, PickError> {
        let wanted = |member: &Member<T>| {
            hints.subset.is_none_or(|subset| member.instance.version.as_deref() == Some(subset))
        };
        let usable = |number: usize| {
            let member = &self.members[number];
            wanted(member) && !tried.contains(member.number) && member.is_admitted(now)
        };
        self.split.pick(random, usable).map_err(|none| match none {
            NoInstance::Empty => PickError::Empty,
            NoInstance::NoWeight => PickError::NoWeight,
            NoInstance::Excluded => self.excluded(now, wanted, hints),
        })
    }

    fn excluded(
        &self,
        now: Instant,
        wanted: impl Fn(&Member<T>) -> bool,
        hints: &Hints<'_>,
    ) -> PickError {
        let mut members = self.members.iter().filter(|member| wanted(member)).peekable();
        if members.peek().is_none() {
            return PickError::NoSubset { subset: hints.subset.unwrap_or_default().to_owned() };
        }
        let wait =
            |member: &Arc<Member<T>>| member.breaker.check(now).err().map(|open| open.retry_after);
        match members.map(wait).collect::<Option<Vec<_>>>() {
            None => PickError::AllTried,
            Some(waits) => {
                PickError::AllOpen { retry_after: waits.into_iter().min().unwrap_or_default() }
            }
        }
    }
}

impl<T> Shared<T> {
    fn breaker(&self, policies: &Policies, instance: &Instance) -> Breaker {
        let settings = breaker_settings(policies);
        let built = match &self.observer {
            None => Breaker::try_new(settings),
            Some(observer) => {
                let (service, instance) = (self.service.clone(), instance.clone());
                let observer = Arc::clone(observer);
                let observer = move |change| {
                    let what = What::Breaker(change);
                    observer(&Event { service: &service, instance: Some(&instance), what });
                };
                Breaker::try_observed(settings, Arc::new(observer))
            }
        };
        built.expect("the settings were checked with the policies")
    }

    fn lock(&self) -> MutexGuard<'_, Changing> {
        // Each holder stores one whole snapshot.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An operator may force also a breaker that opens by no rule of its own.
fn breaker_settings(policies: &Policies) -> breaker::Settings {
    let never =
        || breaker::Settings::default().with_failure_threshold(u32::MAX).with_failure_percent(None);
    policies.breaker.clone().unwrap_or_else(never)
}

impl<T> Clone for Cluster<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for Cluster<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.shared.snapshot.load();
        f.debug_struct("Cluster")
            .field("service", &self.shared.service)
            .field("instances", &snapshot.members.len())
            .finish_non_exhaustive()
    }
}
