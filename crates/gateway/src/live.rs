//! Rules that change while the gateway runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use regatta_auth::KeyRing;
use regatta_discovery::Discover;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::policy::Rules;
use crate::shared::Shared;
use crate::upstream::{Upstream, follow, policies};
use crate::worker::random;
use crate::{InvalidSettings, Settings};

/// Changes the rules of a running gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    discover: Arc<dyn Discover>,
    tasks: TaskTracker,
    /// Held while rules change, so that two changes do not mix.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    settings: Settings,
    services: BTreeMap<String, Followed>,
    ring: Option<(KeyRing, DropGuard)>,
}

/// A service and what ends its watch.
#[derive(Debug)]
struct Followed {
    upstream: Arc<Upstream>,
    /// None until the gateway runs.
    stop: Option<DropGuard>,
}

/// What became of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// Settings that differ and hold only after a restart, such as `listen`.
    pub after_restart: Vec<&'static str>,
}

impl Handle {
    /// Compiles the first rules.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting that cannot be.
    pub(crate) fn try_new(
        settings: Settings,
        discover: Arc<dyn Discover>,
        share: impl FnOnce(Rules) -> Shared,
    ) -> Result<Self, InvalidSettings> {
        settings.validate()?;
        let services = BTreeMap::new();
        let (services, rules) = prepare(&settings, services, &discover, None)?;
        let shared = Arc::new(share(rules));
        let state = Mutex::new(State { settings, services, ring: None });
        let tasks = TaskTracker::new();
        Ok(Self { inner: Arc::new(Inner { shared, discover, tasks, state }) })
    }

    /// Puts other settings in force: for requests that begin from now on, all at once. Requests in
    /// flight end under the rules they began with. Counts, breakers and what is known of instances
    /// stay where their settings are the same. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting that cannot be; then nothing has changed.
    pub fn apply(&self, settings: Settings) -> Result<Applied, InvalidSettings> {
        settings.validate()?;
        let mut state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state
            .services
            .iter()
            .map(|(name, followed)| (name.clone(), Arc::clone(&followed.upstream)))
            .collect();
        let before = self.inner.shared.rules.load_full();
        let (mut services, rules) = prepare(&settings, known, &self.inner.discover, Some(&before))?;
        // From here on nothing can fail.
        for service in &settings.services {
            let Some(followed) = services.get_mut(service.name.as_str()) else { continue };
            let known = state.services.get_mut(service.name.as_str());
            followed.stop = known.and_then(|known| known.stop.take());
            let now = Instant::now().into_std();
            // The policies were checked with the settings.
            _ = followed.upstream.cluster.configure(now, policies(service, &settings));
        }
        rules.targets().for_each(|target| target.put_in_force());
        let after_restart = needs_restart(&state.settings, &settings);
        state.services = services;
        state.settings = settings;
        self.inner.shared.rules.store(Arc::new(rules));
        self.follow(&mut state);
        Ok(Applied { after_restart })
    }

    /// Begins to follow what the rules name: instances, keys.
    pub(crate) fn begin(&self) {
        let mut state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.follow(&mut state);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.inner.tasks
    }

    fn follow(&self, state: &mut State) {
        let Inner { shared, tasks, .. } = &*self.inner;
        for followed in state.services.values_mut().filter(|followed| followed.stop.is_none()) {
            let stop = shared.stop.child_token();
            tasks.spawn(follow(Arc::clone(&followed.upstream), stop.clone()));
            followed.stop = Some(stop.drop_guard());
        }
        let rules = shared.rules.load();
        let ring = rules.authenticator.as_ref().map(|authenticator| &authenticator.ring);
        state.ring = match (ring, state.ring.take()) {
            (None, _) => None,
            (Some(ring), Some((running, stop))) if ring.is_same(&running) => Some((running, stop)),
            (Some(ring), _) => {
                let stop: CancellationToken = shared.stop.child_token();
                tasks.spawn(ring.clone().run(stop.clone()));
                Some((ring.clone(), stop.drop_guard()))
            }
        };
    }
}

/// The rules of settings, over the services that are known and those that are new.
fn prepare(
    settings: &Settings,
    known: BTreeMap<String, Arc<Upstream>>,
    discover: &Arc<dyn Discover>,
    before: Option<&Rules>,
) -> Result<(BTreeMap<String, Followed>, Rules), InvalidSettings> {
    let mut upstreams = BTreeMap::new();
    for service in &settings.services {
        let name = service.name.to_string();
        let upstream = match known.get(&name) {
            Some(known) => Arc::clone(known),
            None => {
                let policies = policies(service, settings);
                let watch = discover.watch(&service.name);
                let now = Instant::now().into_std();
                let upstream =
                    Upstream::try_new(service.name.clone(), policies, watch, now, random::next());
                Arc::new(upstream.map_err(|error| InvalidSettings::BadTraffic {
                    of: name.clone(),
                    reason: regatta_core::Chain(&error).to_string(),
                })?)
            }
        };
        upstreams.insert(name, upstream);
    }
    let rules = Rules::compile(settings, &upstreams, before)?;
    let followed = |upstream| Followed { upstream, stop: None };
    let services =
        upstreams.into_iter().map(|(name, upstream)| (name, followed(upstream))).collect();
    Ok((services, rules))
}

/// What differs and cannot change while the gateway runs.
fn needs_restart(before: &Settings, after: &Settings) -> Vec<&'static str> {
    let mut found = Vec::new();
    let differs = [
        ("listen", before.listen != after.listen),
        ("admin", before.admin != after.admin),
        ("workers", before.workers != after.workers),
        ("access_log", before.access_log != after.access_log),
    ];
    found.extend(differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name));
    found
}
