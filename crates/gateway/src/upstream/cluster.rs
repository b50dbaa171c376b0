//! A service's instances as one immutable snapshot, and the pick among them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use regatta_core::{Instance, InstanceId, ServiceName};
use regatta_resilience::breaker::{self, Breaker};
use regatta_resilience::retry::Budget;
use regatta_traffic::balance::Strategy;
use regatta_traffic::subset::{Split, Weights};

use super::BreakerChanges;
use crate::{Resilience, Service};

/// A service, with its present instances.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: ServiceName,
    /// Time for an exchange, when the service has its own.
    pub(crate) timeout: Option<Duration>,
    /// Shared by all cores.
    pub(crate) budget: Budget,
    cluster: ArcSwap<Cluster>,
    breaker: breaker::Settings,
    changes: Arc<BreakerChanges>,
}

/// The instances of one moment.
#[derive(Debug)]
pub(crate) struct Cluster {
    split: Split,
    /// In the order of the split's instances.
    members: Box<[Member]>,
}

/// One instance with what is kept about it across snapshots.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: InstanceId,
    pub(crate) address: SocketAddr,
    pub(crate) breaker: Breaker,
}

impl Upstream {
    pub(crate) fn new(service: &Service, resilience: &Resilience, first_turn: u64) -> Self {
        let weights: Weights = service.versions.iter().cloned().collect();
        let none = Arc::from(Vec::new());
        let split = Split::new(Strategy::Weighted, Arc::new(weights), none, first_turn);
        Self {
            name: service.name.clone(),
            timeout: service.timeout,
            budget: Budget::default(),
            cluster: ArcSwap::from_pointee(Cluster { split, members: Box::default() }),
            breaker: breaker::Settings::default()
                .with_failure_threshold(resilience.failure_threshold.get())
                .with_open_for(resilience.open_for),
            changes: Arc::new(BreakerChanges::new(service.name.clone())),
        }
    }

    /// How often breakers of this service changed their state.
    pub(crate) fn breaker_changes(&self) -> &Arc<BreakerChanges> {
        &self.changes
    }

    pub(crate) fn cluster(&self) -> Arc<Cluster> {
        self.cluster.load_full()
    }

    /// Takes over a new set of instances with their addresses; those that stay keep their breaker.
    pub(crate) fn replace(&self, found: Vec<(Instance, SocketAddr)>) {
        let before = self.cluster.load();
        let known: HashMap<_, _> =
            before.members.iter().map(|member| (&member.id, member)).collect();
        let mut instances = Vec::with_capacity(found.len());
        let mut members = Vec::with_capacity(found.len());
        for (instance, address) in found {
            let kept = known.get(&instance.id).filter(|member| member.address == address);
            let breaker = match kept {
                Some(member) => member.breaker.clone(),
                // The settings were checked with the others; a breaker of the defaults serves too.
                None => match self.breaker(&instance.id, address) {
                    Ok(breaker) => breaker,
                    Err(_) => continue,
                },
            };
            members.push(Member { id: instance.id.clone(), address, breaker });
            instances.push(instance);
        }
        let split = before.split.with_instances(instances.into());
        self.cluster.store(Arc::new(Cluster { split, members: members.into_boxed_slice() }));
    }

    fn breaker(
        &self,
        id: &InstanceId,
        address: SocketAddr,
    ) -> Result<Breaker, breaker::InvalidSettings> {
        let (changes, id) = (Arc::clone(&self.changes), id.clone());
        let observer = move |change| changes.announce(&id, address, change);
        Breaker::try_observed(self.breaker.clone(), Arc::new(observer))
    }
}

impl Cluster {
    /// The member whose turn it is, among those that were not tried and whose breaker lets calls
    /// pass; a bit of `tried` is one member's number.
    pub(crate) fn pick(&self, random: u64, tried: Tried, now: Instant) -> Option<usize> {
        let usable = |number: usize| {
            !tried.contains(number) && self.members[number].breaker.check(now).is_ok()
        };
        self.split.pick(random, usable).ok()
    }

    pub(crate) fn member(&self, number: usize) -> &Member {
        &self.members[number]
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }
}

/// The members that were tried for a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried(u128);

impl Tried {
    pub(crate) fn insert(&mut self, number: usize) {
        self.0 |= 1_u128.checked_shl(number as u32).unwrap_or(0);
    }

    pub(crate) fn contains(self, number: usize) -> bool {
        // Members past the 128th are never excluded; one of them may be tried twice.
        self.0.checked_shr(number as u32).unwrap_or(0) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant does; none can be made otherwise")]
    fn now() -> Instant {
        Instant::now()
    }

    fn upstream(versions: &[(&str, u32)], instances: &[(&str, &str)]) -> Upstream {
        let mut service = Service::new("a".parse().unwrap());
        service.versions =
            versions.iter().map(|(name, weight)| ((*name).into(), *weight)).collect();
        let upstream = Upstream::new(&service, &Resilience::default(), 0);
        upstream.replace(instances.iter().map(|(id, version)| found(id, version)).collect());
        upstream
    }

    fn found(id: &str, version: &str) -> (Instance, SocketAddr) {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let instance = Instance::new("a".parse().unwrap(), address.into());
        (instance.with_id(InstanceId::new(id)).with_version(version), address)
    }

    #[test]
    fn versions_get_their_share_of_the_traffic() {
        let upstream =
            upstream(&[("v1", 90), ("v2", 10)], &[("a", "v1"), ("b", "v2"), ("c", "v1")]);
        let cluster = upstream.cluster();
        let mut counts = [0; 3];
        for random in 0..1000 {
            counts[cluster.pick(random, Tried::default(), now()).unwrap()] += 1;
        }
        assert_eq!(counts[1], 100);
        assert_eq!(counts[0] + counts[2], 900);
    }

    #[test]
    fn a_retry_goes_to_another_instance_while_there_is_one() {
        let upstream = upstream(&[], &[("a", "v1"), ("b", "v1")]);
        let cluster = upstream.cluster();
        let mut tried = Tried::default();
        let first = cluster.pick(1, tried, now()).unwrap();
        tried.insert(first);
        let second = cluster.pick(1, tried, now()).unwrap();
        assert_ne!(first, second);
        tried.insert(second);
        assert_eq!(cluster.pick(1, tried, now()), None);
    }

    #[test]
    fn a_change_of_a_breaker_is_logged_and_counted_once() {
        let log = Log::default();
        let sink = log.clone();
        let writer = move || sink.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(writer).finish();
        let upstream = upstream(&[], &[("a-1", "v1"), ("a-2", "v1")]);
        let breaker = upstream.cluster().member(0).breaker.clone();
        tracing::subscriber::with_default(subscriber, || {
            let opened = now();
            for _ in 0..8 {
                if let Ok(permit) = breaker.admit(opened) {
                    permit.record(opened, breaker::Outcome::Failure);
                }
            }
            let later = opened + Duration::from_secs(60);
            breaker.admit(later).unwrap().record(later, breaker::Outcome::Success);
        });
        use breaker::State::{Closed, HalfOpen, Open};
        let changes = upstream.breaker_changes();
        assert_eq!([Open, HalfOpen, Closed].map(|state| changes.count(state)), [1, 1, 1]);
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = log.lines().collect();
        assert_eq!(lines.len(), 3, "{log}");
        assert!(lines[0].contains("WARN") && lines[0].contains("opened"), "{log}");
        for (line, to) in lines.iter().zip(["open", "half_open", "closed"]) {
            assert!(line.contains("service=a instance=a-1"), "{line}");
            assert!(line.contains(&format!("to=\"{to}\"")), "{line}");
        }
    }

    #[test]
    fn an_instance_whose_breaker_is_open_gets_nothing_and_keeps_its_breaker_across_sets() {
        let upstream = upstream(&[], &[("a", "v1"), ("b", "v1")]);
        let now = now();
        for _ in 0..5 {
            let permit = upstream.cluster().member(0).breaker.admit(now).unwrap();
            permit.record(now, breaker::Outcome::Failure);
        }
        upstream.replace(vec![found("a", "v1"), found("b", "v1"), found("c", "v1")]);
        let cluster = upstream.cluster();
        let picked = (0..50).map(|random| cluster.pick(random, Tried::default(), now).unwrap());
        assert!(picked.into_iter().all(|number| cluster.member(number).id.as_str() != "a"));
    }

    #[derive(Clone, Default)]
    struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
