//! What a registry of name servers finds, and what it keeps.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::rr::RecordType;
use regatta_core::{Endpoint, ServiceName};
use regatta_discovery::{Discover, Freshness, InstanceSet, Watch, conformance};
use regatta_discovery_dns::{DnsRegistry, Options};

use crate::server::{Mode, Server, ip, srv};

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn addresses_conform() {
    let server = Server::start().await;
    let registry = registry(&server, "{service}.test.:4001");
    conformance::finding(&registry, &Addresses(server)).await;
}

#[tokio::test]
async fn targets_conform() {
    let server = Server::start().await;
    let registry = registry(&server, "_http._tcp.{service}.test.");
    conformance::finding(&registry, &Targets(server)).await;
}

#[tokio::test]
async fn addresses_of_both_families_are_instances() {
    let server = Server::start().await;
    server.add("users.test.", 0, ip("127.0.0.1"));
    server.add("users.test.", 0, ip("::1"));
    let registry = registry(&server, "{service}.test.:80");
    let set = registry.watch(&users()).first(LIMIT).await;
    assert_eq!(listed(&set), ["127.0.0.1:80", "[::1]:80"]);
}

#[tokio::test]
async fn a_target_brings_its_port_and_weight_and_its_addresses_are_asked_for() {
    let server = Server::start().await;
    server.add("users.test.", 0, srv(1, 7, 8080, "a.test."));
    server.add("users.test.", 0, srv(2, 9, 8080, "b.test."));
    server.add("a.test.", 0, ip("127.0.0.1"));
    server.add("b.test.", 0, ip("127.0.0.2"));
    let registry = registry(&server, "{service}.test.");
    let set = registry.watch(&users()).first(LIMIT).await;
    assert_eq!(listed(&set), ["127.0.0.1:8080"]);
    assert_eq!(set.instances[0].weight, 7);
    assert!(server.questions().contains(&("a.test.".to_owned(), RecordType::A)));
}

#[tokio::test]
async fn addresses_that_came_along_are_not_asked_for() {
    let server = Server::start().await;
    server.send_along();
    server.add("users.test.", 60, srv(1, 7, 8080, "a.test."));
    server.add("a.test.", 60, ip("127.0.0.1"));
    let registry = registry(&server, "{service}.test.");
    let set = registry.watch(&users()).first(LIMIT).await;
    assert_eq!(listed(&set), ["127.0.0.1:8080"]);
    assert!(server.questions().iter().all(|(name, _)| name == "users.test."));
}

#[tokio::test]
async fn the_last_known_instances_stay_while_no_server_answers() {
    for mode in [Mode::Fails, Mode::IsSilent] {
        let server = Server::start().await;
        server.add("users.test.", 0, ip("127.0.0.1"));
        let registry = registry(&server, "{service}.test.:80");
        let mut watch = registry.watch(&users());
        until(&mut watch, |set| set.freshness == Freshness::Fresh).await;
        server.set(mode);
        let set = until(&mut watch, |set| matches!(set.freshness, Freshness::Stale { .. })).await;
        assert_eq!(listed(&set), ["127.0.0.1:80"]);
        server.set(Mode::Answers);
        until(&mut watch, |set| set.freshness == Freshness::Fresh).await;
    }
}

#[tokio::test]
async fn an_empty_zone_after_an_outage_is_not_believed_at_once() {
    let server = Server::start().await;
    let address = ip("127.0.0.1");
    server.add("users.test.", 0, address.clone());
    let registry = refreshed(&server, "{service}.test.:80", Duration::from_millis(20));
    let mut watch = registry.watch(&users());
    until(&mut watch, |set| set.instances.len() == 1).await;
    server.set(Mode::Fails);
    until(&mut watch, |set| matches!(set.freshness, Freshness::Stale { .. })).await;
    server.remove("users.test.", &address);
    let asked = server.questions().len();
    server.set(Mode::Answers);
    while server.questions().len() < asked + 20 {
        assert_eq!(watch.current().instances.len(), 1);
        tokio::task::yield_now().await;
    }
    server.add("users.test.", 0, ip("127.0.0.2"));
    let set = until(&mut watch, |set| set.freshness == Freshness::Fresh).await;
    assert_eq!(listed(&set), ["127.0.0.2:80"]);
}

#[tokio::test]
async fn a_record_is_not_asked_for_again_before_its_time_and_not_when_nobody_watches() {
    let server = Server::start().await;
    server.add("users.test.", 3600, ip("127.0.0.1"));
    let registry = registry(&server, "{service}.test.:80");
    let watches: Vec<Watch> = (0..20).map(|_| registry.watch(&users())).collect();
    for watch in &watches {
        assert!(watch.first(LIMIT).await.is_known());
    }
    assert_eq!(server.questions().len(), 2, "A and AAAA, once");
    assert_eq!(registry.polled_services(), 1);
    drop(watches);
    while registry.polled_services() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_wrong_url_is_refused_with_the_reason() {
    let open = |url: &str| {
        let error = DnsRegistry::try_new(url, Options::default()).unwrap_err();
        regatta_core::Chain(&error).to_string()
    };
    assert!(open("dns:users:80").contains("write {service} where its name belongs"));
    let mut options = Options::default();
    options.timeout = Duration::ZERO;
    let error = DnsRegistry::try_new("dns://127.0.0.1/{service}:80", options).unwrap_err();
    assert!(regatta_core::Chain(&error).to_string().contains("timeout is `0ns`"));
}

/// Instances as A records.
struct Addresses(Server);

#[async_trait]
impl conformance::Populate for Addresses {
    async fn put(&self, service: &ServiceName, endpoint: &Endpoint) {
        self.0.add(&format!("{service}.test."), 0, ip(endpoint.host()));
    }

    async fn remove(&self, service: &ServiceName, endpoint: &Endpoint) {
        self.0.remove(&format!("{service}.test."), &ip(endpoint.host()));
    }
}

/// Instances as SRV records, each with a target of its own.
struct Targets(Server);

impl Targets {
    fn records(
        service: &ServiceName,
        endpoint: &Endpoint,
    ) -> [(String, hickory_proto::rr::RData); 2] {
        let target = format!("host-{}.test.", endpoint.host().replace('.', "-"));
        let record = srv(1, 1, endpoint.port(), &target);
        [(target, ip(endpoint.host())), (format!("_http._tcp.{service}.test."), record)]
    }
}

#[async_trait]
impl conformance::Populate for Targets {
    async fn put(&self, service: &ServiceName, endpoint: &Endpoint) {
        for (name, data) in Self::records(service, endpoint) {
            self.0.add(&name, 0, data);
        }
    }

    async fn remove(&self, service: &ServiceName, endpoint: &Endpoint) {
        for (name, data) in Self::records(service, endpoint).iter().rev() {
            self.0.remove(name, data);
        }
    }
}

fn registry(server: &Server, name: &str) -> DnsRegistry {
    refreshed(server, name, Options::default().most_refresh)
}

/// A registry that asks again at least so often.
fn refreshed(server: &Server, name: &str, most_refresh: Duration) -> DnsRegistry {
    let mut options = Options::default();
    options.least_refresh = Duration::from_millis(10);
    options.most_refresh = most_refresh;
    options.timeout = Duration::from_millis(100);
    options.first_backoff = Duration::from_millis(10);
    options.max_backoff = Duration::from_millis(50);
    DnsRegistry::try_new(&format!("dns://{}/{name}", server.address), options).unwrap()
}

fn users() -> ServiceName {
    "users".parse().unwrap()
}

fn listed(set: &InstanceSet) -> Vec<String> {
    set.instances.iter().map(|instance| instance.endpoint.to_string()).collect()
}

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
