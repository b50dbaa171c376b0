//! What every registry must do; each backend's tests run all of it.
//!
//! The checks need no empty registry: each uses names of its own. They wait for changes with a
//! limit, since a backend may learn of them over a network.

#![allow(clippy::unwrap_used, reason = "checks panic on failure, as tests do")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use regatta_core::{Endpoint, Instance, InstanceId, ServiceName};
use tokio::net::TcpListener;

use crate::{Check, Discover, Freshness, InstanceSet, Register, Registration, Watch};

/// How long a change may take to be seen.
const LIMIT: Duration = Duration::from_secs(10);

/// How long nothing is waited for.
const QUIET: Duration = Duration::from_millis(200);

/// Runs every check.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: registrations may be left behind.
pub async fn all(discover: Arc<dyn Discover>, register: Arc<dyn Register>) {
    an_unknown_service_has_no_instances_and_that_is_known(&*discover).await;
    a_registered_instance_is_found_with_all_its_attributes(&*discover, &*register).await;
    a_watch_sees_instances_come_and_go(&*discover, &*register).await;
    every_watch_of_a_service_sees_the_same(&*discover, &*register).await;
    registering_again_replaces(&*discover, &*register).await;
    an_instance_that_was_restarted_is_another(&*discover, &*register).await;
    deregistering_what_is_not_there_is_fine(&*register).await;
    any_id_can_be_registered_and_removed(&*discover, &*register).await;
    a_registration_is_recognised_only_as_it_is(&*register).await;
    a_check_decides_whether_an_instance_is_given_out(&*discover, &*register).await;
    an_instance_that_says_it_lives_is_given_out(&*discover, &*register).await;
    one_healthy_instance_is_discovered_by_chance(&*discover, &*register).await;
}

/// Puts instances into a registry by other means than [`Register`], for backends that only find.
#[async_trait::async_trait]
pub trait Populate: Send + Sync {
    /// Adds an instance that listens here: `127.0.0.<something>:4001`.
    async fn put(&self, service: &ServiceName, endpoint: &Endpoint);

    /// Removes it.
    async fn remove(&self, service: &ServiceName, endpoint: &Endpoint);
}

/// Runs the checks of a backend that only finds.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: instances may be left behind.
pub async fn finding(discover: &dyn Discover, populate: &dyn Populate) {
    an_unknown_service_has_no_instances_and_that_is_known(discover).await;
    let service = name("conformance-found");
    let [one, two] = [1, 2].map(|n| Endpoint::try_new(&format!("127.0.0.{n}"), 4001).unwrap());
    let has = |set: &InstanceSet, wanted: &[&Endpoint]| {
        let found: Vec<_> = set.instances.iter().map(|instance| &instance.endpoint).collect();
        set.freshness == Freshness::Fresh && found == wanted
    };
    populate.put(&service, &two).await;
    let mut early = discover.watch(&service);
    let first = until(&mut early, |set| has(set, &[&two])).await;
    assert!(first.instances.iter().all(|instance| instance.service == service));
    populate.put(&service, &one).await;
    let second = until(&mut early, |set| has(set, &[&one, &two])).await;
    assert!(second.generation > first.generation);
    let (mut clone, mut late) = (early.clone(), discover.watch(&service));
    populate.remove(&service, &two).await;
    for watch in [&mut early, &mut clone, &mut late] {
        until(watch, |set| has(set, &[&one])).await;
    }
    populate.remove(&service, &one).await;
    until(&mut early, |set| has(set, &[])).await;
}

/// Runs the checks of a backend whose instances never change: `service` has these, in any order.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Cancel safe: it only reads.
pub async fn unchanging(discover: &dyn Discover, service: &ServiceName, endpoints: &[Endpoint]) {
    an_unknown_service_has_no_instances_and_that_is_known(discover).await;
    let (mut one, other) = (discover.watch(service), discover.watch(service));
    let set = one.first(LIMIT).await;
    assert!(set.freshness == Freshness::Fresh && set.generation > 0, "{set:?}");
    assert!(set.instances.iter().all(|instance| instance.service == *service), "{set:?}");
    let ids: Vec<_> = set.instances.iter().map(|instance| &instance.id).collect();
    assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
    let mut found: Vec<_> = set.instances.iter().map(|it| it.endpoint.clone()).collect();
    let mut wanted = endpoints.to_vec();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    assert_eq!(other.first(LIMIT).await.instances, set.instances);
    assert_eq!(one.clone().current().generation, set.generation);
    // Nothing will come, and whoever waits is not told otherwise.
    assert!(tokio::time::timeout(QUIET, one.changed()).await.is_err());
}

/// A service that nobody registered is known to have no instance.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Cancel safe: it only reads.
pub async fn an_unknown_service_has_no_instances_and_that_is_known(discover: &dyn Discover) {
    let set = discover.watch(&name("conformance-unknown")).first(LIMIT).await;
    assert_eq!(set.freshness, Freshness::Fresh);
    assert!(set.instances.is_empty());
}

/// Version, zone, weight and metadata survive the way through the registry.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: a registration may be left behind.
pub async fn a_registered_instance_is_found_with_all_its_attributes(
    discover: &dyn Discover,
    register: &dyn Register,
) {
    for (weight, version) in [(7, Some("v2")), (0, None), (70_000, Some("v1"))] {
        let mut wanted = instance("conformance-attributes", "one", 4001);
        wanted.weight = weight;
        wanted.version = version.map(str::to_owned);
        wanted.zone = version.map(|_| "eu-central-1a".to_owned());
        wanted.metadata.insert("team".to_owned(), "blue".to_owned());
        register.register(&Registration::new(wanted.clone())).await.unwrap();
        let mut watch = discover.watch(&wanted.service);
        until(&mut watch, |set| *set.instances == [wanted.clone()]).await;
        register.deregister(&wanted.id).await.unwrap();
    }
}

/// A watch yields the present set first and then each change.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: a registration may be left behind.
pub async fn a_watch_sees_instances_come_and_go(discover: &dyn Discover, register: &dyn Register) {
    let one = instance("conformance-changes", "one", 4001);
    let two = instance("conformance-changes", "two", 4002);
    let mut watch = discover.watch(&one.service);
    register.register(&Registration::new(two.clone())).await.unwrap();
    let first = until(&mut watch, |set| *set.instances == [two.clone()]).await;
    register.register(&Registration::new(one.clone())).await.unwrap();
    let second = until(&mut watch, |set| *set.instances == [one.clone(), two.clone()]).await;
    assert!(second.generation > first.generation);
    register.deregister(&one.id).await.unwrap();
    register.deregister(&two.id).await.unwrap();
    let last = until(&mut watch, |set| set.instances.is_empty()).await;
    assert_eq!(last.freshness, Freshness::Fresh);
}

/// Watches of one service agree, also one that was cloned or came late.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: a registration may be left behind.
pub async fn every_watch_of_a_service_sees_the_same(
    discover: &dyn Discover,
    register: &dyn Register,
) {
    let one = instance("conformance-watches", "one", 4001);
    let mut early = discover.watch(&one.service);
    let mut clone = early.clone();
    register.register(&Registration::new(one.clone())).await.unwrap();
    until(&mut early, |set| set.instances.len() == 1).await;
    let mut late = discover.watch(&one.service);
    register.deregister(&one.id).await.unwrap();
    for watch in [&mut early, &mut clone, &mut late] {
        until(watch, |set| set.is_known() && set.instances.is_empty()).await;
    }
}

/// The same id at another address moves the instance.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: a registration may be left behind.
pub async fn registering_again_replaces(discover: &dyn Discover, register: &dyn Register) {
    let before = instance("conformance-replace", "one", 4001);
    let after = instance("conformance-replace", "one", 4002);
    register.register(&Registration::new(before.clone())).await.unwrap();
    let mut watch = discover.watch(&before.service);
    until(&mut watch, |set| set.instances.len() == 1).await;
    register.register(&Registration::new(after.clone())).await.unwrap();
    until(&mut watch, |set| *set.instances == [after.clone()]).await;
    register.deregister(&after.id).await.unwrap();
}

/// The same instance in another life is a change that watches see, and is registered again.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: a registration may be left behind.
pub async fn an_instance_that_was_restarted_is_another(
    discover: &dyn Discover,
    register: &dyn Register,
) {
    let before = instance("conformance-restart", "one", 4001);
    let after = before.clone().with_incarnation(u64::MAX);
    register.register(&Registration::new(before.clone())).await.unwrap();
    let mut watch = discover.watch(&before.service);
    until(&mut watch, |set| *set.instances == [before.clone()]).await;
    assert!(!register.is_registered(&Registration::new(after.clone())).await.unwrap());
    register.register(&Registration::new(after.clone())).await.unwrap();
    until(&mut watch, |set| *set.instances == [after.clone()]).await;
    let of_any_life = Registration::new(after.clone().with_incarnation(0));
    assert!(register.is_registered(&of_any_life).await.unwrap());
    register.deregister(&after.id).await.unwrap();
}

/// Deregistering twice, or what never was, succeeds.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Cancel safe: nothing is registered.
pub async fn deregistering_what_is_not_there_is_fine(register: &dyn Register) {
    register.deregister(&InstanceId::new("conformance-nothing")).await.unwrap();
}

/// Ids are free text: other clients choose their own.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: a registration may be left behind.
pub async fn any_id_can_be_registered_and_removed(
    discover: &dyn Discover,
    register: &dyn Register,
) {
    for id in ["a/b", "a#127.0.0.1#80", "a b?c=d", "50%", "größe"] {
        let one = instance("conformance-ids", id, 4001);
        let registration = Registration::new(one.clone());
        register.register(&registration).await.unwrap();
        assert!(register.is_registered(&registration).await.unwrap(), "{id}");
        let mut watch = discover.watch(&one.service);
        until(&mut watch, |set| set.instances.iter().any(|i| i.id == one.id)).await;
        register.deregister(&one.id).await.unwrap();
        assert!(!register.is_registered(&registration).await.unwrap(), "{id}");
    }
}

/// `is_registered` tells a registration from one that differs, and from none.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: a registration may be left behind.
pub async fn a_registration_is_recognised_only_as_it_is(register: &dyn Register) {
    let wanted = Registration::new(instance("conformance-verify", "one", 4001))
        .with_tags(["blue", "green"])
        .with_check(Check::tcp());
    assert!(!register.is_registered(&wanted).await.unwrap());
    register.register(&wanted).await.unwrap();
    assert!(register.is_registered(&wanted).await.unwrap());
    let moved =
        Registration { instance: instance("conformance-verify", "one", 4002), ..wanted.clone() };
    assert!(!register.is_registered(&moved).await.unwrap());
    let retagged = wanted.clone().with_tags(["blue"]);
    assert!(!register.is_registered(&retagged).await.unwrap());
    let mut heavier = wanted.clone();
    heavier.instance.weight = 9;
    assert!(!register.is_registered(&heavier).await.unwrap());
    register.deregister(&wanted.instance.id).await.unwrap();
    assert!(!register.is_registered(&wanted).await.unwrap());
}

/// An instance that answers its check is given out. (Which one is not, depends on whether the
/// registry probes; those that do have tests of their own for it.)
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: a registration may be left behind.
pub async fn a_check_decides_whether_an_instance_is_given_out(
    discover: &dyn Discover,
    register: &dyn Register,
) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let alive = instance("conformance-check", "alive", port);
    let registration = Registration::new(alive.clone()).with_check(Check::tcp());
    register.register(&registration).await.unwrap();
    let mut watch = discover.watch(&alive.service);
    until(&mut watch, |set| *set.instances == [alive.clone()]).await;
    register.deregister(&alive.id).await.unwrap();
}

/// An instance that nobody can ask is given out when it says that it lives, as long as it is
/// registered.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: a registration may be left behind.
pub async fn an_instance_that_says_it_lives_is_given_out(
    discover: &dyn Discover,
    register: &dyn Register,
) {
    let silent = instance("conformance-ttl", "silent", 4001);
    let registration =
        Registration::new(silent.clone()).with_check(Check::ttl(Duration::from_secs(600)));
    assert!(!register.heartbeat(&silent.id).await.unwrap(), "nobody knows it yet");
    register.register(&registration).await.unwrap();
    assert!(register.is_registered(&registration).await.unwrap());
    assert!(register.heartbeat(&silent.id).await.unwrap());
    let mut watch = discover.watch(&silent.service);
    until(&mut watch, |set| *set.instances == [silent.clone()]).await;
    register.deregister(&silent.id).await.unwrap();
    until(&mut watch, |set| set.instances.is_empty()).await;
    assert!(!register.heartbeat(&silent.id).await.unwrap());
}

/// A server that serves gRPC's health service at `serving` is given out when it says `SERVING` of
/// `service`. For registries that probe.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: a registration may be left behind.
pub async fn a_check_over_grpc_decides_whether_an_instance_is_given_out(
    discover: &dyn Discover,
    register: &dyn Register,
    serving: &Endpoint,
    service: &str,
) {
    for (id, asked) in [("whole", ""), ("one", service)] {
        let alive = instance("conformance-grpc", id, serving.port());
        let registration = Registration::new(alive.clone())
            .with_check(Check::grpc(asked).every(Duration::from_secs(1)));
        register.register(&registration).await.unwrap();
        assert!(register.is_registered(&registration).await.unwrap());
        let mut watch = discover.watch(&alive.service);
        until(&mut watch, |set| *set.instances == [alive.clone()]).await;
        register.deregister(&alive.id).await.unwrap();
        until(&mut watch, |set| set.instances.is_empty()).await;
    }
}

/// A program that needs one address gets that of a healthy instance, or none.
///
/// # Panics
///
/// When the registry does not conform.
///
/// # Cancel safety
///
/// Not cancel safe: a registration may be left behind.
pub async fn one_healthy_instance_is_discovered_by_chance(
    discover: &dyn Discover,
    register: &dyn Register,
) {
    let [one, two] = [("one", 4001), ("two", 4002)]
        .map(|(id, port)| instance("conformance-discovered", id, port));
    assert_eq!(discover.discover_service(&one.service).await, None);
    for instance in [&one, &two] {
        register.register(&Registration::new(instance.clone())).await.unwrap();
    }
    let mut watch = discover.watch(&one.service);
    until(&mut watch, |set| set.instances.len() == 2).await;
    let found = discover.discover_service(&one.service).await.unwrap();
    assert!(["http://127.0.0.1:4001", "http://127.0.0.1:4002"].contains(&&*found), "{found}");
    register.deregister(&one.id).await.unwrap();
    register.deregister(&two.id).await.unwrap();
}

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

fn instance(service: &str, id: &str, port: u16) -> Instance {
    let endpoint = SocketAddr::from(([127, 0, 0, 1], port)).into();
    // A registry may make up a life for an instance that does not say its own.
    Instance::new(name(service), endpoint).with_id(InstanceId::new(id)).with_incarnation(1)
}

/// Waits until the set passes this test.
async fn until(watch: &mut Watch, test: impl Fn(&InstanceSet) -> bool) -> Arc<InstanceSet> {
    let wait = async {
        let mut set = watch.current();
        while !test(&set) {
            set = watch.changed().await;
        }
        set
    };
    match tokio::time::timeout(LIMIT, wait).await {
        Ok(set) => set,
        Err(_) => panic!("not seen within {LIMIT:?}; the latest is {:?}", watch.current()),
    }
}
