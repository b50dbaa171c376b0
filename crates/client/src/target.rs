//! One service that is called: its cluster, and what all calls to it share.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use regatta_core::{InstanceId, ServiceName};
use regatta_discovery::Watch;
use regatta_resilience::concurrency::Limit;
use regatta_resilience::hedge::Hedge;
use regatta_resilience::retry::Budget;
use regatta_traffic::cluster::{
    Cluster, Hints, Override, PickError, Picked, Tried, UnknownInstance, View,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::call::now;
use crate::metrics::Metrics;
use crate::transport::{Pool, Wire};
use crate::{Error, Options};

/// One service that is called.
pub(crate) struct Target {
    watch: Watch,
    wire: Wire,
    metrics: Metrics,
    cluster: Cluster<Pool>,
    options: ArcSwap<Options>,
    budget: Budget,
    concurrency: Limit,
    hedge: Hedge,
    /// Of the set that the cluster holds; 0 before the first.
    generation: AtomicU64,
    /// Newer sets are left to [`attend`], since one takes long. Relaxed: who misses it looks itself.
    left: AtomicBool,
    /// Held while the cluster takes over a set, so that an older one never comes last.
    replacing: Mutex<()>,
    _attended: DropGuard,
}

impl Target {
    /// Starts to follow what discovery says; needs a tokio runtime.
    pub(crate) fn start(
        name: ServiceName,
        watch: Watch,
        options: Arc<Options>,
        metrics: Metrics,
        wire: Wire,
    ) -> Arc<Self> {
        let stop = CancellationToken::new();
        let (policies, observer) = (options.cluster.clone(), metrics.cluster_observer());
        let cluster = Cluster::try_observed(name, policies, now(), rand::random(), observer)
            .expect("the options were checked");
        let target = Arc::new(Self {
            budget: Budget::try_new(options.retry_percent, options.retries_per_second)
                .expect("the options were checked"),
            hedge: Hedge::try_new(options.hedge.clone().unwrap_or_default())
                .expect("the options were checked"),
            concurrency: Limit::try_new(options.concurrency.clone().unwrap_or_default())
                .expect("the options were checked"),
            watch: watch.clone(),
            wire: wire.clone(),
            metrics,
            cluster,
            options: ArcSwap::new(options),
            generation: AtomicU64::new(0),
            left: AtomicBool::new(false),
            replacing: Mutex::default(),
            _attended: stop.clone().drop_guard(),
        });
        wire.tasks.spawn(attend(Arc::downgrade(&target), watch, stop));
        target
    }

    pub(crate) fn name(&self) -> &ServiceName {
        self.cluster.service()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The options now; a call keeps to those it began with.
    pub(crate) fn options(&self) -> Arc<Options> {
        self.options.load_full()
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What bounds the calls in flight, if these options want it.
    pub(crate) fn concurrency(&self, options: &Options) -> Option<&Limit> {
        options.concurrency.as_ref().map(|_| &self.concurrency)
    }

    /// What says when a read is slow, if these options want to know.
    pub(crate) fn hedge(&self, options: &Options) -> Option<&Hedge> {
        options.hedge.as_ref().map(|_| &self.hedge)
    }

    /// Puts other options in force for the next call on. They were checked.
    pub(crate) fn configure(&self, options: Arc<Options>) {
        let configured = self.cluster.configure(now(), options.cluster.clone());
        let (percent, floor) = (options.retry_percent, options.retries_per_second);
        let mut limit = options.concurrency.iter().cloned();
        let mut hedge = options.hedge.iter().cloned();
        if configured.is_err()
            || self.budget.reconfigure(percent, floor).is_err()
            || limit.any(|settings| self.concurrency.reconfigure(settings).is_err())
            || hedge.any(|settings| self.hedge.reconfigure(settings).is_err())
        {
            unreachable!("the options were checked");
        }
        self.options.store(options);
    }

    /// Waits, at most so long, until discovery has answered once.
    pub(crate) async fn discovered(&self, at_most: Duration) -> Result<(), Error> {
        if self.watch.current().is_known() {
            return Ok(());
        }
        let waited = at_most.min(self.options.load().discovery_timeout);
        if self.watch.first(waited).await.is_known() {
            return Ok(());
        }
        Err(Error::NotDiscovered { service: self.name().clone(), waited })
    }

    /// Picks an instance that was not tried, else any, whose breaker admits the call.
    pub(crate) fn pick(
        &self,
        now: Instant,
        tried: &Tried,
        hints: &Hints<'_>,
    ) -> Result<Picked<Pool>, Error> {
        self.follow();
        let picked = match self.cluster.pick(now, rand::random(), tried, hints) {
            Err(PickError::AllTried) => {
                self.cluster.pick(now, rand::random(), &Tried::default(), hints)
            }
            picked => picked,
        };
        let service = || self.name().clone();
        picked.map_err(|error| match error.retry_after() {
            Some(retry_after) => Error::BreakerOpen { service: service(), retry_after },
            None => Error::NoInstance { service: service(), source: error },
        })
    }

    /// Whether an instance is left that was not tried and whose breaker admits calls.
    pub(crate) fn has_another(&self, now: Instant, tried: &Tried, hints: &Hints<'_>) -> bool {
        self.follow();
        self.cluster.has_another(now, tried, hints)
    }

    pub(crate) fn view(&self) -> View {
        self.follow();
        self.cluster.view(now())
    }

    pub(crate) fn override_breaker(
        &self,
        instance: Option<&InstanceId>,
        control: Override,
    ) -> Result<(), UnknownInstance> {
        self.follow();
        self.cluster.override_breaker(now(), instance, control)
    }

    /// How long the registry has not stood behind the instances; none while it does.
    pub(crate) fn stale_for(&self) -> Option<Duration> {
        self.watch.current().stale_for(now())
    }

    /// Calls in flight, and calls that wait to be.
    pub(crate) fn calls(&self) -> (u32, usize) {
        (self.concurrency.in_flight(), self.concurrency.queued())
    }

    /// Connections open for the next request: idle ones of HTTP/1.1, and all of HTTP/2.
    pub(crate) fn open_connections(&self) -> (usize, usize) {
        let members = self.cluster.members();
        let open = members.iter().map(|member| member.data().open());
        open.fold((0, 0), |sum, open| (sum.0 + open.0, sum.1 + open.1))
    }

    /// Takes over what discovery last reported, so that whoever picks after an instance was removed
    /// does not get it. A set that takes long is left to [`attend`], and no call waits for it.
    fn follow(&self) {
        let set = self.watch.current();
        // Acquire, as the store below releases: who sees the generation sees its set.
        let held = self.generation.load(Ordering::Acquire);
        if set.generation == held {
            return;
        }
        // Before the first set there is nobody to call.
        if held != 0 {
            if self.left.load(Ordering::Relaxed) {
                return;
            }
            if self.cluster.takes_long(set.instances.iter()) {
                self.left.store(true, Ordering::Relaxed);
                return;
            }
        }
        self.take_over();
    }

    /// Takes over what discovery last reported, also what was left; beside all calls, if that takes
    /// long.
    async fn catch_up(self: &Arc<Self>) {
        let set = self.watch.current();
        if set.generation != self.generation.load(Ordering::Acquire) {
            if self.cluster.takes_long(set.instances.iter()) {
                self.left.store(true, Ordering::Relaxed);
                let target = Arc::clone(self);
                // It does not panic; did it, calls would go on by the set before.
                drop(self.wire.tasks.spawn_blocking(move || target.take_over()).await);
            } else {
                self.take_over();
            }
        }
        self.left.store(false, Ordering::Relaxed);
    }

    #[cold]
    fn take_over(&self) {
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        // Again: another thread may have been faster.
        let set = self.watch.current();
        if set.generation == self.generation.load(Ordering::Acquire) {
            return;
        }
        let replaced = self.cluster.replace(now(), set.instances.iter().cloned(), |instance| {
            let Wire { connector, tasks } = self.wire.clone();
            Pool::new(instance.endpoint.clone(), connector, tasks)
        });
        // Calls in flight keep a removed member alive; its idle connections need not wait for them.
        replaced.removed.iter().for_each(|member| member.data().close());
        self.generation.store(set.generation, Ordering::Release);
    }

    fn reap(&self) {
        let (now, limits) = (now(), self.options.load().limits());
        self.cluster.members().iter().for_each(|member| member.data().reap(now, &limits));
    }
}

/// Follows discovery and closes idle connections, also while nobody calls.
async fn attend(target: Weak<Target>, mut watch: Watch, stop: CancellationToken) {
    loop {
        let pause = {
            let Some(target) = target.upgrade() else { return };
            target.catch_up().await;
            target.reap();
            target.options.load().idle_timeout.max(LEAST_PAUSE)
        };
        tokio::select! {
            () = stop.cancelled() => return,
            _set = watch.changed() => (),
            () = tokio::time::sleep(pause) => (),
        }
    }
}

/// Time between two looks for idle connections, at the least.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}
