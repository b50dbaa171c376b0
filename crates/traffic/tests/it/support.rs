//! What the tests speak in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use regatta_core::{Endpoint, Instance, InstanceId};
use regatta_traffic::balance::Strategy;
use regatta_traffic::cluster::{
    Cluster, Event, Hints, InstanceView, Outcome, PickError, Picked, Policies, SlowStart, Tried,
    What,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLI: Duration = Duration::from_millis(1);

/// Some instant: none can be made without a clock.
#[expect(clippy::disallowed_methods, reason = "any instant does; none can be made otherwise")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

/// An instance whose id is `i<number>`.
pub(crate) fn instance(number: u16) -> Instance {
    let endpoint = Endpoint::try_new("127.0.0.1", number + 1).unwrap();
    let id = InstanceId::new(&format!("i{number}"));
    Instance::new("users".parse().unwrap(), endpoint).with_id(id)
}

pub(crate) fn instances(count: u16) -> Vec<Instance> {
    (0..count).map(instance).collect()
}

/// One strategy and nothing else: no breaker, no ejection, no slow start.
pub(crate) fn bare(balance: Strategy) -> Policies {
    let mut policies = Policies::default();
    policies.balance = balance;
    policies.breaker = None;
    policies.service_breaker = None;
    policies.outlier = None;
    policies.slow_start = SlowStart::OFF;
    policies
}

/// The defaults without ejection and the service's breaker, so that one thing is seen.
pub(crate) fn with_breakers() -> Policies {
    let mut policies = Policies::default();
    policies.outlier = None;
    policies.service_breaker = None;
    policies
}

/// An announced change, and the id of the instance that it is about.
pub(crate) type Told = (Option<String>, What);

/// A cluster under test, its clock, its dice and what it announced.
pub(crate) struct Fleet {
    pub(crate) cluster: Cluster<u16>,
    pub(crate) now: Instant,
    random: u64,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Fleet {
    pub(crate) fn new(policies: Policies, instances: Vec<Instance>) -> Self {
        let (now, told) = (start(), Arc::new(Mutex::new(Vec::new())));
        let log = Arc::clone(&told);
        let observer = move |event: &Event<'_>| {
            let instance = event.instance.map(|instance| instance.id.to_string());
            log.lock().unwrap().push((instance, event.what.clone()));
        };
        let name = "users".parse().unwrap();
        let cluster = Cluster::try_observed(name, policies, now, 5, Arc::new(observer)).unwrap();
        let mut fleet = Self { cluster, now, random: 1, told };
        fleet.replace(instances);
        fleet
    }

    pub(crate) fn replace(&mut self, instances: Vec<Instance>) {
        drop(self.cluster.replace(self.now, instances, |instance| instance.endpoint.port() - 1));
    }

    pub(crate) fn configure(&mut self, policies: Policies) {
        self.cluster.configure(self.now, policies).unwrap();
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn random(&mut self) -> u64 {
        self.random += 1;
        // Weyl's sequence; the cluster spreads the bits.
        self.random.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn pick(&mut self) -> Result<Picked<u16>, PickError> {
        self.pick_for(&Tried::default(), &Hints::default())
    }

    pub(crate) fn pick_for(
        &mut self,
        tried: &Tried,
        hints: &Hints<'_>,
    ) -> Result<Picked<u16>, PickError> {
        let random = self.random();
        self.cluster.pick(self.now, random, tried, hints)
    }

    /// One call that ends at once; the number of its instance.
    pub(crate) fn call(&mut self, outcome: Outcome) -> Result<u16, PickError> {
        let picked = self.pick()?;
        let number = *picked.data();
        picked.finish(self.now, outcome, MILLI);
        Ok(number)
    }

    /// How many of so many calls go to each instance.
    pub(crate) fn counts(&mut self, calls: u32) -> BTreeMap<u16, u32> {
        let mut counts = BTreeMap::new();
        for _ in 0..calls {
            *counts.entry(self.call(Outcome::Success).unwrap()).or_insert(0) += 1;
        }
        counts
    }

    /// Calls that reach this instance fail, so many of them.
    pub(crate) fn fail(&mut self, number: u16, times: u32) {
        let others = self.others(number);
        for _ in 0..times {
            let picked = self.pick_for(&others, &Hints::default()).unwrap();
            assert_eq!(*picked.data(), number);
            picked.finish(self.now, Outcome::Failure, MILLI);
        }
    }

    /// Everyone but this instance, as tried.
    pub(crate) fn others(&self, number: u16) -> Tried {
        let mut tried = Tried::default();
        let members = self.cluster.members();
        let others = members.iter().filter(|member| *member.data() != number);
        others.for_each(|member| tried.insert(member));
        tried
    }

    pub(crate) fn view(&self, number: u16) -> InstanceView {
        let view = self.cluster.view(self.now);
        let id = format!("i{number}");
        view.instances.into_iter().find(|instance| instance.id == id).unwrap()
    }

    /// What was announced since the last time.
    pub(crate) fn told(&self) -> Vec<Told> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

/// Whether a count is within five standard deviations of what a fair draw gives.
pub(crate) fn is_within_binomial_bound(count: u32, draws: u32, share: f64) -> bool {
    let (draws, count) = (f64::from(draws), f64::from(count));
    (count - draws * share).abs() <= 5.0 * (draws * share * (1.0 - share)).sqrt() + 1.0
}
