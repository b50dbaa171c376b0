//! One service that is called: its instances, their breakers, its retry budget.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::uri::Authority;
use regatta_core::{Instance, InstanceId, ServiceName};
use regatta_discovery::{InstanceSet, Watch};
use regatta_resilience::breaker::{Breaker, Permit};
use regatta_resilience::retry::Budget;
use regatta_traffic::balance::NoInstance;
use regatta_traffic::subset::{Split, Weights};

use crate::metrics::Metrics;
use crate::{Error, Options};

/// One service that is called.
pub(crate) struct Target {
    name: ServiceName,
    watch: Watch,
    options: Arc<Options>,
    metrics: Metrics,
    budget: Budget,
    snapshot: ArcSwap<Snapshot>,
    /// Held while the next snapshot is made, so that a breaker never has two successors.
    making: Mutex<()>,
}

/// The instances at one moment; immutable, replaced whole.
pub(crate) struct Snapshot {
    generation: u64,
    split: Split,
    /// One for each instance, in their order.
    members: Box<[Member]>,
}

#[derive(Clone)]
struct Member {
    authority: Authority,
    breaker: Breaker,
}

/// An instance that may be called, once.
pub(crate) struct Chosen {
    snapshot: Arc<Snapshot>,
    number: usize,
    pub(crate) permit: Permit,
}

impl Chosen {
    pub(crate) fn instance(&self) -> &Instance {
        &self.snapshot.instances()[self.number]
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.snapshot.members[self.number].authority
    }
}

impl Target {
    pub(crate) fn new(
        name: ServiceName,
        watch: Watch,
        options: Arc<Options>,
        metrics: Metrics,
    ) -> Self {
        let weights = options.subsets.get(&name).cloned().unwrap_or_default();
        let snapshot = Snapshot::empty(&options, weights);
        Self {
            // `validate` has made sure of the range.
            budget: Budget::try_new(options.retry_percent, options.retries_per_second)
                .unwrap_or_default(),
            name,
            watch,
            options,
            metrics,
            snapshot: ArcSwap::from_pointee(snapshot),
            making: Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> &ServiceName {
        &self.name
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Waits, at most so long, until discovery has answered once.
    pub(crate) async fn discovered(&self, at_most: Duration) -> Result<(), Error> {
        if self.watch.current().is_known() {
            return Ok(());
        }
        let waited = at_most.min(self.options.discovery_timeout);
        if self.watch.first(waited).await.is_known() {
            return Ok(());
        }
        Err(Error::NotDiscovered { service: self.name.clone(), waited })
    }

    /// Chooses an instance that was not tried, else any, whose breaker admits the call.
    pub(crate) fn choose(&self, now: Instant, tried: &[InstanceId]) -> Result<Chosen, Error> {
        let snapshot = self.snapshot();
        let is_new = |number: usize| !tried.contains(&snapshot.instances()[number].id);
        let mut random: u64 = rand::random();
        // Another call may take the probe between looking and asking; then look again.
        for _ in 0..8 {
            random = random.rotate_left(7);
            let picked = match snapshot.pick(now, random, is_new) {
                Err(NoInstance::Excluded) if !tried.is_empty() => {
                    snapshot.pick(now, random, |_| true)
                }
                picked => picked,
            };
            let number = match picked {
                Ok(number) => number,
                Err(NoInstance::Excluded) => break,
                Err(source) => {
                    return Err(Error::NoInstance { service: self.name.clone(), source });
                }
            };
            if let Ok(permit) = snapshot.members[number].breaker.admit(now) {
                return Ok(Chosen { snapshot, number, permit });
            }
        }
        let waits = snapshot.members.iter().map(|member| match member.breaker.check(now) {
            Ok(()) => Duration::ZERO,
            Err(open) => open.retry_after,
        });
        let retry_after = waits.min().unwrap_or_default();
        Err(Error::BreakerOpen { service: self.name.clone(), retry_after })
    }

    /// Whether an instance is left that was not tried and whose breaker admits calls.
    pub(crate) fn has_another(&self, now: Instant, tried: &[InstanceId]) -> bool {
        let snapshot = self.snapshot();
        let mut both = snapshot.instances().iter().zip(&snapshot.members);
        both.any(|(instance, member)| {
            !tried.contains(&instance.id) && member.breaker.check(now).is_ok()
        })
    }

    /// The breakers' states, for metrics.
    pub(crate) fn breakers(&self) -> Vec<Breaker> {
        self.snapshot().members.iter().map(|member| member.breaker.clone()).collect()
    }

    /// The instances as discovery last reported them. Never those of an earlier report: whoever
    /// asks after an instance was removed does not get it.
    fn snapshot(&self) -> Arc<Snapshot> {
        let set = self.watch.current();
        let snapshot = self.snapshot.load_full();
        if snapshot.generation == set.generation { snapshot } else { self.renew() }
    }

    #[cold]
    fn renew(&self) -> Arc<Snapshot> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        // Both again: another thread may have been faster.
        let (set, old) = (self.watch.current(), self.snapshot.load_full());
        if old.generation == set.generation {
            return old;
        }
        let new = Arc::new(old.next(&set, |instance| self.member(instance)));
        self.snapshot.store(Arc::clone(&new));
        new
    }

    fn member(&self, instance: &Instance) -> Member {
        let observer = self.metrics.breaker_observer(&self.name, &instance.id);
        let settings = self.options.breaker.clone();
        let breaker = Breaker::try_observed(settings, observer)
            .expect("the breaker's settings were checked with the options");
        let authority = instance.endpoint.to_string().parse();
        let authority = authority.expect("an endpoint is a host and a port, so an authority");
        Member { authority, breaker }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Snapshot {
    fn empty(options: &Options, weights: Arc<Weights>) -> Self {
        let first_turn = u64::from(rand::random::<u32>());
        let split = Split::new(options.strategy, weights, Arc::new([]), first_turn);
        Self { generation: 0, split, members: Box::default() }
    }

    fn instances(&self) -> &[Instance] {
        self.split.instances()
    }

    fn pick(
        &self,
        now: Instant,
        random: u64,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<usize, NoInstance> {
        let usable =
            |number: usize| wanted(number) && self.members[number].breaker.check(now).is_ok();
        self.split.pick(random, usable)
    }

    /// The snapshot of another set; an instance that stays at its address keeps its breaker.
    fn next(&self, set: &InstanceSet, make: impl Fn(&Instance) -> Member) -> Self {
        let held: std::collections::HashMap<_, _> = self
            .instances()
            .iter()
            .zip(&self.members)
            .map(|(instance, member)| ((&instance.id, &instance.endpoint), member))
            .collect();
        let member = |instance: &Instance| match held.get(&(&instance.id, &instance.endpoint)) {
            Some(member) => (*member).clone(),
            None => make(instance),
        };
        Self {
            generation: set.generation,
            split: self.split.with_instances(Arc::clone(&set.instances)),
            members: set.instances.iter().map(member).collect(),
        }
    }
}
