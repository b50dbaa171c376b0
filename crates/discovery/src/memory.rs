//! A registry in memory, for tests and fleets in one process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use regatta_core::{Instance, InstanceId, ServiceName};

use crate::{Discover, LastKnown, Publisher, Register, RegisterError, Registration, Watch};

/// A registry in memory; clones share it.
///
/// Registered instances count as healthy: nothing is probed. [`MemoryRegistry::set_away`] and
/// [`MemoryRegistry::wipe`] play the two ways in which a registry fails.
#[derive(Clone, Debug, Default)]
pub struct MemoryRegistry {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    registrations: BTreeMap<InstanceId, Registration>,
    watched: HashMap<ServiceName, Watched>,
    away: bool,
}

#[derive(Debug)]
struct Watched {
    publisher: Publisher,
    known: LastKnown,
}

impl MemoryRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The one registry that all of this process share, as `memory:` means it.
    pub fn of_process() -> Self {
        static SHARED: std::sync::OnceLock<MemoryRegistry> = std::sync::OnceLock::new();
        SHARED.get_or_init(Self::new).clone()
    }

    /// Makes every call fail and every set stale, or ends that.
    pub fn set_away(&self, away: bool) {
        let mut shared = self.lock();
        shared.away = away;
        shared.publish_all();
    }

    /// Forgets every registration, as a registry with a new disk would.
    pub fn wipe(&self) {
        let mut shared = self.lock();
        shared.registrations.clear();
        let now = now();
        shared.watched.values_mut().for_each(|watched| watched.known.reset(now));
        shared.publish_all();
    }

    /// Every registration, ordered by id.
    pub fn registrations(&self) -> Vec<Registration> {
        self.lock().registrations.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic elsewhere leaves the maps whole, since each call changes one entry.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn check_present(&self) -> Result<(), RegisterError> {
        if self.away {
            let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into();
            return Err(RegisterError::Unreachable { registry: "memory:".to_owned(), source });
        }
        Ok(())
    }

    fn instances(&self, service: &ServiceName) -> Vec<Instance> {
        let instances = self.registrations.values().map(|registration| &registration.instance);
        instances.filter(|instance| instance.service == *service).cloned().collect()
    }

    fn publish(&mut self, service: &ServiceName) {
        let instances = self.instances(service);
        if let Some(watched) = self.watched.get_mut(service) {
            let set = if self.away {
                watched.known.failure(now())
            } else {
                watched.known.answer(now(), instances)
            };
            set.into_iter().for_each(|set| watched.publisher.publish(set));
        }
    }

    fn publish_all(&mut self) {
        self.watched.retain(|_, watched| !watched.publisher.is_idle());
        let services: Vec<_> = self.watched.keys().cloned().collect();
        services.iter().for_each(|service| self.publish(service));
    }
}

impl Discover for MemoryRegistry {
    fn watch(&self, service: &ServiceName) -> Watch {
        let mut shared = self.lock();
        shared.watched.retain(|_, watched| !watched.publisher.is_idle());
        let watched = shared.watched.entry(service.clone()).or_insert_with(|| Watched {
            publisher: Publisher::default(),
            known: LastKnown::new(Duration::ZERO),
        });
        let watch = watched.publisher.watch();
        shared.publish(service);
        watch
    }
}

#[async_trait]
impl Register for MemoryRegistry {
    fn address(&self) -> &str {
        "memory:"
    }

    async fn register(&self, registration: &Registration) -> Result<(), RegisterError> {
        let mut shared = self.lock();
        shared.check_present()?;
        let (id, service) = (&registration.instance.id, &registration.instance.service);
        let replaced = shared.registrations.insert(id.clone(), registration.clone());
        shared.publish(service);
        if let Some(replaced) = replaced.filter(|replaced| replaced.instance.service != *service) {
            shared.publish(&replaced.instance.service);
        }
        Ok(())
    }

    async fn deregister(&self, id: &InstanceId) -> Result<(), RegisterError> {
        let mut shared = self.lock();
        shared.check_present()?;
        if let Some(removed) = shared.registrations.remove(id) {
            shared.publish(&removed.instance.service);
        }
        Ok(())
    }

    async fn is_registered(&self, registration: &Registration) -> Result<bool, RegisterError> {
        let shared = self.lock();
        shared.check_present()?;
        let held = shared.registrations.get(&registration.instance.id);
        Ok(held.is_some_and(|held| held.is(registration)))
    }

    async fn heartbeat(&self, id: &InstanceId) -> Result<bool, RegisterError> {
        let shared = self.lock();
        shared.check_present()?;
        Ok(shared.registrations.contains_key(id))
    }
}

fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}
