//! Our own client of Consul against our own registry, outages included.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use regatta_core::{Instance, ServiceName};
use regatta_discovery::{
    Check, Discover, Freshness, InstanceSet, Register, Registrar, RegistrarSettings, Registration,
    Standing, Watch, conformance,
};
use regatta_discovery_consul::{ConsulRegistry, Options};
use regatta_testkit::Consul;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::server::{LIMIT, Server};

#[tokio::test]
async fn consul_registry_conforms_against_the_embedded_server() {
    let server = Server::start().await;
    let registry = Arc::new(registry(server.address));
    conformance::all(registry.clone(), registry).await;
}

#[tokio::test]
async fn consul_registry_conforms_against_a_real_consul() {
    let server = Consul::start().await.unwrap_or_else(|error| panic!("{error}"));
    let registry = Arc::new(registry(server.address().parse().unwrap()));
    conformance::all(registry.clone(), registry).await;
}

#[tokio::test]
async fn instances_are_asked_over_grpc_by_both() {
    let (own, real) = (Server::start().await, Consul::start().await);
    let real = real.unwrap_or_else(|error| panic!("{error}"));
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop.Users", tonic_health::ServingStatus::Serving).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let serving = listener.local_addr().unwrap().into();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let serve = tonic::transport::Server::builder().add_service(health);
    TaskTracker::new().spawn(serve.serve_with_incoming(incoming));
    for address in [own.address, real.address().parse().unwrap()] {
        let registry = registry(address);
        conformance::a_check_over_grpc_decides_whether_an_instance_is_given_out(
            &registry,
            &registry,
            &serving,
            "shop.Users",
        )
        .await;
        let absent = Instance::new(name("absent"), serving.clone());
        let registration = Registration::new(absent)
            .with_check(Check::grpc("shop.Absent").every(Duration::from_secs(1)));
        registry.register(&registration).await.unwrap();
        let api = Api::new(&address.to_string());
        // It begins as critical with nothing to say, and stays so with its reason.
        let said = |checks: &serde_json::Value| {
            let mut checks = checks.as_object().into_iter().flatten();
            checks.any(|(_, check)| check["Status"] == "critical" && check["Output"] != "")
        };
        api.until("/v1/agent/checks", said).await;
    }
}

#[tokio::test]
async fn an_instance_that_falls_silent_is_not_given_out_by_either() {
    let (own, real) = (Server::start().await, Consul::start().await);
    let real = real.unwrap_or_else(|error| panic!("{error}"));
    for address in [own.address, real.address().parse().unwrap()] {
        let registry = Arc::new(registry(address));
        let instance = Instance::new(name("silent"), SocketAddr::from(([127, 0, 0, 1], 1)).into());
        let check = Check::ttl(Duration::from_secs(1));
        let registration = Registration::new(instance).with_check(check);
        let settings = RegistrarSettings::default();
        let registrar = Registrar::try_new(registry.clone(), registration, settings).unwrap();
        let living = TaskTracker::new().spawn(registrar.run(CancellationToken::new()));
        let mut watch = registry.watch(&name("silent"));
        until(&mut watch, |set| set.instances.len() == 1).await;
        living.abort();
        until(&mut watch, |set| set.is_known() && set.instances.is_empty()).await;
    }
}

#[tokio::test]
async fn many_watchers_of_a_service_share_one_query_that_ends_with_the_last() {
    let server = Server::start().await;
    let registry = registry(server.address);
    let (one, two) = (name("one"), name("two"));
    let mut ones: Vec<_> = (0..100).map(|_| registry.watch(&one)).collect();
    let mut twos: Vec<_> = (0..100).map(|_| registry.watch(&two)).collect();
    server.done("/v1/agent/service/register", r#"{"name":"one","port":1}"#).await;
    for watch in &mut ones {
        until(watch, |set| set.instances.len() == 1).await;
    }
    for watch in &mut twos {
        until(watch, InstanceSet::is_known).await;
    }
    assert_eq!(registry.polled_services(), 2);
    held(&server, 2).await;
    drop(ones);
    held(&server, 1).await;
    assert_eq!(registry.polled_services(), 1);
    assert!(registry.watch(&one).first(LIMIT).await.is_known(), "can be watched again");
}

#[tokio::test]
async fn watchers_keep_the_last_set_while_the_registry_is_away_and_come_back_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::at(([127, 0, 0, 1], 0).into(), folder.path()).await;
    let address = server.address;
    server.done("/v1/agent/service/register", r#"{"name":"one","port":1}"#).await;
    let registry = registry(address);
    let mut watch = registry.watch(&name("one"));
    until(&mut watch, |set| set.instances.len() == 1).await;
    server.stop().await;
    let set = until(&mut watch, |set| matches!(set.freshness, Freshness::Stale { .. })).await;
    assert_eq!(set.instances.len(), 1);
    let server = Server::at(address, folder.path()).await;
    let set = until(&mut watch, |set| set.freshness == Freshness::Fresh).await;
    assert_eq!((set.instances.len(), set.generation), (1, 1));
    let body = r#"{"name":"one","id":"more","port":2}"#;
    server.done("/v1/agent/service/register", body).await;
    until(&mut watch, |set| set.instances.len() == 2).await;
}

#[tokio::test]
async fn a_wiped_registry_is_filled_again_and_no_watcher_sees_an_empty_set() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::at(([127, 0, 0, 1], 0).into(), first.path()).await;
    let address = server.address;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let instance = Instance::new(name("one"), listener.local_addr().unwrap().into());
    let registration = Registration::new(instance).with_check(Check::tcp());
    let registry = Arc::new(registry(address));
    let mut settings = RegistrarSettings::default();
    settings.verify_every = Duration::from_millis(300);
    settings.first_backoff = Duration::from_millis(50);
    let registrar = Registrar::try_new(registry.clone(), registration.clone(), settings).unwrap();
    let (mut handle, drain) = (registrar.handle(), CancellationToken::new());
    let tasks = TaskTracker::new();
    tasks.spawn(registrar.run(drain.clone()));
    let mut watch = registry.watch(&name("one"));
    until(&mut watch, |set| set.instances.len() == 1).await;
    server.stop().await;
    until(&mut watch, |set| matches!(set.freshness, Freshness::Stale { .. })).await;

    let server = Server::at(address, second.path()).await;
    let healed = async {
        loop {
            let set = watch.changed().await;
            assert_eq!(set.instances.len(), 1, "the set was emptied by the wiped registry");
            if set.freshness == Freshness::Fresh {
                break;
            }
        }
    };
    tokio::time::timeout(LIMIT, healed).await.unwrap();
    assert!(registry.is_registered(&registration).await.unwrap());
    tokio::time::timeout(LIMIT, handle.wait_for(|now| *now == Standing::Registered)).await.unwrap();
    drain.cancel();
    until(&mut watch, |set| set.instances.is_empty()).await;
    assert!(server.passing("one").await.is_empty());
}

/// Callers' breakers kept a killed service away for a minute after it was back: nothing told it
/// from the one that was killed.
#[tokio::test]
async fn a_killed_process_that_registers_again_is_another_to_watchers() {
    let server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let instance = Instance::new(name("one"), listener.local_addr().unwrap().into());
    let registration = Registration::new(instance).with_check(Check::tcp());
    let registry = Arc::new(registry(server.address));
    let start = || {
        let settings = RegistrarSettings::default();
        let registrar = Registrar::try_new(registry.clone(), registration.clone(), settings);
        TaskTracker::new().spawn(registrar.unwrap().run(CancellationToken::new()))
    };
    let killed = start();
    let mut watch = registry.watch(&name("one"));
    let before = until(&mut watch, |set| set.instances.len() == 1).await;
    killed.abort();
    start();
    let life = before.instances[0].incarnation;
    let after =
        until(&mut watch, |set| !set.instances.is_empty() && set.instances[0].incarnation != life);
    assert_eq!(after.await.instances[0].id, before.instances[0].id);
}

#[tokio::test]
async fn a_service_starts_before_its_registry_does() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let registry = registry(address);
    let watch = registry.watch(&name("one"));
    let set = watch.first(Duration::from_millis(200)).await;
    assert_eq!(set.freshness, Freshness::Unknown);
    let server = Server::at(address, folder.path()).await;
    server.done("/v1/agent/service/register", r#"{"name":"one","port":1}"#).await;
    until(&mut watch.clone(), |set| set.instances.len() == 1).await;
}

#[tokio::test]
async fn what_the_registry_refuses_is_told_and_not_retryable() {
    let server = Server::start().await;
    let mut instance = Instance::new(name("one"), SocketAddr::from(([127, 0, 0, 1], 1)).into());
    instance.metadata.insert("not a key".to_owned(), String::new());
    let error = registry(server.address).register(&Registration::new(instance)).await.unwrap_err();
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("invalid characters"), "{error}");
}

#[tokio::test]
async fn garbage_in_place_of_a_registry_is_an_outage() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = axum::Router::new().fallback(async || "<html>welcome</html>");
    TaskTracker::new().spawn(async move { axum::serve(listener, routes).await });
    let registry = registry(address);
    let watch = registry.watch(&name("one"));
    let set = watch.first(Duration::from_millis(200)).await;
    assert_eq!(set.freshness, Freshness::Unknown);
    let instance = Instance::new(name("one"), address.into());
    let verified = registry.is_registered(&Registration::new(instance)).await;
    assert!(verified.unwrap_err().is_retryable());
}

fn registry(address: SocketAddr) -> ConsulRegistry {
    ConsulRegistry::try_new(&format!("http://{address}"), Options::default()).unwrap()
}

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
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

/// Waits until the server holds so many blocking queries.
async fn held(server: &Server, count: usize) {
    let line = format!("regatta_control_blocked_queries {count}\n");
    let wait = async {
        while !server.get("/metrics").await.text.contains(&line) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap();
}
